"""Weights in a file: what identifies them, which tensors are the net's, and the net with them."""

import logging
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from vggfeat.backbones.backbone import Backbone
from vggfeat.errors import NetworkError, WeightsError
from vggfeat.storage.files import sha256_of
from vggfeat.storage.seen import warn_of_difference
from vggfeat.weights import checkpoint, formats, state_dicts
from vggfeat.weights.released import Released, to_rgb
from vggfeat.weights.state_dicts import Wanted

log = logging.getLogger(__name__)

# Tensors of training that lie beside a net's own, by the first of their names. What has another
# name may be a part of another net, whose other parts would fit.
BESIDE = re.compile(
    r"proj|predict|prototype|(fc|head|heads|classifier|linear|cls)(\d|$)|(cls|rot|jig)\w*_head"
    r"|queue|criterion|loss|decoder|mask_token|center|n_averaged",
    re.IGNORECASE,
)
MAX_GROWTH = 20  # times its size that an archive may unpack to; pictures and weights hardly shrink
COUNTS = ("total_ops", "total_params")  # that a counter of operations leaves in every module


def identity(path: Path) -> str:
    """The digest that decides a file's weights: of what it holds where it says that, else its own.

    A file that is not the one that was seen first is warned of. Raises WeightsError.
    """
    of_content = formats.kind_of(path) == checkpoint.SUFFIX and checkpoint.identity_of(path)
    if of_content:
        return of_content
    return compare_with_first(path)


def compare_with_first(path: Path) -> str:
    """SHA-256 of a file; a warning if it was another when it was seen first."""
    sha256 = digest(path)
    warn_of_difference(path, sha256)
    return sha256


def check_entries(path: Path) -> None:
    """Raise WeightsError if an entry of a zip archive has not its checksum: torch does not look."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len({entry.header_offset for entry in entries}) < len(entries):
                raise WeightsError(f"{path}: refused: several of its entries are one.")
            if sum(entry.file_size for entry in entries) > MAX_GROWTH * path.stat().st_size:
                raise WeightsError(f"{path}: refused: it unpacks to far more than its size.")
            damaged = archive.testzip()
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise WeightsError(f"{path}: not a whole archive ({error}).") from error
    if damaged:
        raise WeightsError(f"{path}: damaged: its entry {damaged!r} is not as it was written.")


def digest(path: Path) -> str:
    """SHA-256 of a weights file. Raises WeightsError."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error


def known_tensors(backbone: Backbone, path: Path, entry: Released | None) -> dict[str, Tensor]:
    """What a file that says which net it is holds, under the net's keys. Raises WeightsError."""
    tensors = formats.FORMATS[formats.kind_of(path)].read(path)
    tensors = backbone.renamed(tensors) if backbone.renamed else tensors
    return to_rgb(tensors) if entry and entry.bgr else tensors


@torch.inference_mode(False)
def build(
    backbone: Backbone, path: Path, read: Callable[[], dict[str, Tensor]], *, whole: bool = False
) -> nn.Module:
    """The net with the tensors that `read` gives, in eval mode; whole=True needs all of them.

    Raises WeightsError.
    """
    tensors = read()
    net = backbone.build(tensors)
    needs = backbone.needs if not whole else lambda key: True
    missing = checkpoint.missing(net, tensors, needs)
    if missing and checkpoint.is_part(net, tensors):
        scores = "" if any(map(backbone.needs, missing)) else f"has no {missing[0]!r}: no scores"
        if reason := backbone.missing_part(tensors) or scores:
            raise WeightsError(f"{path}: {reason}.")
    checkpoint.load(net, tensors, path, needs=needs)
    return net.eval()


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
