"""Pictures of one bright rectangle each, whose box is known, in the layouts boxes are read from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
SIZES = [(48, 36), (36, 48), (40, 40)]  # width, height
TINTS = {
    "ant": (255, 60, 60), "bee": (60, 255, 60), "cat": (70, 70, 255),
    "dog": (255, 255, 60), "elk": (60, 255, 255), "fox": (255, 60, 255),
}  # fmt: skip


def rectangle(size: tuple[int, int], box: Box, tint=(255, 255, 255)) -> Image.Image:
    """Dark grey, and the box in its tint to the last pixel."""
    pixels = np.full((size[1], size[0], 3), 40, dtype=np.uint8)
    left, upper, right, lower = box
    pixels[upper:lower, left:right] = tint
    return Image.fromarray(pixels)


def some_box(size: tuple[int, int], random: np.random.Generator) -> Box:
    """Of 0.4 to 0.6 of the sides, anywhere."""
    width, height = (int(side * random.uniform(0.4, 0.6)) for side in size)
    left, upper = (
        int(random.integers(0, room + 1)) for room in (size[0] - width, size[1] - height)
    )
    return left, upper, left + width, upper + height


def line(name: str, boxes: Sequence[Box]) -> str:
    """Lines of a list, which counts the last column and row in."""
    return "".join(f"{name}\t{b[0]}\t{b[1]}\t{b[2] - 1}\t{b[3] - 1}\n" for b in boxes)


def write_boxed(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """folder/<class>/N.png with folder/<class>/<class>_boxes.txt; the tint tells the class."""
    for number, (name, count) in enumerate(counts.items()):
        lines = ""
        (folder / name).mkdir(parents=True)
        for i in range(count):
            size = SIZES[i % len(SIZES)]
            box = some_box(size, np.random.default_rng([seed, number, i]))
            rectangle(size, box, TINTS[name]).save(folder / name / f"{i}.png")
            lines += line(f"{i}.png", [box])
        (folder / name / f"{name}_boxes.txt").write_text(lines)
    return folder


def write_both(root: Path, train: int, val: int, classes: Sequence[str] = tuple(TINTS)) -> Path:
    """root/train and root/val, so many pictures a class."""
    write_boxed(root / "train", dict.fromkeys(classes, train))
    write_boxed(root / "val", dict.fromkeys(classes, val), seed=1)
    return root


def xml(objects: Sequence[tuple[str, Box]]) -> str:
    """An annotation as ILSVRC's."""
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for name, b in objects
    )
    return f"<annotation><size><width>48</width><height>36</height></size>{items}</annotation>"
