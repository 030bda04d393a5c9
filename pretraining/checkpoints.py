"""A training run on disk, so that it can go on from where it was.

A checkpoint is a .safetensors file: weights, momenta, and in its metadata the run's position and
the conditions that it was begun with. It is written beside its name, flushed and renamed; the last
two are kept. It holds no random states, as every draw follows from seed and position (rng.py).
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vggfeat.errors import TrainingError
from vggfeat.pretraining.position import Position
from vggfeat.pretraining.schedule import Schedule
from vggfeat.storage import checksums
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.files import new_file

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)  # those of version 1 hold no digest
KEY = "vggfeat_checkpoint"
NUM_KEPT = 2
MODEL, MOMENTUM = "model.", "momentum."


def save_checkpoint(
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.SGD,
    position: Position,
    begun_with: Mapping[str, Any],
) -> Path:
    """Write a checkpoint and remove all but the last two. Raises OSError, as of a full disk."""
    tensors = {f"{MODEL}{name}": value for name, value in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        momentum = optimiser.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"{MOMENTUM}{name}"] = momentum
    about = {
        "schema_version": SCHEMA_VERSION,
        "begun_with": begun_with,
        "position": asdict(position),
    }
    path = folder / f"{position.step:09d}.safetensors"
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = BytesIO(save(plain, {KEY: json.dumps(about), **checksums.BLANK}))
    checksums.seal_file(content)
    with new_file(path) as file:
        file.write(content.getbuffer())
    for old in checkpoints(folder)[:-NUM_KEPT]:
        old.unlink(missing_ok=True)
    return path


def remove_unfinished(folder: Path) -> None:
    """Remove the files that a process left which was killed while it wrote."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """The folder's checkpoints, the oldest first."""
    paths = [path for path in folder.glob("*.safetensors") if re.fullmatch("[0-9]+", path.stem)]
    return sorted(paths, key=lambda path: int(path.stem))


def resume(
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.SGD,
    begun_with: Mapping[str, Any],
) -> Position | None:
    """Put the last checkpoint into net and optimiser; its position, or None if there is none.

    Raises TrainingError if it is damaged or of a run that was begun under other conditions.
    """
    paths = checkpoints(folder)
    if not paths:
        return None
    path, older = paths[-1], paths[:-1]
    try:
        about, tensors = _read(path)
        position = Position(**about["position"] | {"schedule": None})
        position.schedule = Schedule(**about["position"]["schedule"])
        _check_kinds(position)
        _check_kinds(position.schedule)
        begun = about["begun_with"]
    except (
        SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError
    ) as error:  # fmt: skip
        raise TrainingError(_damaged(path, error, older)) from error
    _check_same_run(folder, begun, begun_with)
    try:
        _restore(net, optimiser, tensors)
    except (KeyError, RuntimeError) as error:
        raise TrainingError(_damaged(path, error, older)) from error
    return position


def _check_kinds(values: Position | Schedule) -> None:
    """Raise TypeError at a number that is none, as in a file that somebody edited."""
    for field in fields(values):
        value = getattr(values, field.name)
        kinds = {int: (int,), float: (int, float), bool: (bool,)}.get(field.type)
        if kinds and (type(value) not in kinds or not abs(value) <= sys.float_info.max):
            raise TypeError(f"{field.name} is {value!r}")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    checksums.metadata_of(path, KEY)  # raises if the file is damaged
    with safe_open(path, framework="pt") as file:
        about = parse_json((file.metadata() or {})[KEY])
        if about["schema_version"] not in READABLE:
            raise ValueError(f"schema version {about['schema_version']}, not {SCHEMA_VERSION}")
        return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@torch.no_grad()
def _restore(net: nn.Module, optimiser: torch.optim.SGD, tensors: Mapping[str, Tensor]) -> None:
    weights = {k.removeprefix(MODEL): v for k, v in tensors.items() if k.startswith(MODEL)}
    net.load_state_dict(weights)
    for name, parameter in net.named_parameters():
        momentum = tensors.get(f"{MOMENTUM}{name}")
        if momentum is not None:
            # In the parameter's own memory format, or the next run's sums differ in the last bit.
            optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(
                momentum
            )


def _damaged(path: Path, error: Exception, older: list[Path]) -> str:
    advice = f"Remove it to go on from {older[-1].name}." if older else "Remove it to begin again."
    return f"{path}: not a whole checkpoint ({type(error).__name__}). {advice}"


def _check_same_run(folder: Path, begun: Any, asked: Mapping[str, Any]) -> None:
    asked = json.loads(json.dumps(asked))  # tuples are lists then, as in what was read
    if begun != asked:
        raise TrainingError(
            f"{folder.parent}: the run there was begun otherwise: {first_difference(begun, asked)}."
            " Ask for the same, choose another --out, or remove the folder to begin again."
        )


def first_difference(begun: Any, asked: Any) -> str:
    """The first difference of two nested tables of plain values, both sides in words."""
    was, is_ = _flat(begun), _flat(asked)
    names = (n for n in [*is_, *was] if was.get(n, ...) != is_.get(n, ...))
    name = next(names, "")  # none where an empty table is on one side alone
    # A digest, or many digits, would say no more than that they differ.
    for prefix, difference in (("data", "other pictures"), ("colours", "other colours"),
                               ("start", "other weights to start from")):  # fmt: skip
        if name.startswith(prefix):
            return difference
    return f"{name} was {was.get(name)!r}, now it is {is_.get(name)!r}"


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested names joined by dots."""
    if not isinstance(values, Mapping):
        return {prefix: values}
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else str(name))
    return flat
