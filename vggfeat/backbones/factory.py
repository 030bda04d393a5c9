"""The user's own nets: `package.module:factory`, a function of theirs that returns a torch module.

What the module returns is the descriptor, or the map of descriptors, unless `layer=` names one of
its modules. The function is called without arguments. A net that comes with its weights needs no
file; `@FILE` replaces them by a state dict.
"""

import importlib
import os
import sys
from functools import cache
from pathlib import Path

import torch
from torch import nn

from vggfeat.backbones.backbone import Backbone, Scores
from vggfeat.backbones.hooks import OUTPUT, Survey, Taps, survey, surveyed_backbone
from vggfeat.errors import NetworkError
from vggfeat.images import TORCHVISION_STATISTICS

INPUT_SIZE = 224
INSTALLED = {"site-packages", "dist-packages"}  # folders


def own(
    name: str,
    *,
    input_size: int = INPUT_SIZE,
    layer: str | None = None,
    view: str | None = None,
) -> Backbone:
    """Imports the user's module and calls the function. Raises NetworkError."""
    surveyed = _survey(name, input_size)
    return surveyed_backbone(
        name,
        surveyed,
        tap=layer or OUTPUT,
        usual_tap=OUTPUT,
        side=input_size,
        usual_side=INPUT_SIZE,
        min_size=1,
        view=view,
        statistics=TORCHVISION_STATISTICS,
        build=lambda tensors: made(name),
        to_maps=lambda net, taps: Taps(net, taps, surveyed),
        to_outputs=Scores,
        num_outputs=surveyed.dim(OUTPUT) if surveyed.is_layer(OUTPUT) else 0,
    )


def made(name: str) -> nn.Module:
    """The net that a function of the user's makes, in eval mode. Raises NetworkError."""
    module_name, _, function_name = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:  # as `python -m` has it: the command alone would not look here
        sys.path.insert(0, here)
    try:
        factory = getattr(importlib.import_module(module_name), function_name)
        with torch.random.fork_rng():
            torch.manual_seed(0)  # a net that draws its weights is the same net at every call
            net = factory()
    except ModuleNotFoundError as error:
        raise NetworkError(
            f"{name}: there is no module {error.name!r}, neither installed nor in this folder."
        ) from error
    except AttributeError as error:
        raise NetworkError(f"{name}: {error}.") from error
    except Exception as error:  # the user's code may raise anything
        raise NetworkError(f"{name}: failed: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise NetworkError(f"{name}: returns a {type(net).__name__}, not a torch module.")
    return net.eval()


def sources(name: str, net: nn.Module) -> list[Path]:
    """The user's files that make the net what it is: of the function's package and of its modules'.

    What is installed is left out, as an update does not make another net of it.
    """
    named = {name.partition(":")[0], *(type(module).__module__ for module in net.modules())}
    packages = {module_name.partition(".")[0] for module_name in named}
    loaded = [m for key, m in list(sys.modules.items()) if key.partition(".")[0] in packages]
    files = {Path(file) for module in loaded if (file := getattr(module, "__file__", None))}
    return sorted(f for f in files if f.is_file() and INSTALLED.isdisjoint(f.parts))


@cache
def _survey(name: str, side: int) -> Survey:
    return survey(made(name), side)
