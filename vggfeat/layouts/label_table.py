"""Labels of examples in a CSV file: the columns path (or id) and label, and split if there is one.

    path,label,split
    dog/1.jpg,dog,train
    street.jpg,car;person,test      several labels make the whole file multi-label

Nothing but the file itself is read: an id is a text, whether or not a picture lies there. Columns
may come in any order, others are ignored; semicolons or tabs may separate them.
"""

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vggfeat.errors import DatasetError
from vggfeat.layouts.own_pictures import PART_NAMES, PARTS

IDS, LABEL, SPLIT = ("path", "id"), "label", "split"
DELIMITERS = (",", ";", "\t")
LABEL_SEPARATOR = ";"
MAX_SHOWN = 60  # characters of a line that a message quotes


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """The classes of examples by their ids, in the order of the rows; N of each.

    `parts` has the part of the user's split, one of PARTS, of every row, and is None where nobody
    says. Raises DatasetError where ids repeat, a row of a single-label table has no label, or a
    text is none.
    """

    ids: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    parts: Sequence[str] | None = None

    def __post_init__(self):
        first, is_multi_label = dict[str, int](), self.is_multi_label
        for number, (i, names) in enumerate(zip(self.ids, self.labels, strict=True), start=1):
            if first.setdefault(i, number) != number:
                raise DatasetError(
                    f"rows {first[i]} and {number} have the same id, {i!r}. Leave one; several"
                    f" labels stand in one row, with {LABEL_SEPARATOR!r} between them."
                )
            if not names and not is_multi_label:
                raise DatasetError(f"row {number}, {i!r}, has no label.")
            if not all(map(_can_be_stored, (i, *names))):
                raise DatasetError(f"row {number}, {i!r}: holds characters that no text has.")

    @property
    def is_multi_label(self) -> bool:
        """Whether some row has several labels."""
        return any(len(names) > 1 for names in self.labels)


def read_label_table(path: Path) -> LabelTable:
    """The labels that a CSV file has.

    Raises DatasetError, with the row below the header where there is one, at a file that is no CSV
    in UTF-8 with these columns, and at ids, labels or splits that are missing, unknown or repeated.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8. Save it as CSV in UTF-8.") from error
    try:
        rows = list(_rows(text))
        if not rows:
            raise DatasetError("has no rows below its header.")
        ids, labels, parts = zip(*rows, strict=True)
        return LabelTable(ids=ids, labels=labels, parts=_parts(parts))
    except csv.Error as error:
        raise DatasetError(f"{path}: is no CSV ({error}).") from error
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def _can_be_stored(text: str) -> bool:
    """Whether a text fits in files of scores: it is Unicode, and ends where its letters do."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _rows(text: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Id, labels and part of each row; the part is empty where none is named."""
    delimiter, places = _header(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width = len(next(reader))
    number = 0
    for values in reader:
        if not any(map(str.strip, values)):
            continue
        number += 1
        if len(values) != width:
            raise DatasetError(
                f"row {number} has {len(values)} values, and the header {width} columns. Put"
                f" quotes around what holds a {delimiter!r}."
            )
        i, label, part = (
            values[places[column]].strip() if column in places else ""
            for column in (places["ids"], LABEL, SPLIT)
        )
        if not i:
            raise DatasetError(f"row {number} has no {places['ids']}.")
        if part and part.lower() not in PART_NAMES:
            raise DatasetError(f"row {number}: split {part!r} is none of {', '.join(PARTS)}.")
        names = (unicodedata.normalize("NFC", n.strip()) for n in label.split(LABEL_SEPARATOR))
        labels = tuple(dict.fromkeys(filter(None, names)))
        is_path = places["ids"] == "path"
        yield (
            PurePosixPath(i).as_posix() if is_path else i,
            labels,
            PART_NAMES.get(part.lower(), ""),
        )


def _header(text: str) -> tuple[str, dict[str, int | str]]:
    """The delimiter, and the place of each column by its name; "ids" names the column of ids."""
    first = (text.splitlines() or [""])[0]
    for delimiter in DELIMITERS:
        columns = [name.strip().lower() for name in first.split(delimiter)]
        columns = [name.strip('"') for name in columns]
        of_ids = [name for name in IDS if name in columns]
        if of_ids and columns.count(LABEL) == 1 and len(set(columns)) == len(columns):
            return delimiter, {name: columns.index(name) for name in columns} | {"ids": of_ids[0]}
    shown = first if len(first) <= MAX_SHOWN else f"{first[:MAX_SHOWN]}..."
    raise DatasetError(
        "the first line must name the columns: path or id, and label, each once, and split if there"
        f" is one; it is {shown!r}."
    )


def _parts(parts: Sequence[str]) -> Sequence[str] | None:
    """The part of each row; None if no row names one."""
    if not any(parts):
        return None
    if "" in parts:
        raise DatasetError(
            f"row {parts.index('') + 1} has no split, and others have. Give all of them one."
        )
    return parts
