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

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.layouts import annotations
from vggfeat.layouts.imagenet import Labelled, Pictures

XML = "Annotations/CLS-LOC"
Box = tuple[float, float, float, float]


def with_boxes(pictures: Pictures) -> Pictures:
    """The pictures that have boxes, with these. Raises DatasetError where a list has none."""
    boxes: dict[str, np.ndarray] = {}
    lists, notes = [], [*pictures.notes]
    for name, labelled in (("training", pictures.train), ("validation", pictures.validation)):
        boxes_of = _boxes_of(pictures, labelled)
        boxed = [(path, number) for path, number in labelled if path in boxes_of]
        if labelled and not boxed:
            raise DatasetError(
                f"{pictures.root}: no {name} picture has a box. Boxes are read from {XML}, from"
                " <class>_boxes.txt in the class folders, or from val/val_annotations.txt."
            )
        if len(boxed) < len(labelled):
            num_without = len(labelled) - len(boxed)
            notes.append(f"{num_without} {name} pictures have no box and are left out")
        boxes |= boxes_of
        lists.append(boxed)
    return replace(pictures, train=lists[0], validation=lists[1], boxes=boxes, notes=tuple(notes))


def _boxes_of(pictures: Pictures, labelled: Sequence[Labelled]) -> dict[str, np.ndarray]:
    """Path -> boxes [B, 4] of the pictures that have any."""
    places = [folder / XML for folder in (pictures.root, *pictures.root.resolve().parents[1:2])]
    xml_folder = next((place for place in places if place.is_dir()), None)
    boxes: dict[str, list[Box]] = {}
    if xml_folder:
        classes = set(pictures.classes)
        for path, number in labelled:
            class_name = pictures.classes[number]
            boxes[path] = list(_xml_boxes(xml_folder, pictures.root, path, class_name, classes))
    else:
        lists = _Lists(pictures.root)
        for path, number in labelled:
            boxes[path] = lists.boxes(path, pictures.classes[number])
    return {path: np.array(rows, dtype=float) for path, rows in boxes.items() if rows}


def _xml_boxes(
    folder: Path, root: Path, path: str, class_name: str, classes: set[str]
) -> Iterator[Box]:
    """The boxes of the picture's class in its XML file, if there is one.

    An object whose name is none of the classes counts as the picture's: ILSVRC's files call many
    dogs by another name than their class's. Boxes are as the annotator saw the picture, whose size
    the file states.
    """
    of_set = folder / Path(path).parts[0] / Path(path).name  # val's are not sorted into classes
    files = [picture.with_suffix(".xml") for picture in (folder / path, of_set)]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return
    tree = annotations.read(file)
    across, down = annotations.enlargement(tree, file, root / path)
    for item in tree.findall("object"):
        name = item.findtext("name")
        if name == class_name or name not in classes:
            left, upper, right, lower = annotations.corners(item, file)
            yield left * across, upper * down, right * across, lower * down


class _Lists:
    """The lists of boxes below a folder, each read once."""

    def __init__(self, root: Path):
        self.root = root
        self.read: dict[Path, dict[str, list[Box]]] = {}

    def boxes(self, path: str, class_name: str) -> list[Box]:
        picture = self.root / path
        tiny = self.root / "val" / "val_annotations.txt"
        if path.startswith("val/") and tiny.is_file():  # sorted into class folders or not
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
    """File name and box of each line; the numbers of a box begin at column `first`."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read ({error}).") from error
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        try:
            left, upper, right, lower = map(float, columns[first:])
        except ValueError as error:
            raise DatasetError(f"{file}: {line!r} is not a file name and a box.") from error
        annotations.check_pixels((left, upper, right, lower), f"{file}, line {number}")
        yield columns[0], (left, upper, right + 1, lower + 1)
