""".pt2 files of torch.export: checked, and only then loaded."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from vggfeat.backbones.exported.exported_net import ExportedNet
from vggfeat.backbones.exported.pt2_archive import check_archive
from vggfeat.backbones.exported.training_mode import of_program
from vggfeat.errors import NetworkError, WeightsError, reason_of

SUFFIX = ".pt2"  # which nothing else has


def open_pt2(path: Path) -> ExportedNet:
    """Load a .pt2 file. Raises WeightsError, or NetworkError if it takes no pictures."""
    exported = _load(path)
    images = _input_of(exported, path)
    ranges = [exported.range_constraints.get(_symbol(side)) for side in images.shape[2:]]
    try:
        net = torch.export.unflatten(exported).eval()
    except Exception as error:
        raise NetworkError(f"{path}: cannot be run module by module: {reason_of(error)}") from error
    return ExportedNet(
        path=path,
        net=net,
        shape=tuple(side if isinstance(side, int) else None for side in images.shape),
        min_side=max([1, *(int(allowed.lower) for allowed in ranges if allowed)]),
        attends=any("attention" in str(node.target) for node in exported.graph.nodes),
        training=of_program(exported),
    )


def _load(path: Path) -> torch.export.ExportedProgram:
    content = io.BytesIO(path.read_bytes())  # so that what is checked is what is loaded
    check_archive(content, path)
    content.seek(0)
    try:
        with _silent(logging.getLogger("torch.export")):  # it logs tracebacks
            return torch.export.load(content)
    except Exception as error:
        raise WeightsError(
            f"{path}: torch {torch.__version__} cannot load this program ({reason_of(error)})."
            " Export it again with this version."
        ) from error


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def _input_of(exported: torch.export.ExportedProgram, path: Path) -> Tensor:
    """A stand-in of its one input, which has the input's shape. Raises NetworkError."""
    names = exported.graph_signature.user_inputs
    inputs = [n for n in exported.graph.nodes if n.op == "placeholder" and n.name in names]
    if len(inputs) != 1 or len(names) != 1:
        raise NetworkError(f"{path}: takes {len(names)} inputs, and a net takes pictures alone.")
    images = inputs[0].meta.get("val")
    if not isinstance(images, Tensor) or images.dtype != torch.float32:
        raise NetworkError(
            f"{path}: takes {getattr(images, 'dtype', type(images).__name__)}, and pictures are"
            " torch.float32. Export it for those."
        )
    return images


def _symbol(side: "int | torch.SymInt") -> object:
    return None if isinstance(side, int) else side.node.expr
