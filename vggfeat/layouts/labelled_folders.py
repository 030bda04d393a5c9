"""Folders whose names are the labels of the pictures in them, with or without train/ above them.

    <class>/**/*.jpg                    whatever lies deeper belongs to the class, too
    train/<class>/, val/<class>/, test/<class>/     a split of the user's, under these names

As torchvision's ImageFolder reads them. Links are followed, each folder once in a class. No file is
opened, so that 100,000 of them are listed in a second.
"""

import os
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.class_folders import check_utf8, is_picture
from vggfeat.layouts.own_pictures import (
    PART_NAMES,
    PARTS,
    LabelledPictures,
    alike,
    entries_of,
    named,
)


@dataclass
class _Scan:
    """What was seen in a folder of class folders; paths are relative to the root."""

    labels: dict[str, tuple[str]] = field(default_factory=dict)
    stray: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    deep: list[str] = field(default_factory=list)


def read_folders(root: Path) -> LabelledPictures:
    """The pictures below a folder, labelled by their class folders, in the parts that it has.

    Raises DatasetError where there are no class folders with pictures, at two folders of the same
    part, and at a name that is not UTF-8.
    """
    scan, parts, unlabelled = _Scan(), None, []
    part_folders = _part_folders(root)
    if part_folders:
        parts = {}
        for part, folder in part_folders.items():
            num_known = len(scan.labels)
            _scan_classes(root, folder, scan)
            parts |= dict.fromkeys(list(scan.labels)[num_known:], part)
        scan.stray += [e.name for e in entries_of(root) if e.name not in part_folders.values()]
        unlabelled = _leave_out_unlabelled(scan, parts)
    else:
        _scan_classes(root, "", scan)
    if not scan.labels:
        raise DatasetError(f"{root}: {_why_empty(scan)}")
    _check_nesting(root, scan, parts)
    ids = sorted(scan.labels)
    pictures = LabelledPictures(
        root=root,
        labels={i: scan.labels[i] for i in ids},
        parts=parts and {i: parts[i] for i in ids},
        remarks=_remarks(scan),
    )
    return replace(pictures, warnings=[*unlabelled, *alike(pictures.classes)])


def _leave_out_unlabelled(scan: _Scan, parts: dict[str, str]) -> list[str]:
    """Leave out parts without a class of train/, such as val/images/; a warning for each."""
    classes: dict[str, set[str]] = {}
    for i, part in parts.items():
        classes.setdefault(part, set()).update(scan.labels[i])
    known = classes.get("train", set())
    others = {part: names for part, names in classes.items() if known and not known & names}
    for i in [i for i, part in parts.items() if part in others]:
        del scan.labels[i], parts[i]
    return [
        f"{part} left out, none of its folders is one of train: {named(sorted(names))}"
        for part, names in others.items()
    ]


def _part_folders(root: Path) -> dict[str, str]:
    """Part -> its folder's name, where class folders lie below train/ and the like.

    A folder of that name without folders in it is a class that is called so, or holds pictures
    without labels; so is a train/ with other folders beside it, but neither val/ nor test/.
    """
    folders: dict[str, str] = {}
    others = []
    for entry in filter(_is_folder, entries_of(root)):
        part = PART_NAMES.get(entry.name.lower())
        if part is None:
            others.append(entry.name)
        elif any(map(_is_folder, entries_of(Path(entry.path)))):
            if part in folders:
                raise DatasetError(
                    f"{root}: {folders[part]}/ and {entry.name}/ mean the same part of a split."
                    " Leave one of them."
                )
            folders[part] = entry.name
    if others and not {"train"} < folders.keys():
        return {}
    return {part: folders[part] for part in PARTS if part in folders}


def _scan_classes(root: Path, folder: str, scan: _Scan) -> None:
    """Add the pictures of root/<folder>/<class>/ to what was seen."""
    for entry in entries_of(root / folder):
        path = f"{folder}/{entry.name}" if folder else entry.name
        if not _is_folder(entry):
            scan.stray.append(path)
            continue
        check_utf8(entry.name, root / folder)
        ids = _below(root, path, scan, set())
        name = unicodedata.normalize("NFC", entry.name)  # macOS writes letters in another form
        scan.labels |= dict.fromkeys(ids, (name,))
        if not ids and path not in scan.loops:
            scan.empty.append(path)


def _below(root: Path, folder: str, scan: _Scan, entered: set[str]) -> list[str]:
    """The pictures in a folder and deeper, as relative paths; each real folder is entered once."""
    real, real_root = os.path.realpath(root / folder), os.path.realpath(root)
    if real in entered or os.path.commonpath([real, real_root]) == real:
        scan.loops.append(folder)
        return []
    entered.add(real)
    ids, deeper = [], []
    for entry in entries_of(root / folder):
        path = f"{folder}/{entry.name}"
        if is_picture(entry):
            check_utf8(entry.name, root / folder)
            ids.append(path)
        elif _is_folder(entry):
            check_utf8(entry.name, root / folder)
            deeper.append(path)
        else:
            scan.stray.append(path)
    for path in deeper:
        inner = _below(root, path, scan, entered)
        ids += inner
        if inner:
            scan.deep.append(path)
    return ids


def _is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder, or a link to one; not a link that leads round in circles."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _remarks(scan: _Scan) -> list[str]:
    groups = {
        "left out, no pictures of a class": scan.stray,
        "left out, folders without a picture": scan.empty,
        "left out, links that lead back": scan.loops,
        "pictures of deeper folders belong to the class above": scan.deep,
    }
    return [f"{what}: {named(sorted(names))}" for what, names in groups.items() if names]


def _check_nesting(root: Path, scan: _Scan, parts: dict[str, str] | None) -> None:
    """Raise DatasetError where the only class folder is one that holds the class folders."""
    classes = set(scan.labels.values())
    if len(classes) == 1 and parts is None and len(scan.deep) > 1:
        folder = scan.deep[0].partition("/")[0]
        raise DatasetError(
            f"{root}: has one class folder, {folder}/, with folders in it. If these are the"
            f" classes, name {root / folder} instead."
        )


def _why_empty(scan: _Scan) -> str:
    if any(name.lower().endswith(PICTURE_SUFFIXES) for name in scan.stray):
        return (
            "its pictures lie in no class folder. Put them into a folder for each class, or list"
            " them with their labels in a CSV file with the columns path and label."
        )
    return f"no class folders with pictures in them ({', '.join(PICTURE_SUFFIXES)})."
