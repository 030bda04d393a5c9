"""PASCAL VOC's devkit layout: lists of pictures and labels, boxes of objects.

    ImageSets/<task>/<set>.txt           <picture>
    ImageSets/Main/<class>_<set>.txt     <picture> <label>
    ImageSets/Action/<action>_<set>.txt  <picture> <person> <label>
    Annotations/<picture>.xml            objects and their boxes
    JPEGImages/<picture>.jpg

<person> counts the objects of the annotation from 1. Labels are 1, -1, or 0 for difficult instances
only. What is not as it should be is a DatasetError that names the file and line.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from vggfeat.errors import DatasetError
from vggfeat.layouts import annotations

LABELS = ("1", "0", "-1")


class Devkit:
    """One year's folder, such as VOCdevkit/VOC2007."""

    def __init__(self, root: Path):
        self.root = root
        if not (root / "ImageSets").is_dir():
            raise DatasetError(
                f"{root}: holds no folder ImageSets. It should be the devkit's folder of one year,"
                " with ImageSets, JPEGImages and Annotations in it."
            )

    def has_list(self, task: str, name: str) -> bool:
        """Whether there is a list of this name, such as "test" or "dog_train"."""
        return self._list_path(task, name).is_file()

    def rows(self, task: str, name: str, *columns: int) -> list[list[str]]:
        """The lines of a list, split at white space, each with one of these numbers of parts."""
        path = self._list_path(task, name)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise DatasetError(
                f"{path}: no such list. Complete the folder from the distributed archives."
            ) from error
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}: not a text file ({error}).") from error
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            parts = line.split()
            if not parts:
                continue
            if len(parts) not in columns:
                allowed = " or ".join(map(str, columns))
                raise DatasetError(
                    f"{path}, line {number}: {len(parts)} columns in {line!r}, not {allowed}."
                )
            # Names become paths: nothing but what the devkit's names are made of.
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", parts[0]):
                raise DatasetError(f"{path}, line {number}: {parts[0]!r} is no picture's name.")
            rows.append(parts)
        if not rows:
            raise DatasetError(f"{path}: the list is empty.")
        return rows

    def names(self, task: str, set_name: str) -> list[str]:
        """The pictures of a set's list; each is there once."""
        names = [row[0] for row in self.rows(task, set_name, 1)]
        self._check_unique(names, self._list_path(task, set_name))
        return names

    def labels(self, task: str, classes: Sequence[str], set_name: str) -> dict[str, dict[str, int]]:
        """Class -> example -> label in {1, 0, -1}, from the class's list of a set, in its order."""
        num_columns = {"Main": 2, "Action": 3}[task]
        labels = {}
        for name in classes:
            rows = self.rows(task, f"{name}_{set_name}", num_columns)
            path = self._list_path(task, f"{name}_{set_name}")
            listed = [" ".join(row[:-1]) for row in rows]
            self._check_unique(listed, path)
            wrong = next((row for row in rows if row[-1] not in LABELS), None)
            if wrong:
                raise DatasetError(
                    f"{path}: label {wrong[-1]!r} of {' '.join(wrong[:-1])};"
                    f" allowed are {', '.join(LABELS)}."
                )
            labels[name] = {i: int(row[-1]) for i, row in zip(listed, rows, strict=True)}
        return labels

    def missing_pictures(self, names: Sequence[str]) -> list[str]:
        """Those of the pictures that have no file. Raises DatasetError if there is no folder."""
        folder = self.root / "JPEGImages"
        try:
            files = {entry.name for entry in os.scandir(folder)}
        except OSError as error:
            raise DatasetError(
                f"{folder}: {error.strerror}. It should hold the pictures."
            ) from error
        return [name for name in names if f"{name}.jpg" not in files]

    def pictures(self, names: Sequence[str]) -> dict[str, Path]:
        """Name -> file. Raises DatasetError if one is missing."""
        folder = self.root / "JPEGImages"
        if missing := self.missing_pictures(names):
            raise DatasetError(
                f"{folder}: lacks {len(missing)} of the {len(names)} pictures that the lists name,"
                f" {missing[0]}.jpg among them. Complete the folder from the distributed archives."
            )
        return {name: folder / f"{name}.jpg" for name in names}

    def num_objects(self, picture: str) -> int:
        """How many objects a picture's annotation has."""
        return len(self._annotation(picture).findall("object"))

    def box(self, picture: str, index: int) -> tuple[tuple[float, ...], tuple[int, int]]:
        """The box of a picture's index-th object and the size of the picture, in pixels.

        The box is (left, upper, right, lower) with right and lower outside, from 0; the devkit
        counts pixels from 1 and includes the last. Raises DatasetError.
        """
        path, tree = self._annotation_path(picture), self._annotation(picture)
        objects = tree.findall("object")
        if not 1 <= index <= len(objects):
            raise DatasetError(
                f"{path}: has {len(objects)} objects, and the lists name number {index}."
            )
        left, upper, right, lower = annotations.corners(objects[index - 1], path)
        size = annotations.size_of(tree, path, self.root / "JPEGImages" / f"{picture}.jpg")
        return (left - 1, upper - 1, right, lower), size

    def _annotation(self, picture: str) -> ElementTree.ElementTree:
        return annotations.read(self._annotation_path(picture))

    def _annotation_path(self, picture: str) -> Path:
        return self.root / "Annotations" / f"{picture}.xml"

    def _list_path(self, task: str, name: str) -> Path:
        return self.root / "ImageSets" / task / f"{name}.txt"

    def _check_unique(self, listed: Sequence[str], path: Path) -> None:
        seen = set()
        for example in listed:
            if example in seen:
                raise DatasetError(f"{path}: lists {example!r} twice.")
            seen.add(example)


def check_disjoint(sets: dict[str, Sequence[str]]) -> None:
    """Raise DatasetError if an example is in two of the sets (name -> examples)."""
    owner: dict[str, str] = {}
    for name, examples in sets.items():
        for example in examples:
            if example in owner:
                raise DatasetError(f"{example!r} is in both sets {owner[example]!r} and {name!r}.")
            owner[example] = name
