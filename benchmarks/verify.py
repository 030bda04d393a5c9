"""Files of every kind, seen to be as they were written: by the checksums that lie in them.

What a file is follows from its name and its first bytes. Nothing in a file is executed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from vggfeat.benchmarks.ilsvrc import predictions
from vggfeat.benchmarks.rescoring import differences
from vggfeat.errors import RecordError, StoreError, VggfeatError, reason_of
from vggfeat.features import store
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.records.scores import read_scores, scores_path
from vggfeat.storage import checksums, seen
from vggfeat.storage.archives import ARCHIVE_SUFFIXES
from vggfeat.storage.checksums import is_damaged, is_sealed
from vggfeat.storage.files import sha256_of
from vggfeat.weights import checkpoint, formats

Status = Literal["sound", "no checksums", "damaged", "not checked"]
KEYS = (checkpoint.KEY, "vggfeat_checkpoint", predictions.KEY)  # whose JSON holds a schema version
DAMAGED_SUFFIX = ".damaged"


@dataclass(frozen=True)
class Finding:
    """What was found out about a file, in words."""

    path: Path
    status: Status
    text: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.status}{f', {self.text}' if self.text else ''}"


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder that `findings` knows, in order; hidden ones are left out."""
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not is_hidden and _verifier(path):
            yield path


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
    except (VggfeatError, OSError, SafetensorError, ValueError) as error:
        text = " ".join(reason_of(error).split()).removeprefix(f"{path}: ")
        found = [Finding(path, "damaged", text)]
    yield from found
    if repair and verify is _feature_file and any(f.status == "damaged" for f in found):
        yield _repaired(path)


def _verifier(path: Path) -> Callable[[Path], Iterator[Finding]] | None:
    if path.name.endswith(".scores.h5"):
        return _scores
    if path.suffix == ".h5":
        return _feature_file
    if path.name.endswith(".card.json"):
        return None  # it is looked at with its file
    if path.suffix == ".json":
        return _json
    if path.suffix == checkpoint.SUFFIX:
        return _tensors
    if path.suffix in (*formats.SUFFIXES, ".pt2") or path.name.endswith(ARCHIVE_SUFFIXES):
        return _first_seen
    return None


def _feature_file(path: Path) -> Iterator[Finding]:
    facts = store.inspect(path)
    rows = f"{facts.num_done:,} of {facts.num_rows:,} rows are done"
    if facts.damaged is None:
        yield Finding(path, "no checksums", f"of schema version 1; {rows}")
    elif facts.damaged:
        text = f"{len(facts.damaged)} rows are not as written, {facts.damaged[0]!r} among them"
        yield Finding(path, "damaged", text)
    else:
        yield Finding(path, "sound", rows)


def _repaired(path: Path) -> Finding:
    """Damaged rows count as missing from now on; a file that cannot be read is put aside."""
    try:
        count = store.forget_damaged(path)
    except StoreError:
        aside = path.with_name(path.name + DAMAGED_SUFFIX)
        path.replace(aside)
        return Finding(path, "not checked", f"put aside as {aside.name}: it is made again whole")
    return Finding(path, "not checked", f"{count} rows are extracted again at the next use")


def _scores(path: Path) -> Iterator[Finding]:
    """Looked at with its record, which holds its digest; without one it has none."""
    record_path = path.with_name(path.name.removesuffix(".scores.h5") + ".json")
    if record_path.is_file() and records.read(record_path).scores_sha256:
        return
    read_scores(path)
    yield Finding(path, "no checksums", "no record beside it holds its digest")


def _json(path: Path) -> Iterator[Finding]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        return
    if "benchmark" in values and "metrics" in values:
        yield from record_findings(path, records.read(path))
    elif is_damaged(values):
        yield Finding(path, "damaged", "its digest is another")
    elif is_sealed(values):
        yield Finding(path, "sound")
    elif "schema_version" in values:
        yield Finding(path, "no checksums", "written before there were any")


def record_findings(path: Path, record: Record) -> Iterator[Finding]:
    """What there is to say of a record and of the scores beside it."""
    sealed = is_sealed(json.loads(path.read_text(encoding="utf-8")))
    yield Finding(path, "sound" if sealed else "no checksums", "" if sealed else "of before")
    beside = scores_path(path)
    if record.scores_sha256 is None:
        return
    scores = read_scores(beside, record.scores_sha256)
    wrong = list(differences(record, scores))
    for text in wrong:
        yield Finding(path, "damaged", text)
    if not wrong:
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
    known, digest = seen.first_seen(path) is not None, sha256_of(path)
    if told := seen.difference(path, digest):
        yield Finding(path, "damaged", told.removeprefix(f"{path}: "))
    elif known:
        yield Finding(path, "sound", f"as in {seen.digest_path(path).name}")
    else:
        yield Finding(path, "no checksums", f"seen for the first time: SHA-256 {digest}")


def read_record(path: Path) -> Record | None:
    """The record of a benchmark that a file is; None if it is something else, or damaged."""
    if path.suffix != ".json" or path.name.endswith(".card.json") or not path.is_file():
        return None
    try:
        return records.read(path)
    except RecordError:
        return None
