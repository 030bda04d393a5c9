"""Pictures of the user's without labels: a folder of them with all below it, or a list of paths.

    FOLDER            every picture below it; hidden items and clutter are left out
    LIST.txt          a path a line
    LIST.csv          a column `path`; commas, semicolons or tabs separate columns

A list's paths are relative to its folder and stay below it. The id of a picture is its relative
POSIX path. No picture is opened, so that 100,000 of them are listed in a second.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.class_folders import check_utf8, is_picture
from vggfeat.layouts.csv_lines import read_lines
from vggfeat.layouts.own_pictures import entries_of, feature_set_of, is_there, named, picture_id

COLUMN = "path"
TABLES = (".csv", ".tsv")  # suffixes of lists that have a header


@dataclass(frozen=True, kw_only=True)
class UnlabelledPictures:
    """Pictures at root/<id>; notes say in words what was left out."""

    root: Path
    ids: Sequence[str]
    notes: Sequence[str] = ()

    @property
    def feature_set(self) -> str:
        """The dataset by which feature files know these pictures: by their root, not the list."""
        return feature_set_of(self.root)

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Id -> file."""
        return {i: self.root / i for i in self.ids}


def read_pictures(path: Path) -> UnlabelledPictures:
    """The pictures of a folder or a list. Raises DatasetError at none, or at a bad path."""
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise DatasetError(f"{path}: no such folder or list of pictures.")
    if path.name.lower().endswith(PICTURE_SUFFIXES):
        raise DatasetError(f"{path}: is a picture. Name its folder, or a list of paths.")
    return _of_list(path)


def _of_folder(root: Path) -> UnlabelledPictures:
    """The pictures below a folder. Links are followed, each folder once and never upwards."""
    ids: list[str] = []
    others: list[str] = []
    repeated: list[str] = []
    real_root = os.path.realpath(root)
    entered: set[str] = set()
    folders, links = [""], []
    while folders or links:  # links last, so that a picture has the id of where it lies
        prefix = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(root / prefix)
        if real in entered or os.path.commonpath([real, real_root]) == real != real_root:
            repeated.append(prefix.rstrip("/"))
            continue
        entered.add(real)
        for entry in entries_of(root / prefix):
            check_utf8(entry.name, root / prefix)
            path = prefix + entry.name
            if os.path.isdir(entry.path):
                (links if entry.is_symlink() else folders).append(f"{path}/")
            else:
                (ids if is_picture(entry) else others).append(path)
    if not ids:
        tars = any(name.endswith(".tar") for name in others)
        raise DatasetError(
            f"{root}: no picture in it or below it ({', '.join(PICTURE_SUFFIXES)})."
            + " Its tars go into shards: name them as 'FOLDER/*.tar', and --to FOLDER/." * tars
        )
    notes = _left_out("no pictures", others)
    notes += _left_out("links to folders that are taken already, or above", repeated)
    return UnlabelledPictures(root=root, ids=sorted(ids), notes=notes)


def _of_list(path: Path) -> UnlabelledPictures:
    root, absent = path.parent, []
    ids: dict[str, None] = {}
    others: dict[str, None] = {}
    num_lines = 0
    for number, text in _paths(path):
        num_lines += 1
        where = f"{path}, line {number}"
        picture = picture_id(text, root, where)
        if not picture.lower().endswith(PICTURE_SUFFIXES):
            others[picture] = None
        elif not is_there(root, picture):
            absent.append(f"{where}: no such picture, {root / picture}")
        else:
            ids[picture] = None
    if absent:
        more = f" and {len(absent) - 1:,} more of {num_lines:,} lines" if absent[1:] else ""
        raise DatasetError(f"{absent[0]}{more}. Paths are relative to {root}.")
    if not ids:
        raise DatasetError(f"{path}: lists no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    repeated = num_lines - len(ids) - len(others)
    notes = _left_out("no pictures", list(others))
    if repeated:
        notes.append(f"lines that repeat a path: {repeated:,}; each counts once")
    return UnlabelledPictures(root=root, ids=sorted(ids), notes=notes)


def _left_out(what: str, names: Sequence[str]) -> list[str]:
    return [f"left out, {what}: {named(sorted(names))}"] if names else []


def _paths(path: Path) -> Iterator[tuple[int, str]]:
    """The number and the path of each line that holds one."""
    if path.name.lower().endswith(TABLES):
        for number, values in read_lines(path, ((COLUMN,),), f"the column {COLUMN}"):
            yield number, values[COLUMN]
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no list in UTF-8. Save it as UTF-8.") from error
    # Not str.splitlines, which cuts names at characters such as U+2028, too.
    lines = io.StringIO(text, newline=None)
    yield from ((n, line.strip()) for n, line in enumerate(lines, 1) if line.strip())
