"""A CSV file of labelled pictures: the columns path and label, and split if there is one.

    path,label,split
    dog/1.jpg,dog,train
    street.jpg,car;person,test      several labels make the whole list multi-label

Paths are relative to the list's folder and stay below it. Columns may come in any order, others are
ignored; semicolons or tabs may separate them. Repeated lines count once.
"""

import csv
import io
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.own_pictures import (
    PART_NAMES,
    PARTS,
    LabelledPictures,
    alike,
    check_text,
    named,
)

REQUIRED, SPLIT = ("path", "label"), "split"
DELIMITERS = (",", ";", "\t")
LABEL_SEPARATOR = ";"


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
    absent = [line for line in lines if not _is_there(root, line.id)]
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
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8. Save it as CSV in UTF-8.") from error
    delimiter, places = _header(path, text)
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter, strict=True)
    try:
        width = len(next(reader))
        for values in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(map(str.strip, values)):
                continue
            if len(values) != width:
                raise DatasetError(
                    f"{where}: has {len(values)} values, and the header {width} columns. Put quotes"
                    f" around what holds a {delimiter!r}."
                )
            picture, label, part = (
                values[places[c]].strip() if c in places else "" for c in (*REQUIRED, SPLIT)
            )
            if part and part.lower() not in PART_NAMES:
                raise DatasetError(f"{where}: split {part!r} is none of {', '.join(PARTS)}.")
            check_text(label, where)
            names = (unicodedata.normalize("NFC", n.strip()) for n in label.split(LABEL_SEPARATOR))
            yield _Line(
                reader.line_num,
                _id_of(picture, path.parent, where),
                tuple(dict.fromkeys(filter(None, names))),
                PART_NAMES.get(part.lower(), ""),
            )
    except csv.Error as error:
        raise DatasetError(
            f"{path}, line {reader.line_num}: is no CSV ({error}). Close every quote that is"
            " opened."
        ) from error


def _header(path: Path, text: str) -> tuple[str, dict[str, int]]:
    """The delimiter, and the place of each column that is used."""
    first = (text.splitlines() or [""])[0]
    for delimiter in DELIMITERS:
        try:
            columns = [c.strip().lower() for c in next(csv.reader([first], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            break
        if all(columns.count(name) == 1 for name in REQUIRED) and columns.count(SPLIT) <= 1:
            return delimiter, {name: columns.index(name) for name in columns}
    shown = first if len(first) <= 60 else f"{first[:60]}..."
    raise DatasetError(
        f"{path}: the first line must name the columns path and label, each once, and split if"
        f" there is one; it is {shown!r}."
    )


def _id_of(text: str, root: Path, where: str) -> str:
    """The picture's relative path, in the form that its file has on disk."""
    if not text or "\0" in text:
        raise DatasetError(f"{where}: no path.")
    if text.startswith(("/", "~")) or PureWindowsPath(text).is_absolute():
        raise DatasetError(f"{where}: {text!r} is no relative path. Write it as seen from {root}.")
    slashed = text.replace("\\", "/")
    if ".." in slashed.split("/"):
        raise DatasetError(f"{where}: {text!r} leaves the folder of the list, {root}, by '..'.")
    forms = (text, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")))
    ids = (PurePosixPath(form).as_posix() for form in forms)
    return next((i for i in ids if _is_there(root, i)), PurePosixPath(text).as_posix())


def _is_there(root: Path, i: str) -> bool:
    return os.path.isfile(f"{root}/{i}")  # a Path for each of 100,000 lines takes seconds


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
        known = labels.get(line.id)
        if known is None:
            first[line.id], labels[line.id] = line, line.labels
            continue
        num_repeated += 1
        if set(known) != set(line.labels) and not is_multi_label:
            raise DatasetError(
                f"{path}, line {line.number}: {line.id!r} is {line.labels[0]!r}, and in line"
                f" {first[line.id].number} {known[0]!r}. Each picture has one label, or some have"
                f" several in one line, '{known[0]};{line.labels[0]}'."
            )
        labels[line.id] = tuple(dict.fromkeys((*known, *line.labels)))
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
