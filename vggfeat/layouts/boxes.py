"""The boxes of labelled pictures, from what lies beside them.

    Annotations/CLS-LOC/train/<class>/*.xml      ILSVRC's XML, at the root or two folders above it
    Annotations/CLS-LOC/val/*.xml
    <class>/<class>_boxes.txt                    Tiny ImageNet's lists, in each class folder
    val/val_annotations.txt                      Tiny ImageNet's list of validation

A list has a file name and a box of whole pixels from 0 in each line, the last row and column
included. ILSVRC's XML counts from 0 with right and lower outside, as its largest values show, which
are the picture's width and height. A picture may have several boxes; those of other classes do not
count.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import ElementTree

import numpy as np

from vggfeat.errors import DatasetError, PictureError
from vggfeat.images import picture_size
from vggfeat.layouts import annotations
from vggfeat.layouts.imagenet import Labelled, Pictures

XML = "Annotations/CLS-LOC"
Box = tuple[float, float, float, float]


def with_boxes(pictures: Pictures) -> Pictures:
    """The pictures that have boxes, with them. Raises DatasetError."""
    boxes: dict[str, np.ndarray] = {}
    parts, notes = [], [*pictures.notes]
    for name, part in (("training", pictures.train), ("validation", pictures.validation)):
        found = _found(pictures, part)
        kept = [(path, number) for path, number in part if path in found]
        if part and not kept:
            raise DatasetError(
                f"{pictures.root}: no {name} picture has a box. Boxes are read from {XML}, from"
                " <class>_boxes.txt in the class folders, or from val/val_annotations.txt."
            )
        if len(kept) < len(part):
            notes.append(f"{len(part) - len(kept)} {name} pictures have no box and are left out")
        boxes |= found
        parts.append(kept)
    return replace(pictures, train=parts[0], validation=parts[1], boxes=boxes, notes=tuple(notes))


def _found(pictures: Pictures, part: list[Labelled]) -> dict[str, np.ndarray]:
    """Path -> boxes [B, 4] of the pictures that have any."""
    places = [folder / XML for folder in (pictures.root, *pictures.root.resolve().parents[1:2])]
    annotated = next((place for place in places if place.is_dir()), None)
    boxes: dict[str, list[Box]] = {}
    if annotated:
        names = set(pictures.classes)
        for path, number in part:
            own = pictures.classes[number]
            boxes[path] = list(_of_xml(annotated, pictures.root, path, own, names))
    else:
        lists = _Lists(pictures)
        for path, number in part:
            boxes[path] = lists.boxes(path, pictures.classes[number])
    return {path: np.array(found, dtype=float) for path, found in boxes.items() if found}


def _of_xml(folder: Path, root: Path, path: str, own: str, names: set[str]) -> Iterator[Box]:
    """Those of the picture's class, in its file if there is one.

    Only the names of other classes are told apart: ILSVRC's files call many dogs by another name
    than their class's. Boxes are as the annotator saw the picture, whose size the file states.
    """
    of_set = folder / Path(path).parts[0] / Path(path).name  # val's are not sorted into classes
    files = [one.with_suffix(".xml") for one in (folder / path, of_set)]
    file = next((one for one in files if one.is_file()), None)
    if file is None:
        return
    tree = annotations.read(file)
    across, down = _growth(tree, file, root / path)
    for item in tree.findall("object"):
        name = item.findtext("name")
        if name == own or name not in names:
            left, upper, right, lower = annotations.corners(item, file)
            yield left * across, upper * down, right * across, lower * down


def _growth(tree: ElementTree, file: Path, picture: Path) -> tuple[float, float]:
    """How much larger a picture is than its annotation states, across and down."""
    if tree.find("size") is None:
        return 1.0, 1.0
    stated = annotations.picture_size(tree, file)
    if min(stated) <= 0:
        raise DatasetError(f"{file}: states a picture of {stated[0]}x{stated[1]} pixels.")
    try:
        width, height = picture_size(picture)
    except PictureError:
        return 1.0, 1.0  # whoever reads the picture tells
    return width / stated[0], height / stated[1]


class _Lists:
    """The lists of a folder, each read once."""

    def __init__(self, pictures: Pictures):
        self.root = pictures.root
        self.read: dict[Path, dict[str, list[Box]]] = {}

    def boxes(self, path: str, class_name: str) -> list[Box]:
        picture = self.root / path
        tiny = self.root / "val" / "val_annotations.txt"
        if path.startswith("val/images/") and tiny.is_file():
            return self._list(tiny, first=2).get(picture.name, [])
        folder = picture.parents[1] if picture.parent.name == "images" else picture.parent
        return self._list(folder / f"{class_name}_boxes.txt", first=1).get(picture.name, [])

    def _list(self, file: Path, first: int) -> dict[str, list[Box]]:
        """File name -> boxes, whose numbers begin at this column."""
        if file not in self.read:
            self.read[file] = {}
            for name, box in _lines(file, first) if file.is_file() else ():
                self.read[file].setdefault(name, []).append(box)
        return self.read[file]


def _lines(file: Path, first: int) -> Iterator[tuple[str, Box]]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read ({error}).") from error
    for line in lines:
        parts = line.split("\t")
        try:
            left, upper, right, lower = (float(part) for part in parts[first:])
        except ValueError as error:
            raise DatasetError(f"{file}: {line!r} is not a file name and a box.") from error
        yield parts[0], (left, upper, right + 1, lower + 1)
