"""One folder for each class, with the pictures of the class in it.

    <class>/*.jpg           sorted by name; hidden files, folders and other files are no pictures
    <class>/images/*.jpg    those in a folder inside, too, where pictures may lie so (Tiny ImageNet)

No file is opened, so that a million of them are listed in seconds.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES

EXPECTED = ("_boxes.txt", "_annotations.txt", ".sha256")  # endings of files that are no surprise
NUM_NAMED = 5  # that a note names


@dataclass(frozen=True)
class ClassFolders:
    """The pictures of each class and the items that are neither class folder nor picture.

    Both are paths below the scanned folder, sorted; a class without pictures has an empty list.
    """

    pictures: dict[str, list[str]]
    stray: list[str]


def scan_class_folders(root: Path, *, inner: str | None = None) -> ClassFolders:
    """The pictures in root/<class>/, and in root/<class>/<inner>/ where there is such a folder.

    Raises DatasetError at a picture or a class whose name is not UTF-8.
    """
    pictures, stray = {}, []
    for folder in sorted(root.iterdir()):
        if folder.name.startswith("."):
            continue
        if not folder.is_dir():
            stray.append(folder.name)
            continue
        check_utf8(folder.name, root)
        pictures[folder.name] = []
        has_inner = inner is not None and (folder / inner).is_dir()
        for prefix in (f"{folder.name}/", *([f"{folder.name}/{inner}/"] if has_inner else [])):
            names, other_names = _names_in(root / prefix)
            pictures[folder.name] += [prefix + name for name in names]
            stray += [prefix + name for name in other_names if not (has_inner and name == inner)]
    return ClassFolders(pictures, stray)


def left_out_notes(scanned: ClassFolders, root: Path) -> list[str]:
    """In words, what below a folder of class folders is not used: counted, and some of it named."""
    empty = [name for name, paths in scanned.pictures.items() if not paths]
    notes = []
    # Tiny ImageNet has its boxes beside the pictures, and a list beside the class folders.
    stray = [name for name in scanned.stray if not name.endswith(EXPECTED)]
    where = root.name or str(root)
    if stray:
        notes.append(f"left out of {where}, being no pictures of a class: {_named(stray)}")
    if empty:
        notes.append(f"folders of {where} without a picture, which are no classes: {_named(empty)}")
    return notes


def _named(names: list[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > NUM_NAMED else ""
    return ", ".join(names[:NUM_NAMED]) + more


def picture_names(folder: Path) -> list[str]:
    """The names of the pictures in a folder, sorted. Raises DatasetError at one not in UTF-8."""
    return _names_in(folder)[0]


def _names_in(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the pictures in a folder and those of other items, both without hidden ones."""
    names, other_names = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (names if is_picture(entry) else other_names).append(entry.name)
    names.sort()
    for name in names:
        check_utf8(name, folder)
    return names, sorted(other_names)


def is_picture(entry: os.DirEntry) -> bool:
    """Whether it is a picture by its suffix, and no folder or pipe.

    Whoever reads it reports a link that leads nowhere.
    """
    if not entry.name.lower().endswith(PICTURE_SUFFIXES):
        return False
    if entry.is_symlink():  # whose entry raises OSError where it leads round in circles
        return os.path.isfile(entry.path) or not os.path.exists(entry.path)
    return entry.is_file()


def check_utf8(name: str, folder: Path) -> None:
    """Raise DatasetError at a name of a folder's item that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"{folder}: {name!r} is not UTF-8. Rename it.") from error
