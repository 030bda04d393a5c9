"""Labels of examples in a CSV file: the columns path (or id) and label, and split if there is one.

    path,label,split
    dog/1.jpg,dog,train
    street.jpg,car;person,test      several labels make the whole file multi-label

Nothing but the file itself is read: an id is a text, whether or not a picture lies there. Columns
may come in any order, others are ignored; semicolons or tabs may separate them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vggfeat.errors import DatasetError
from vggfeat.layouts.csv_lines import read_lines
from vggfeat.layouts.own_pictures import LABEL_SEPARATOR, check_text, labels_of, part_of

IDS, SPLIT = ("path", "id"), "split"
COLUMNS = "the columns: path or id, and label, each once, and split if there is one"


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """The classes of examples by their ids, in the order of the rows; N of each.

    `parts` has the part of the user's split, one of PARTS, of every row, and is None where nobody
    says. Raises DatasetError where ids repeat, a row of a single-label table has no label, or an id
    or a label is a text that no file of results could hold.
    """

    ids: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    parts: Sequence[str] | None = None

    def __post_init__(self):
        first, is_multi_label = dict[str, int](), self.is_multi_label
        for number, (i, names) in enumerate(zip(self.ids, self.labels, strict=True), start=1):
            for text in (i, *names):
                check_text(text, f"row {number}")
            if first.setdefault(i, number) != number:
                raise DatasetError(
                    f"rows {first[i]} and {number} have the same id, {i!r}. Leave one; several"
                    f" labels of a CSV file stand in one row, with {LABEL_SEPARATOR!r} between."
                )
            if not names and not is_multi_label:
                raise DatasetError(f"row {number}, {i!r}, has no label.")

    @property
    def is_multi_label(self) -> bool:
        """Whether some row has several labels."""
        return any(len(names) > 1 for names in self.labels)


def read_label_table(path: Path) -> LabelTable:
    """The labels that a CSV file has.

    Raises DatasetError, with the row below the header where there is one, at a file that is no CSV
    in UTF-8 with these columns, and at ids, labels or splits that are missing, unknown or repeated.
    """
    lines = read_lines(path, (IDS, ("label",)), COLUMNS, optional=(SPLIT,))
    rows = [_row(values, f"{path}: row {n}") for n, (_, values) in enumerate(lines, start=1)]
    if not rows:
        raise DatasetError(f"{path}: has no rows below its header.")
    ids, labels, parts = zip(*rows, strict=True)
    try:
        return LabelTable(ids=ids, labels=labels, parts=_parts(parts))
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def _row(values: Mapping[str, str], where: str) -> tuple[str, tuple[str, ...], str]:
    """Id, labels and part of a row; the part is empty where none is named."""
    column = next(name for name in IDS if name in values)
    if not values[column]:
        raise DatasetError(f"{where} has no {column}.")
    i = PurePosixPath(values[column]).as_posix() if column == "path" else values[column]
    return i, labels_of(values["label"]), part_of(values.get(SPLIT, ""), where)


def _parts(parts: Sequence[str]) -> Sequence[str] | None:
    """The part of each row; None if no row names one."""
    if not any(parts):
        return None
    if "" in parts:
        raise DatasetError(
            f"row {parts.index('') + 1} has no split, and others have. Give all of them one."
        )
    return parts
