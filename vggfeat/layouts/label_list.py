"""A CSV file of labelled pictures: the columns path and label, and split if there is one.

    path,label,split
    dog/1.jpg,dog,train
    street.jpg,car;person,test      several labels make the whole list multi-label

Paths are relative to the list's folder and stay below it. Columns may come in any order, others are
ignored; semicolons or tabs may separate them. Repeated lines count once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.csv_lines import read_lines
from vggfeat.layouts.own_pictures import (
    LabelledPictures,
    alike,
    check_text,
    is_there,
    labels_of,
    named,
    part_of,
    picture_id,
)

REQUIRED, SPLIT = (("path",), ("label",)), "split"
COLUMNS = "the columns path and label, each once, and split if there is one"


@dataclass(frozen=True)
class _Line:
    """A line of the list: its number in the file, the picture's id, classes and part."""

    number: int
    id: str
    labels: tuple[str, ...]
    part: str


def read_list(path: Path) -> LabelledPictures:
    """The pictures that a CSV file lists.

    Raises DatasetError, with the line where there is one, at a file that is no CSV in UTF-8 with
    these columns, at a path that leaves the folder, at pictures that are not there, at labels or
    splits that are missing, unknown or contradict each other.
    """
    root = path.parent
    lines = list(_lines(path))
    absent = [line for line in lines if not is_there(root, line.id)]
    if absent:
        more = f" and {len(absent) - 1:,} more of {len(lines):,} lines" if absent[1:] else ""
        raise DatasetError(
            f"{path}, line {absent[0].number}: no such picture, {root / absent[0].id}{more}. Paths"
            f" are relative to {root}."
        )
    pictures = [line for line in lines if line.id.lower().endswith(PICTURE_SUFFIXES)]
    if not pictures:
        raise DatasetError(f"{path}: lists no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    is_multi_label = any(len(line.labels) > 1 for line in pictures)
    labels, remarks = _labels(path, pictures, is_multi_label)
    parts = _parts(path, pictures)
    others = [line.id for line in lines if not line.id.lower().endswith(PICTURE_SUFFIXES)]
    if others:
        remarks.insert(0, f"left out, no pictures: {named(others)}")
    ids = sorted(labels)
    classes = {name for names in labels.values() for name in names}
    return LabelledPictures(
        root=root,
        labels={i: labels[i] for i in ids},
        parts=parts and {i: parts[i] for i in ids},
        is_multi_label=is_multi_label,
        remarks=remarks,
        warnings=alike(sorted(classes)),
    )


def _lines(path: Path) -> Iterator[_Line]:
    """The lines below the header, checked each by itself."""
    for number, values in read_lines(path, REQUIRED, COLUMNS, optional=(SPLIT,)):
        where = f"{path}, line {number}"
        check_text(values["label"], where)
        yield _Line(
            number,
            picture_id(values["path"], path.parent, where),
            labels_of(values["label"]),
            part_of(values.get(SPLIT, ""), where),
        )


def _labels(
    path: Path, lines: list[_Line], is_multi_label: bool
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The classes of each picture, and remarks on lines that repeat one."""
    first: dict[str, _Line] = {}
    labels: dict[str, tuple[str, ...]] = {}
    num_repeated = 0
    for line in lines:
        if not line.labels and not is_multi_label:
            raise DatasetError(f"{path}, line {line.number}: {line.id!r} has no label.")
        earlier = labels.get(line.id)
        if earlier is None:
            first[line.id], labels[line.id] = line, line.labels
            continue
        num_repeated += 1
        if set(earlier) != set(line.labels) and not is_multi_label:
            raise DatasetError(
                f"{path}, line {line.number}: {line.id!r} is {line.labels[0]!r}, and in line"
                f" {first[line.id].number} {earlier[0]!r}. Each picture has one label, or some have"
                f" several in one line, '{earlier[0]};{line.labels[0]}'."
            )
        labels[line.id] = tuple(dict.fromkeys((*earlier, *line.labels)))
    what = "their labels are put together" if is_multi_label else "each counts once"
    remarks = [f"lines that repeat a picture: {num_repeated:,}; {what}"] if num_repeated else []
    return labels, remarks


def _parts(path: Path, lines: list[_Line]) -> dict[str, str] | None:
    """The part of each picture; None if no line names one."""
    if not any(line.part for line in lines):
        return None
    parts: dict[str, str] = {}
    for line in lines:
        where = f"{path}, line {line.number}: {line.id!r}"
        if not line.part:
            raise DatasetError(f"{where} has no split, and others have. Give all of them one.")
        if parts.setdefault(line.id, line.part) != line.part:
            raise DatasetError(f"{where} is of {line.part}, and of {parts[line.id]} before.")
    return parts
