"""Result records: JSON, schema version 1, one per benchmark, nets and options.

    results/<benchmark>/<nets>-<key>.json
    results/<benchmark>/<nets>-<key>.scores.h5    the score of every test example, see scores.py

`key` is a digest of everything that decides the numbers, so a record is found again by what would
be measured, and another measurement never overwrites it. `sha256` is the digest of all
other fields; records of before have none. This module is the only writer of records.
"""

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vggfeat.durations import in_words
from vggfeat.errors import RecordError
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.storage.checksums import SEAL, is_damaged, parse_json, sealed
from vggfeat.storage.files import check_writable, new_file

SCHEMA_VERSION = 1
OPTIONAL = {"scores_sha256", "remarks", "name"}  # fields of Record that came later
REMEDY = "Move it out of the results folder."
PARTS_OF_EXTRACT = {"decode", "prepare", "forward", "store"}
# In the order that they are printed in.
STAGES = ("extract", "decode", "prepare", "forward", "store", "fit", "score")
WALL_STAGES = ("extract", "choose_C", "fit", "score")
# What tables rely on, so that a record edited by hand is refused in one line.
_KINDS = {
    "key": str, "benchmark": str, "title": str, "protocol": dict, "splits_sha256": str,
    "nets": list, "probe": dict, "metric": str, "metrics": dict, "n_train": list, "n_test": list,
    "skipped": dict, "notes": list, "limited": bool, "seconds": dict, "time": str,
    "scores_sha256": str | None, "remarks": list | None, "name": str | None,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measurement: what was measured, under which protocol, with what, and the numbers.

    Metric values are fractions of one. Every field is plain JSON.
    """

    schema_version: int
    key: str
    benchmark: str
    title: str
    protocol: dict[str, Any]  # version, classes, train_per_class, splits, scales, aggregate, ...
    splits_sha256: str
    nets: list[dict[str, Any]]  # name, weights, weights_sha256, features {file, sha256, ...}
    probe: dict[str, Any]  # solver, C grid, chosen C per split, convergence
    metric: str  # the headline among the metrics
    metrics: dict[str, dict[str, Any]]  # name -> value, spread, per_split, per_class
    n_train: list[int]  # pictures of each split, validation included
    n_test: list[int]
    skipped: dict[str, str]  # picture -> reason
    notes: list[str]  # what was done that the protocol does not foresee
    limited: bool  # measured with --limit: never comparable
    seconds: dict[str, float]  # by stage: of the wall, but decode and prepare summed over threads
    versions: dict[str, str]
    hardware: dict[str, Any]
    git: dict[str, Any] | None
    command: str
    time: str  # UTC, ISO 8601
    scores_sha256: str | None = None  # of the file of scores beside it; older records have none
    # What is odd in the numbers: vectors that say nothing, hyper-parameters without a choice.
    remarks: list[str] = field(default_factory=list)
    name: str = ""  # that the user gave the nets, by which tables show them

    def __repr__(self) -> str:
        value = f"{self.metric} {100 * self.metrics[self.metric]['value']:.1f} %"
        return f"<Record: {self.title}, {self.method}, {value}>"

    @property
    def net(self) -> str:
        """The nets without their weights, such as vgg16+vgg19."""
        return "+".join(net["name"] for net in self.nets)

    @property
    def method(self) -> str:
        """The nets as tables show them: the name that the user gave, else all with weights."""
        return self.name or self.nets_with_weights

    @property
    def nets_with_weights(self) -> str:
        """The nets with their weights; features made elsewhere have none, and are their file."""
        return "+".join("@".join(filter(None, (n["name"], n["weights"]))) for n in self.nets)

    @property
    def wall_seconds(self) -> dict[str, float]:
        """The seconds of the stages that follow each other: extract, choose_C, fit, score."""
        return {stage: self.seconds[stage] for stage in WALL_STAGES if self.seconds.get(stage)}

    @property
    def timing(self) -> str:
        """The seconds of each stage, and its share that has most of them; empty if none took any.

        Stages that run at the same time are listed one by one: they add up to no wall time.
        """
        seconds = dict(self.seconds)
        seconds["fit"] = seconds.pop("choose_C", 0) + seconds.get("fit", 0)
        if PARTS_OF_EXTRACT & seconds.keys():
            seconds.pop("extract", None)
        taken = {stage: spent for stage in STAGES if (spent := seconds.get(stage))}
        if not taken:
            return ""
        stages = ", ".join(f"{stage} {in_words(spent, '.1f')}" for stage, spent in taken.items())
        most = max(taken, key=taken.__getitem__)
        return f"{stages}; most: {most} {100 * taken[most] / sum(taken.values()):.0f} %"


def new_record(*, device: str, **facts: Any) -> Record:
    """A record of these facts, with what every record says of how it was made.

    device, as torch calls it, is what was computed on.
    """
    return Record(
        schema_version=SCHEMA_VERSION,
        versions=library_versions(),
        hardware=hardware(device),
        git=git_state(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    )


def key_of(conditions: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that differ where conditions, plain JSON, differ."""
    text = json.dumps(conditions, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def path_of(folder: Path, benchmark: str, net: str, key: str) -> Path:
    """Where the record of this benchmark, nets and key lies."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "_", net)[:80]
    return folder / benchmark / f"{slug}-{key}.json"


def prepare(folder: Path, benchmark: str) -> None:
    """Make the folder of a benchmark's records now. Raises RecordError if it cannot be written."""
    target = folder / benchmark
    try:
        check_writable(target)
    except OSError as error:
        raise RecordError(
            f"{target}: records cannot be written there ({error.strerror}). Choose another --out"
            " (in Python out=)."
        ) from error


def write(record: Record, folder: Path) -> Path:
    """Write a record, whole or not at all, and return its path."""
    path = path_of(folder, record.benchmark, record.net, record.key)
    with new_file(path) as file:
        file.write(json.dumps(sealed(_fields(record)), indent=1).encode() + b"\n")
    return path


def to_json(record: Record) -> str:
    """The record as indented JSON, without empty fields that older records lack."""
    return json.dumps(_fields(record), indent=1)


def _fields(record: Record) -> dict[str, Any]:
    values = asdict(record)
    return {name: value for name, value in values.items() if name not in OPTIONAL or value}


def read(path: Path) -> Record:
    """Read one record. Raises RecordError naming the file and what is wrong with it."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a JSON file ({error}). {REMEDY}") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(f"{path}: not a record of schema version {SCHEMA_VERSION}. {REMEDY}")
    names = {field.name for field in fields(Record)}
    for problem, keys in (
        ("lacks", names - OPTIONAL - content.keys()),
        ("has an unknown", content.keys() - names - {SEAL}),
    ):
        if keys:
            raise RecordError(f"{path}: the record {problem} field {min(keys)!r}.")
    for name, kind in _KINDS.items():
        value = content.get(name) if name in OPTIONAL else content[name]
        if not isinstance(value, kind):
            expected = getattr(kind, "__name__", "str")
            raise RecordError(f"{path}: field {name!r} is {type(value).__name__}, not {expected}.")
    record = Record(**{name: value for name, value in content.items() if name != SEAL})
    if record.metric not in record.metrics:
        raise RecordError(f"{path}: the record has no value for its metric {record.metric!r}.")
    for part, is_sound in _PARTS.items():
        if not is_sound(record):
            raise RecordError(f"{path}: the record's {part} are malformed.")
    if is_damaged(content):
        raise RecordError(
            f"{path}: the record is not as it was written: its digest is another. {REMEDY}"
        )
    return record


def find_record(path: Path, *, may_skip: bool) -> Record | None:
    """The existing record, unless it skipped pictures and the caller wants none skipped.

    Raises RecordError if it is damaged.
    """
    if not path.is_file():
        return None
    record = read(path)
    if record.key not in path.name:
        raise RecordError(f"{path}: is the record of another measurement, {record.key}. {REMEDY}")
    return record if may_skip or not record.skipped else None


def read_all(folder: Path) -> list[Record]:
    """Every record under a results folder: by benchmark, number of nets, nets, shots and time."""
    if not folder.is_dir():
        raise RecordError(f"{folder}: no such results folder. `vggfeat bench` makes one.")
    records = [read(path) for path in sorted(folder.glob("*/*.json"))]
    return sorted(records, key=_order)


def _order(record: Record) -> tuple:
    """Few pictures come behind all, in the order of their numbers."""
    shots = record.protocol.get("shots", 0)
    return record.benchmark, len(record.nets), record.method, shots, record.time


def _are_nets(record: Record) -> bool:
    return bool(record.nets) and all(
        isinstance(net, dict)
        and isinstance(net.get("name"), str)
        and isinstance(net.get("weights"), str)
        and _are_whole(net.get("scales", []))
        for net in record.nets
    )


def _are_metrics(record: Record) -> bool:
    """Values are numbers; the headline is finite, beside a spread that may be None."""
    are_numbers = all(
        isinstance(metric, dict)
        and isinstance(metric.get("value"), float)
        and isinstance(metric.get("spread"), float | None)
        for metric in record.metrics.values()
    )
    if not are_numbers or "spread" not in record.metrics[record.metric]:
        return False
    headline = [record.metrics[record.metric][name] for name in ("value", "spread")]
    return all(math.isfinite(number) for number in headline if number is not None)


def _are_whole(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(number) is int for number in numbers)


# The parts that tables look into, with what says whether they are of the right kind.
_PARTS: dict[str, Callable[[Record], bool]] = {
    "nets or metrics": lambda r: _are_nets(r) and _are_metrics(r),
    "counts of pictures": lambda r: bool(r.n_test) and _are_whole(r.n_train + r.n_test),
    "scales": lambda r: _are_whole(r.protocol.get("scales", [])),
    "splits": lambda r: _are_whole([r.protocol.get(name, 1) for name in ("splits", "shots")]),
    "seconds": lambda r: all(
        type(s) in (int, float) and abs(s) <= sys.float_info.max for s in r.seconds.values()
    ),
}
