"""Pictures of the user's with their labels, `LabelledPictures`, and how they are called.

labelled_folders.py and label_list.py read them. A picture lies at root/<id>, and ids are relative
POSIX paths, unless the pictures are handed over as values. Feature files know the pictures by the
root, so that a folder and the lists in it share them.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from vggfeat.errors import DatasetError
from vggfeat.images import Picture

NUM_NAMED = 5  # that a note names
MAX_SLUG = 48  # so that a prefix or a number still fits into a name
# What operating systems and file servers leave behind, besides hidden files.
CLUTTER = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "lost+found"}
LABEL_SEPARATOR = ";"  # of several labels in one cell of a list
PARTS = ("train", "val", "test")
# What users call the parts of a split, in lower case.
PART_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LabelledPictures:
    """Pictures and their classes as they lie on disk.

    `labels` has the classes of each picture by its id, sorted by id. `parts` has the part of the
    user's split, one of PARTS, of every picture, and is None where nobody says. `remarks` say in
    words what was left out and how the layout was understood, `warnings` what is likely a mistake.
    `pictures` are given where they are no files at root/<id>. `facts` say for records which
    pictures they are, such as a revision; `feature_set` is by which feature files know them, where
    that is known only now.
    """

    root: Path
    labels: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, str] | None = None
    is_multi_label: bool = False
    remarks: Sequence[str] = ()
    warnings: Sequence[str] = ()
    pictures: Mapping[str, Picture] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    feature_set: str | None = None

    @property
    def files(self) -> dict[str, Picture]:
        """Each labelled picture by its id."""
        if self.pictures is None:
            return {i: self.root / i for i in self.labels}
        return {i: self.pictures[i] for i in self.labels}

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, sorted."""
        return tuple(sorted({name for names in self.labels.values() for name in names}))


def entries_of(folder: Path) -> list[os.DirEntry]:
    """What lies in a folder, by name, without hidden items and clutter. Raises OSError."""
    with os.scandir(folder) as entries:
        shown = [e for e in entries if e.name[0] != "." and e.name.lower() not in CLUTTER]
    return sorted(shown, key=lambda entry: entry.name)


def picture_id(text: str, root: Path, where: str) -> str:
    """The id of the picture that a list names: its relative path, in the form that its file has.

    Systems differ in the form of letters such as é, and in the slash. where is the place in the
    list. Raises DatasetError at no path, at one that leaves the folder or holds a NUL.
    """
    if not text:
        raise DatasetError(f"{where}: no path.")
    check_text(text, where)
    if text.startswith(("/", "~")) or PureWindowsPath(text).is_absolute():
        raise DatasetError(f"{where}: {text!r} is no relative path. Write it as seen from {root}.")
    slashed = text.replace("\\", "/")
    if ".." in slashed.split("/"):
        raise DatasetError(f"{where}: {text!r} leaves the folder of the list, {root}, by '..'.")
    forms = (text, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")))
    ids = (PurePosixPath(form).as_posix() for form in forms)
    return next((i for i in ids if is_there(root, i)), PurePosixPath(text).as_posix())


def is_there(root: Path, i: str) -> bool:
    """Whether there is a file of this id."""
    return os.path.isfile(f"{root}/{i}")  # a Path for each of 100,000 lines takes seconds


def labels_of(text: str) -> tuple[str, ...]:
    """The classes that a cell of a list names, each once."""
    names = (unicodedata.normalize("NFC", n.strip()) for n in text.split(LABEL_SEPARATOR))
    return tuple(dict.fromkeys(filter(None, names)))


def part_of(text: str, where: str) -> str:
    """The part of a split that a cell of a list names, one of PARTS; empty for an empty cell.

    Raises DatasetError; where is the place in the list.
    """
    if text and text.lower() not in PART_NAMES:
        raise DatasetError(f"{where}: split {text!r} is none of {', '.join(PARTS)}.")
    return PART_NAMES.get(text.lower(), "")


def slug(name: str) -> str:
    """A name as part of file names: letters without accents, digits, - and _.

    Names that would lose letters, or are too long, end with a digest, so that they stay apart.
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")
    is_whole = all(c.isascii() for c in plain) and 0 < len(words) <= MAX_SLUG
    if is_whole:
        return words
    digest = hashlib.sha256(_bytes(unicodedata.normalize("NFC", name))).hexdigest()[:6]
    return f"{words[:MAX_SLUG] or 'pictures'}-{digest}"


def feature_set_of(root: Path) -> str:
    """The dataset by which feature files know the pictures below a folder."""
    resolved = root.resolve()
    digest = hashlib.sha256(os.fsencode(resolved)).hexdigest()
    return f"{slug(resolved.name)}-{digest[:12]}"


def named(names: Sequence[str]) -> str:
    """Some of the names, and how many there are in all."""
    more = f", ... ({len(names):,} in all)" if len(names) > NUM_NAMED else ""
    return ", ".join(names[:NUM_NAMED]) + more


def check_text(text: str, where: str) -> None:
    """Raise DatasetError at an id or a label that no file of results could hold."""
    if "\0" in text:
        raise DatasetError(f"{where}: {text!r} holds a NUL character. Write it without.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"{where}: {text!r} is no text in UTF-8. Write it anew.") from error


def alike(classes: Sequence[str]) -> list[str]:
    """Warnings of classes whose names differ in upper and lower case only."""
    by_name: dict[str, list[str]] = {}
    for name in classes:
        by_name.setdefault(name.casefold(), []).append(name)
    return [
        f"classes that differ in upper and lower case only, taken as {len(names)}:"
        f" {', '.join(names)}"
        for names in by_name.values()
        if len(names) > 1
    ]


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
