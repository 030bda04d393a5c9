"""Files that are nets as backbones: ONNX graphs, torch.export's .pt2 and TorchScript (.pt, .pth).

Such a file is run as it is. What it returns is the descriptor, the map of descriptors or the
tokens, unless `layer=` names something inside. An exported net is code by its nature, and a weights
file never is: the kinds are distinguished before anything is loaded, and files that would make
Python itself run something while they are loaded are refused.
"""

import logging
from dataclasses import replace
from os.path import expanduser
from pathlib import Path

from torch import nn

from vggfeat.backbones.backbone import Backbone, FirstMap
from vggfeat.backbones.defaults import EXPORTED
from vggfeat.backbones.exported import onnx_graph, pt2, torchscript
from vggfeat.backbones.exported.exported_net import ExportedNet
from vggfeat.backbones.hooks import hooked_backbone
from vggfeat.backbones.own_normalisation import own_statistics
from vggfeat.backbones.spec import NetSpec, options_text
from vggfeat.errors import WeightsError
from vggfeat.storage import files
from vggfeat.weights import onnx

log = logging.getLogger(__name__)

OPTIONS = ("input_size", "layer", "view")


def is_exported_net(path: Path) -> bool:
    """Whether a file is to be run as a net, by its suffix and what lies in it; nothing is loaded.

    Raises WeightsError for a damaged ONNX file.
    """
    suffix = path.suffix.lower()
    if suffix == pt2.SUFFIX:
        return True
    if not path.is_file():
        return False
    if suffix == ".onnx":
        return onnx.read_card(path) is None
    return suffix in torchscript.SUFFIXES and torchscript.is_torchscript(path)


def check_no_net(path: Path) -> None:
    """Raise WeightsError for a net in a file where weights are wanted, as in NET@FILE."""
    if path.is_file() and is_exported_net(path):
        raise WeightsError(
            f"{path}: a net in a file, with its weights, and no weights of another. Name the file"
            f" alone: --net {path}."
        )


def exported_backbone(spec: NetSpec) -> Backbone:
    """The net that the file `spec.weights` is, at a layer. Loads the file and runs it once.

    Raises NetworkError, OptionError, UnknownNameError or WeightsError.
    """
    spec.check_options(OPTIONS)
    path = Path(expanduser(spec.weights))
    exported = _open(path)
    side = exported.side_for(spec.input_size)
    layer = spec.layer or exported.output
    exported.check_mode(layer)
    shapes = exported.probe(layer, side)
    exported.try_out(layer, side, shapes)
    own = None
    if not (spec.mean and spec.std):
        own = own_statistics(exported.given_to_first_layer, side, net=str(path))
        if own:
            taken = options_text(vars(own))
            log.info("%s: normalises its input itself; it is given pixels with %s", path, taken)
    exported = replace(exported, net=nn.Identity())  # the weights need not stay in memory
    output, default_side = exported.output, exported.default_side
    scores = layer if layer in exported.parts else output  # what class scores are taken from
    return hooked_backbone(
        spec,
        shapes,
        layer=layer,
        side=side,
        default=NetSpec(weights=path.name, layer=output, input_size=default_side),
        defaults=EXPORTED,
        min_size=exported.min_side,
        statistics=own or EXPORTED.statistics,
        shows_statistics=own is not None,
        build=lambda tensors: _open(path).net,
        to_maps=lambda net, layers: exported.maps(net, layers, side, shapes),
        to_outputs=lambda net: FirstMap(exported.maps(net, [scores], side, shapes)),
        layer_shapes=lambda: _open(path).layer_shapes(side),
        num_outputs=shapes.dim(scores) if shapes.is_layer(scores) else 0,
    )


def sha256_of(path: Path) -> str:
    """The digest of a net that has been opened, with all that it computes with."""
    return onnx_graph.sha256_of(path) if path.suffix.lower() == ".onnx" else files.sha256_of(path)


def _open(path: Path) -> ExportedNet:
    """The net in a file, opened by the file's format. Raises NetworkError or WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. Check the path.")
    match path.suffix.lower():
        case ".onnx":
            return onnx_graph.open_onnx(path)
        case pt2.SUFFIX:
            return pt2.open_pt2(path)
    return torchscript.open_torchscript(path)
