"""The published numbers of published.csv: a row each, with its protocol and source."""

import codecs
import csv
from dataclasses import MISSING, dataclass, fields
from functools import cache
from math import isfinite
from pathlib import Path

from vggfeat.errors import RecordError

PUBLISHED = Path(__file__).with_name("published.csv")
CLASSIFICATION, LOCALISATION = "ilsvrc_classification", "ilsvrc_localisation"


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One published number, in % as printed, and what its source states of the protocol.

    The points of a protocol are text, as a record's settings are in tables ("256 384 512", "yes");
    an empty one was not stated. Of several networks the texts are joined by "+".
    """

    benchmark: str
    metric: str
    value: float  # %
    spread: float | None = None  # over the splits, in percent points
    source: str  # the publication and its table
    table: str = ""  # number of the table in Simonyan & Zisserman (2014)
    kind: str = "very deep"  # "earlier", "best shallow", "very deep" or "later"
    method: str
    network: str = ""  # empty for other people's methods
    weights: str = ""
    train_scales: str = ""  # S of each network
    scales: str = ""  # Q; of several networks on ILSVRC the list of each
    view: str = ""
    aggregate: str = ""
    mirror: str = ""
    regressor: str = ""
    tuned: str = ""
    classifier: str = ""
    classes: str = ""
    train_per_class: str = ""
    test_per_class: str = ""
    trained_on: str = ""
    scored_on: str = ""
    set: str = ""  # pictures of ILSVRC: "val", "test" or, one number for both, "val/test"
    splits: str = ""
    images: str = ""
    notes: str = ""


@cache
def read_published() -> tuple[PublishedRow, ...]:
    """Every row of published.csv, in the order of the file; an empty cell was not stated."""
    return read_rows(PUBLISHED)


def read_rows(path: Path) -> tuple[PublishedRow, ...]:
    """Every row of a file such as published.csv. Raises RecordError naming file and line."""
    rows, number = [], 1
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        lines = []
        for number, line in enumerate(content.splitlines(keepends=True), start=1):  # noqa: B007
            lines.append(line.decode())
        reader, number = csv.DictReader(lines, strict=True), 1
        reader.fieldnames  # noqa: B018 (reads the header)
        while True:
            number = reader.reader.line_num + 1
            rows.append(_row(next(reader)))
    except StopIteration:
        return tuple(rows)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}).") from error
    except (csv.Error, ValueError) as error:
        raise RecordError(
            f"{path}, line {number}: not a published number ({error}). Correct the line, or install"
            " vggfeat again."
        ) from error


def _row(line: dict[str | None, str | None]) -> PublishedRow:
    """Raises ValueError if a cell is missing, left over or of another kind."""
    names = [field.name for field in fields(PublishedRow)]
    if None in line or None in line.values():
        raise ValueError("it has more or fewer cells than the header")
    if odd := set(line) - set(names):
        raise ValueError(f"there is no column {min(odd)!r}")
    needed = {field.name for field in fields(PublishedRow) if field.default is MISSING}
    if empty := [name for name in names if name in needed and not line.get(name)]:
        raise ValueError(f"{empty[0]!r} is empty")
    value, spread = float(line["value"]), float(line["spread"]) if line.get("spread") else None
    if not (isfinite(value) and isfinite(spread or 0)):
        raise ValueError("a number is not finite")
    return PublishedRow(**line | {"value": value, "spread": spread})
