"""Records of speed: JSON, schema version 1, one file per benchmark and device.

    results/speed/<name>/<device>.json

A new measurement replaces the old one: only the newest of a speed counts.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vggfeat.benchmarks.speed.measuring import Row, Setup, SpeedResult, is_number
from vggfeat.errors import RecordError
from vggfeat.provenance import hardware, library_versions
from vggfeat.storage.checksums import SEAL, is_damaged, parse_json, sealed
from vggfeat.storage.files import new_file

SCHEMA_VERSION = 1
REMEDY = "`vggfeat bench-speed` makes it again."
# What tables rely on, so that a record edited by hand is refused in one line.
_KINDS = {
    "name": str, "device": str, "command": str, "time": str, "hardware": dict, "versions": dict,
    "git": dict | None, "repeats": int, "notes": list,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SpeedRecord:
    """The rows that a benchmark measured, with its settings, the machine and the code."""

    schema_version: int
    name: str
    device: str
    command: str
    hardware: dict[str, Any]
    versions: dict[str, str]
    git: dict[str, Any] | None
    time: str  # UTC, ISO 8601
    seconds: float  # of the whole benchmark
    repeats: int
    settings: dict[str, Any]
    limits: list[Row]  # what the machine can do
    rows: list[Row]
    notes: list[str]


def new_record(
    name: str,
    result: SpeedResult,
    setup: Setup,
    *,
    command: str,
    git: dict[str, Any] | None,
    seconds: float,
) -> SpeedRecord:
    """The record of a result of this machine, now; git is the state of the code that ran."""
    return SpeedRecord(
        schema_version=SCHEMA_VERSION,
        name=name,
        device=setup.device,
        command=command,
        hardware=hardware(setup.device) | _capacity(),
        versions=library_versions(),
        git=git,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        repeats=setup.repeats,
        settings=result.settings,
        limits=result.limits,
        rows=result.rows,
        notes=result.notes,
    )


def write(record: SpeedRecord, folder: Path) -> Path:
    """Write a record, whole or not at all, and return its path."""
    path = folder / record.name / f"{record.device}.json"
    content = asdict(record) | {
        name: [row.to_json() for row in getattr(record, name)] for name in ("limits", "rows")
    }
    with new_file(path) as file:
        file.write(json.dumps(sealed(content), indent=1).encode() + b"\n")
    return path


def read(path: Path) -> SpeedRecord:
    """Read a record. Raises RecordError naming the file and what is wrong with it."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read ({error}). {REMEDY}") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: not a record of speed of schema version {SCHEMA_VERSION}. {REMEDY}"
        )
    if content.keys() - {SEAL} != {field.name for field in fields(SpeedRecord)}:
        raise RecordError(f"{path}: lacks a field, or has an unknown one. {REMEDY}")
    try:
        rows = {name: _rows(content[name]) for name in ("limits", "rows")}
    except (TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path}: its rows are malformed ({error}). {REMEDY}") from error
    for name, kind in _KINDS.items():
        if not isinstance(content[name], kind):
            raise RecordError(f"{path}: field {name!r} is of another kind. {REMEDY}")
    machine, git = content["hardware"], content["git"]
    if not (
        {"cpu", "cores", "threads"} <= machine.keys()
        and is_number(machine.get("memory_gib", 0))
        and (git is None or (isinstance(git.get("commit"), str) and "dirty" in git))
        and "torch" in content["versions"]
        and all(isinstance(note, str) for note in content["notes"])
    ):
        raise RecordError(f"{path}: does not say on which machine, or with which code. {REMEDY}")
    if is_damaged(content):
        raise RecordError(f"{path}: not as it was written: its digest is another. {REMEDY}")
    content.pop(SEAL, None)
    return SpeedRecord(**(content | rows))


def read_all(folder: Path) -> list[SpeedRecord]:
    """Every record of a folder, sorted by name and device; none if there is no folder."""
    return [read(path) for path in sorted(folder.glob("*/*.json"))]


def _rows(values: list[Mapping[str, Any]]) -> list[Row]:
    return [Row.from_json(dict(row)) for row in values]


def _capacity() -> dict[str, float | int]:
    """Threads, cores and memory that this process may use."""
    capacity: dict[str, float | int] = {"threads": torch.get_num_threads()}
    if hasattr(os, "sched_getaffinity"):
        capacity["cores_available"] = len(os.sched_getaffinity(0))
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        capacity["memory_gib"] = round(pages / 2**30, 1)
    return capacity
