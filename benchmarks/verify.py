"""Files of every kind, seen to be as they were written: by the checksums that lie in them.

What a file is follows from its name and its first bytes. Nothing in a file is executed.
"""

import gzip
import itertools
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from vggfeat.backbones.exported import onnx_graph
from vggfeat.backbones.from_file import check_entries
from vggfeat.backbones.spec import EXPORTED_SUFFIXES
from vggfeat.benchmarks.ilsvrc import predictions
from vggfeat.benchmarks.rescoring import differences
from vggfeat.errors import RecordError, StoreError, VggfeatError, reason_of
from vggfeat.features import store
from vggfeat.features.shards import folder as shards
from vggfeat.features.shards.summary import checked_index, inspect_folder, shard_folder_of
from vggfeat.plurals import counted
from vggfeat.probes import probe_file
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.records.scores import read_scores, scores_path
from vggfeat.storage import checksums, hdf5, seen
from vggfeat.storage.archives import ARCHIVE_SUFFIXES
from vggfeat.storage.checksums import is_damaged, is_sealed, parse_json
from vggfeat.storage.files import sha256_of
from vggfeat.weights import checkpoint, formats

Status = Literal["sound", "no checksums", "damaged", "not checked"]
# Whose JSON holds a schema version.
KEYS = (checkpoint.KEY, "vggfeat_checkpoint", predictions.KEY, probe_file.KEY)
DAMAGED_SUFFIX = ".damaged"
COLOURS = "colours.json"  # of a run of training, which has no schema version
BROKEN_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class Finding:
    """What was found out about a file, in words."""

    path: Path
    status: Status
    text: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.status}{f', {self.text}' if self.text else ''}"


def files_below(folder: Path) -> "Iterator[Path | Finding]":
    """The files below a folder that `findings` knows, in order; hidden ones are left out.

    And a finding for each folder that cannot be read. Links to folders are followed, each once.
    """
    unread: list[OSError] = []
    seen_folders: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=unread.append, followlinks=True):
        real = os.path.realpath(place)
        if real in seen_folders:
            folders.clear()
            continue
        seen_folders.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place) / name for name in sorted(names) if not name.startswith(".")):
            if path.is_file() and _verifier(path):
                yield path
    for error in unread:
        yield Finding(Path(error.filename), "not checked", f"cannot be read ({error.strerror})")


def findings(path: Path, *, repair: bool = False) -> Iterator[Finding]:
    """What there is to say of a file; repair=True makes feature files usable again."""
    if not path.is_file():
        yield Finding(path, "damaged", "no such file")
        return
    verify = _verifier(path)
    if verify is None:
        yield Finding(path, "not checked", "of no kind that is known here")
        return
    try:
        found = list(verify(path))
    except (VggfeatError, OSError, SafetensorError, ValueError, *BROKEN_ARCHIVE) as error:
        text = " ".join(reason_of(error).split()).removeprefix(f"{path}: ")
        found = [Finding(path, "damaged", text)]
    yield from found
    mend = {_feature_file: _repaired, _shards_index: _without_index}.get(verify)
    if repair and mend and any(f.status == "damaged" for f in found):
        try:
            yield mend(path)
        except OSError as error:
            yield Finding(path, "damaged", f"cannot be repaired ({error.strerror or error})")


def _verifier(path: Path) -> Callable[[Path], Iterator[Finding]] | None:
    name = path.name.lower()
    if name.endswith(".scores.h5"):
        return _scores
    if name in (shards.NAME, shards.INDEX) and shards.is_shard_folder(path.parent):
        return _shards_manifest if name == shards.NAME else _shards_index
    if name.endswith(".h5"):
        return _feature_file
    if name.endswith(".card.json"):
        return None  # it is looked at with its file
    if name.endswith(".json"):
        return _json
    if name.endswith(checkpoint.SUFFIX):
        return _tensors
    is_weights = formats.kind_of(path) in formats.FORMATS or name.endswith(EXPORTED_SUFFIXES)
    return _first_seen if is_weights or name.endswith(ARCHIVE_SUFFIXES) else None


def _feature_file(path: Path) -> Iterator[Finding]:
    if not store.is_feature_file(path):
        yield Finding(path, "not checked", _why_foreign(path))
        return
    try:
        facts = store.inspect(path)
    except StoreError as error:
        if "schema version" not in str(error):
            raise
        yield Finding(path, "not checked", "of a schema version that this program does not know")
        return
    rows = f"{facts.num_done:,} of {counted(facts.num_rows, 'row is', 'rows are')} done"
    if facts.damaged is None:
        yield Finding(path, "no checksums", f"of schema version 1; {rows}")
    elif facts.damaged:
        damaged = counted(len(facts.damaged), "row is", "rows are")
        text = f"{damaged} not as written, {facts.damaged[0]!r} among them"
        yield Finding(path, "damaged", text)
    else:
        yield Finding(path, "sound", rows)


def _shards_manifest(path: Path) -> Iterator[Finding]:
    facts = inspect_folder(path.parent)
    if facts.missing and facts.facts is None and not (path.parent / shards.INDEX).exists():
        text = f"{len(facts.missing):,} of {counted(facts.manifest.num_parts, 'shard')}"
        yield Finding(path, "sound", f"{text} are still to be made")
    elif facts.missing:
        yield Finding(path, "damaged", f"{facts.missing[0]} is missing")
    else:
        yield Finding(path, "sound", f"{counted(facts.manifest.num_parts, 'shard')}")


def _shards_index(path: Path) -> Iterator[Finding]:
    facts = checked_index(shards.ShardFolder(path.parent), whole=True)
    repeated = f", {facts.num_duplicates:,} of them repeated" if facts.num_duplicates else ""
    yield Finding(path, "sound", f"{counted(facts.num_rows, 'id')}{repeated}")


def _without_index(path: Path) -> Finding:
    path.unlink()
    return Finding(path, "not checked", "removed: the same extraction makes it anew")


def _why_foreign(path: Path) -> str:
    """What is said of an HDF5 file that does not show that it is ours: it is never moved."""
    try:
        hdf5.open_file(path).close()
    except hdf5.Damaged as error:  # whose it is cannot be seen, nor if it is only too large
        return str(error).removeprefix("damaged: ")
    except OSError:
        pass  # no HDF5 file at all
    return "no feature file of vggfeat"


def _repaired(path: Path) -> Finding:
    """Damaged rows count as missing from now on; a file that cannot be read is put aside.

    A shard is moved to where the next extraction looks for what others have begun.
    """
    try:
        count = store.forget_damaged(path)
        if of_part := shard_folder_of(path):
            folder, part = of_part
            path.rename(folder.begun(part, "repaired"))
    except StoreError:
        numbers = (f".{number}" if number else "" for number in itertools.count())
        names = (path.with_name(f"{path.name}{DAMAGED_SUFFIX}{number}") for number in numbers)
        aside = next(name for name in names if not name.exists())
        path.rename(aside)
        return Finding(path, "not checked", f"put aside as {aside.name}: it is made again whole")
    return Finding(
        path,
        "not checked",
        f"{counted(count, 'row is', 'rows are')} extracted again at the next use",
    )


def _scores(path: Path) -> Iterator[Finding]:
    record_path = path.with_name(path.name.removesuffix(".scores.h5") + ".json")
    digest = records.read(record_path).scores_sha256 if record_path.is_file() else None
    read_scores(path, digest)
    if digest is None:
        yield Finding(path, "no checksums", "no record beside it holds its digest")
    else:
        yield Finding(path, "sound", "its digest is that of its record")


def _json(path: Path) -> Iterator[Finding]:
    values = parse_json(path.read_bytes())
    names = values.keys() if isinstance(values, dict) else set()
    is_ours = bool(names & {"schema_version", "benchmark", "stage"}) or path.name == COLOURS
    is_ours &= isinstance(values, dict)
    if not is_ours:
        yield Finding(path, "not checked", "no record of vggfeat")
    elif "benchmark" in values and "metrics" in values:
        yield from record_findings(path, records.read(path))
    elif is_damaged(values):
        yield Finding(path, "damaged", "its digest is another")
    else:
        told = "" if is_sealed(values) else "written before there were any"
        yield Finding(path, "sound" if is_sealed(values) else "no checksums", told)
        yield from _trained(path, values)


def _trained(path: Path, values: dict[str, Any]) -> Iterator[Finding]:
    """Whether the weights beside a record of training are those that it tells of."""
    weights, file = values.get("weights"), path.with_suffix(checkpoint.SUFFIX)
    if isinstance(weights, dict) and file.is_file():
        if weights.get("sha256") == sha256_of(file):
            yield Finding(file, "sound", f"its digest is that of {path.name}")
        else:
            yield Finding(file, "damaged", f"is not the file that {path.name} tells of")


def record_findings(path: Path, record: Record) -> Iterator[Finding]:
    """What there is to say of a record and of the scores beside it."""
    sealed = is_sealed(parse_json(path.read_bytes()))
    yield Finding(path, "sound" if sealed else "no checksums", "" if sealed else "of before")
    if record.key not in path.name:
        yield Finding(path, "damaged", f"its name is that of another record than {record.key}")
    beside = scores_path(path)
    if record.scores_sha256 is None:
        return
    scores = read_scores(beside, record.scores_sha256)
    count, wrong = differences(record, scores)
    for text in wrong:
        yield Finding(path, "damaged", text)
    if count and not wrong:
        yield Finding(beside, "sound", "the metrics of the record follow from it")


def _tensors(path: Path) -> Iterator[Finding]:
    metadata = {}
    for key in KEYS:
        metadata = checksums.metadata_of(path, key)
    with safe_open(path, framework="np"):
        pass
    if checksums.SEAL in metadata:
        yield Finding(path, "sound")
    else:
        yield from _first_seen(path)


def _first_seen(path: Path) -> Iterator[Finding]:
    if formats.card_path(path).is_file():  # it holds the digest of its file, and its own
        formats.read_card(path)
        yield Finding(path, "sound", "its digest is that of its card")
        return
    has_sums = _check_archive(path)
    for file in (path, *(onnx_graph.parts_of(path) if path.suffix.lower() == ".onnx" else ())):
        known, digest = seen.first_seen(file) is not None, sha256_of(file)
        if told := seen.difference(file, digest):
            yield Finding(file, "damaged", told.removeprefix(f"{file}: "))
        elif known or has_sums:
            told = f"as in {seen.digest_path(file).name}" if known else "as its own checksums say"
            yield Finding(file, "sound", told)
        else:
            yield Finding(file, "no checksums", f"seen for the first time: SHA-256 {digest}")


def _check_archive(path: Path) -> bool:
    """Whether a file has checksums by its format; raises what reading a damaged one raises."""
    if path.name.lower().endswith((".gz", ".tgz")):
        with gzip.open(path) as file:
            while file.read(2**20):
                pass
        return True
    if zipfile.is_zipfile(path):
        check_entries(path)
        return True
    return False


def read_record(path: Path) -> Record | None:
    """The record of a benchmark that a file is; None if it is something else, or damaged."""
    if path.suffix != ".json" or path.name.endswith(".card.json") or not path.is_file():
        return None
    try:
        return records.read(path)
    except RecordError:
        return None
