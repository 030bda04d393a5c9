"""The user's own nets: `package.module:factory`, a function of theirs that returns a torch module.

What the module returns is the descriptor, or the map of descriptors, unless `layer=` names one of
its modules. The function is called without arguments. A net that comes with its weights needs no
file; `@FILE` replaces them by a state dict.
"""

import hashlib
import importlib
import os
import sys
from functools import cache
from pathlib import Path

import torch
from torch import nn

from vggfeat.backbones.backbone import Backbone
from vggfeat.backbones.defaults import FACTORY, OUTPUT
from vggfeat.backbones.hooks import LayerHooks, ShapeProbe, hooked_backbone, probe_shapes
from vggfeat.backbones.own_normalisation import given_to_first_layer, own_statistics
from vggfeat.backbones.repeatable import Repeatable
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import NetworkError
from vggfeat.input_statistics import InputStatistics

INSTALLED = {"site-packages", "dist-packages"}  # folders
REMEDY = "Let its dropout and batch normalisation follow self.training."
OPTIONS = ("input_size", "layer", "view")


def factory_backbone(spec: NetSpec) -> Backbone:
    """The net that a function of the user's makes, at a layer.

    Imports the user's module and calls the function. Raises NetworkError, OptionError or
    UnknownNameError.
    """
    spec.check_options(OPTIONS)
    side = FACTORY.input_size if spec.input_size is None else spec.input_size
    shapes = _shapes(spec.name, side)
    own = None if spec.mean and spec.std else _own_statistics(spec.name, side)
    return hooked_backbone(
        spec,
        shapes,
        layer=spec.layer or FACTORY.layer,
        side=side,
        default=NetSpec(spec.name, layer=FACTORY.layer, input_size=FACTORY.input_size),
        defaults=FACTORY,
        min_size=1,
        statistics=own or FACTORY.statistics,
        shows_statistics=own is not None,
        build=lambda tensors: build(spec.name),
        to_maps=lambda net, layers: Repeatable(
            LayerHooks(net, layers, shapes),
            (spec.name, id(net), tuple(layers)),
            name=spec.name,
            remedy=REMEDY,
        ),
        num_outputs=shapes.dim(OUTPUT) if shapes.is_layer(OUTPUT) else 0,
    )


def build(name: str) -> nn.Module:
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
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise NetworkError(f"{name}: failed: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise NetworkError(f"{name}: returns a {type(net).__name__}, not a torch module.")
    return net.eval()


def weights_digest(net: nn.Module) -> str:
    """SHA-256 of the weights of a net that comes with them: names, types, shapes and values."""
    digest = hashlib.sha256()
    for key, tensor in net.state_dict().items():
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def code_digest(name: str, net: nn.Module) -> str:
    """SHA-256 of the user's code that a net is made of: with other code it is another net."""
    digest = hashlib.sha256()
    for path in _sources(name, net):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(name: str, net: nn.Module) -> list[Path]:
    """The user's files that make the net what it is: of the function's package and of its modules'.

    What is installed is left out, as an update does not make another net of it.
    """
    named = {name.partition(":")[0], *(type(module).__module__ for module in net.modules())}
    packages = {module_name.partition(".")[0] for module_name in named}
    loaded = [m for key, m in list(sys.modules.items()) if key.partition(".")[0] in packages]
    files = {Path(file) for module in loaded if (file := getattr(module, "__file__", None))}
    return sorted(f for f in files if f.is_file() and INSTALLED.isdisjoint(f.parts))


@cache
def _shapes(name: str, side: int) -> ShapeProbe:
    return probe_shapes(build(name), side)


@cache
def _own_statistics(name: str, side: int) -> InputStatistics | None:
    net = build(name)
    return own_statistics(lambda images: given_to_first_layer(net, images), side, net=name)
