"""The tensors of a net in a file that trainers wrote: which part, and what may be left out."""

import logging
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from vggfeat.backbones.backbone import Backbone
from vggfeat.errors import NetworkError, WeightsError
from vggfeat.weights import formats, state_dicts
from vggfeat.weights.state_dicts import Wanted

log = logging.getLogger(__name__)

# Tensors of training that lie beside a net's own, by the first of their names. What has another
# name may be a part of another net, whose other parts would fit.
BESIDE = re.compile(
    r"proj|predict|prototype|(fc|head|heads|classifier|linear|cls)(\d|$)|(cls|rot|jig)\w*_head"
    r"|queue|criterion|loss|decoder|mask_token|center|n_averaged",
    re.IGNORECASE,
)
COUNTS = ("total_ops", "total_params")  # that a counter of operations leaves in every module


def file_tensors(backbone: Backbone, path: Path, part: str | None = None) -> dict[str, Tensor]:
    """What a weights file holds of a net, under the net's keys.

    What the layer does not need may be missing. part names which net of the file is meant. Raises
    WeightsError.
    """
    tables, unknown = formats.read_tables(path)
    tables = {label: _renamed(backbone, table) for label, table in tables.items()}
    wanted = Wanted(_shapes(backbone), backbone.needs, backbone.last_layer)
    chosen, others = state_dicts.choose(tables, wanted, part, path)
    left_out = {
        *(key for key in chosen.tensors if _is_beside(key, wanted)),
        *_misfits(chosen.tensors, wanted),
    }
    kept = {key: tensor for key, tensor in chosen.tensors.items() if key not in left_out}
    if not kept:
        raise WeightsError(f"{path}: holds nothing of {backbone.name}.")
    if chosen.fits:
        missing = [key for key in wanted.kept if key not in chosen.tensors]
        beside = [key for key in chosen.tensors if key in left_out] + unknown
        if text := state_dicts.report(chosen, others, beside, missing):
            _report(path, text)
    return formats.load(path, kept)


def _renamed(backbone: Backbone, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return backbone.renamed(dict(tensors)) if backbone.renamed else dict(tensors)


def _shapes(backbone: Backbone) -> dict[str, torch.Size]:
    """The keys and shapes of the net, built without memory where that is possible."""
    net = None
    if not backbone.spec.is_factory:  # the user's code need not bear it
        try:
            with torch.device("meta"):
                net = backbone.build(None)
        except (NotImplementedError, RuntimeError, NetworkError):
            pass
    if net is None:
        net = backbone.build(None)
    return {key: tensor.shape for key, tensor in net.state_dict().items()}


def _is_beside(key: str, wanted: Wanted) -> bool:
    """Whether a tensor is of training, or of what stands in place of the last layer."""
    if key in wanted.shapes:
        return False
    first, _, name = key.partition(".")
    if key.rpartition(".")[2] in COUNTS:
        return True
    if wanted.last_layer and key.startswith(f"{wanted.last_layer}."):
        return not wanted.needs(f"{wanted.last_layer}.weight")
    modules = {other.partition(".")[0] for other in wanted.shapes}
    return first not in modules and BESIDE.match(first) is not None


def _misfits(tensors: Mapping[str, Tensor], wanted: Wanted) -> list[str]:
    """The tensors of a last layer that is none or not the net's, where nothing needs it."""
    last = [key for key in wanted.kept if key.rpartition(".")[0] == wanted.last_layer]
    if any(wanted.needs(key) for key in last):
        return [key for key in last if key in tensors and 0 in tensors[key].shape]
    if all(key in tensors and wanted.is_like(key, tensors[key]) for key in last):
        return []
    return [key for key in last if key in tensors]  # a weight alone, or a bias alone, is no layer


@cache  # once, however many layers are asked for
def _report(path: Path, text: str) -> None:
    log.info("%s: %s", path, text)
