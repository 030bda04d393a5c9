"""Synthetic scenes in PASCAL VOC's layout: coloured shapes, several in a picture, drawn by rule.

They stand in for photographs where VOC's code is to be tried on a machine that has no VOC. A small
shape is "difficult", so that labels of 0 occur.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {"red": (220, 40, 30), "green": (40, 170, 60), "blue": (40, 70, 220),
           "yellow": (240, 210, 40), "black": (20, 20, 20)}  # fmt: skip
SIZES = ((96, 72), (72, 96), (96, 64))  # pixels
DIFFICULT_BELOW = 14  # pixels


@dataclass(frozen=True)
class Shape:
    """An object; box is (left, upper, right, lower) in pixels from 0, right and lower outside."""

    class_number: int
    box: tuple[int, int, int, int]

    @property
    def is_difficult(self) -> bool:
        """Whether it is so small that its label becomes 0."""
        return self.box[2] - self.box[0] < DIFFICULT_BELOW


def write_devkit(
    root: Path, classes: Sequence[str], counts: Mapping[str, int], *, first: int = 1, seed: int = 0
) -> dict[str, list[Shape]]:
    """Draw counts[set] scenes for each set; write pictures, annotations and the lists of Main.

    Returns the shapes of each picture, in the order of its annotation. Up to 20 classes look
    different.
    """
    for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    scenes, number = {}, first
    for set_name, count in counts.items():
        names = [f"{n:06d}" for n in range(number, number + count)]
        number += count
        for name in names:
            random = np.random.default_rng([seed, int(name)])
            size = SIZES[random.integers(len(SIZES))]
            scenes[name] = _shapes(random, len(classes), size)
            _draw(scenes[name], size, random).save(root / f"JPEGImages/{name}.jpg", quality=90)
            _annotate(root / f"Annotations/{name}.xml", name, size, scenes[name], classes)
        (root / f"ImageSets/Main/{set_name}.txt").write_text("".join(f"{n}\n" for n in names))
        for k, class_name in enumerate(classes):
            lines = [f"{name} {_label(scenes[name], k):2d}\n" for name in names]
            (root / f"ImageSets/Main/{class_name}_{set_name}.txt").write_text("".join(lines))
    return scenes


def write_action_lists(
    root: Path,
    scenes: Mapping[str, Sequence[Shape]],
    actions: Sequence[str],
    *,
    late: Mapping[str, int] | None = None,
) -> dict[tuple[str, int], Shape]:
    """Write the lists of Action for the sets of Main; a shape is a person who does what it is.

    A shape of class k does actions[k % (len(actions) + 1)], or something else where there is no
    such action. The test lists have no labels. `late` says of an action how many pictures of each
    set its lists leave out. Returns the people by picture and index from 1.
    """
    folder = root / "ImageSets" / "Action"
    folder.mkdir()
    people = {}
    for set_name in ("train", "val", "test"):
        set_list = root / "ImageSets" / "Main" / f"{set_name}.txt"
        if not set_list.is_file():
            continue
        names = set_list.read_text().split()
        (folder / set_list.name).write_text(set_list.read_text())
        of_set = [(name, i) for name in names for i in range(1, len(scenes[name]) + 1)]
        people |= {(name, i): scenes[name][i - 1] for name, i in of_set}
        for k, action in enumerate(actions):
            left_out = set(names[: (late or {}).get(action, 0)])
            listed = [person for person in of_set if person[0] not in left_out]
            lines = [f"{name} {index}" for name, index in listed]
            if set_name != "test":
                doing = [people[p].class_number % (len(actions) + 1) == k for p in listed]
                lines = [
                    f"{line} {1 if d else -1:2d}" for line, d in zip(lines, doing, strict=True)
                ]
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{action}_{set_list.name}").write_text(text)
    return people


def _shapes(random: np.random.Generator, num_classes: int, size: tuple[int, int]) -> list[Shape]:
    """One to three shapes; none lies wholly under another as each has a part of the width."""
    count = random.integers(1, 4)
    shapes = []
    for place in range(count):
        side = int(random.integers(10, min(size) // count + 1))
        left = place * size[0] // count + int(random.integers(0, size[0] // count - side + 1))
        upper = int(random.integers(0, size[1] - side + 1))
        box = (left, upper, left + side, upper + side)
        shapes.append(Shape(int(random.integers(num_classes)), box))
    return shapes


def _draw(
    shapes: Sequence[Shape], size: tuple[int, int], random: np.random.Generator
) -> Image.Image:
    """The shapes on a background of soft random colours."""
    colours = random.integers(120, 220, (3, 4, 3)).astype(np.uint8)
    picture = Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(picture)
    for shape in shapes:
        left, upper, right, lower = shape.box
        box = (left, upper, right - 1, lower - 1)
        colour = list(COLOURS.values())[shape.class_number // len(SHAPES)]
        kind = SHAPES[shape.class_number % len(SHAPES)]
        third = (right - left) // 3
        if kind == "circle":
            draw.ellipse(box, colour)
        elif kind == "square":
            draw.rectangle(box, colour)
        elif kind == "triangle":
            draw.polygon([(left, lower - 1), (right - 1, lower - 1), (left + third, upper)], colour)
        else:
            draw.rectangle((left + third, upper, right - 1 - third, lower - 1), colour)
            draw.rectangle((left, upper + third, right - 1, lower - 1 - third), colour)
    return picture


def _label(shapes: Sequence[Shape], class_number: int) -> int:
    """1 if the class is there, 0 if its shapes are all difficult, else -1."""
    of_class = [shape for shape in shapes if shape.class_number == class_number]
    if not of_class:
        return -1
    return 0 if all(shape.is_difficult for shape in of_class) else 1


def _annotate(
    path: Path, name: str, size: tuple[int, int], shapes: Sequence[Shape], classes: Sequence[str]
) -> None:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{name}.jpg"
    _add(root, "size", width=size[0], height=size[1], depth=3)
    for shape in shapes:
        entry = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(entry, "name").text = classes[shape.class_number]
        ElementTree.SubElement(entry, "difficult").text = str(int(shape.is_difficult))
        left, upper, right, lower = shape.box  # VOC counts from 1 and includes the last pixel
        _add(entry, "bndbox", xmin=left + 1, ymin=upper + 1, xmax=right, ymax=lower)
    ElementTree.ElementTree(root).write(path)


def _add(parent: ElementTree.Element, name: str, **values: int) -> None:
    element = ElementTree.SubElement(parent, name)
    for key, value in values.items():
        ElementTree.SubElement(element, key).text = str(value)
