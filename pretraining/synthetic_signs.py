"""Synthetic signs in class folders, drawn in seconds, to pretrain small nets on.

A class is a sign invented by chance: two strokes, each through three or four points of a grid,
straight or round. The drawings of a sign differ in where the points lie, in size, angle and place,
in the width and blur of the strokes, in brightness and noise. Strokes are light on dark ground. No
rule knows of digits or letters, but chance may draw something like one.

Shapes: n points, x to the right and y downwards; corners lie within -1 to 1.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NUM_SIGNS = 144
COUNTS = {"train": 28, "val": 5}  # drawings of a sign
SIDE = 37  # pixels: S is 37 for an input of 32 as it is 256 for an input of 224
FINER = 2  # strokes are drawn so many times larger, for smooth edges


@dataclass(frozen=True)
class Stroke:
    """A line through points of the grid, straight or round."""

    corners: np.ndarray  # [n, 2]
    is_round: bool


def write_signs(root: Path, *, seed: int = 0) -> None:
    """Write root/train/<class>/NNN.png and root/val/<class>/NNN.png, the same for a seed."""
    for number in range(NUM_SIGNS):
        random = np.random.default_rng([seed, number])
        sign = _sign(random)
        for set_name, count in COUNTS.items():
            folder = root / set_name / f"sign_{number:03d}"
            folder.mkdir(parents=True)
            for i in range(count):
                _drawing(sign, random).save(folder / f"{i:03d}.png")


def _sign(random: np.random.Generator) -> list[Stroke]:
    grid = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    return [
        Stroke(random.permutation(grid)[: random.integers(3, 5)], bool(random.random() < 0.6))
        for _ in range(2)
    ]


def _drawing(sign: list[Stroke], random: np.random.Generator) -> Image.Image:
    """A picture of [SIDE, SIDE] grey pixels."""
    angle = random.uniform(-0.25, 0.25)  # radians
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_pixels = turn * random.uniform(10, 15) * random.uniform(0.7, 1, 2)
    centre = SIDE / 2 + random.uniform(-2, 2, 2)
    strokes = Image.new("L", (SIDE * FINER, SIDE * FINER))
    draw = ImageDraw.Draw(strokes)
    width = round(random.uniform(2, 5) * FINER)
    for stroke in sign:
        points = stroke.corners + random.normal(scale=0.15, size=stroke.corners.shape)
        if stroke.is_round:
            points = _rounded(points)
        points = (points @ to_pixels + centre) * FINER
        draw.line([tuple(point) for point in points.tolist()], 255, width, joint="curve")
    strokes = strokes.resize((SIDE, SIDE), Image.Resampling.BOX)
    strokes = strokes.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2.2)))
    dark, light = random.uniform(0, 60), random.uniform(150, 255)
    noise = random.normal(scale=random.uniform(0, 8), size=(SIDE, SIDE))
    pixels = dark + (light - dark) * np.asarray(strokes) / 255 + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _rounded(points: np.ndarray) -> np.ndarray:
    """Chaikin's corner cutting, four times over: every corner but the ends becomes two."""
    for _ in range(4):
        first, last = points[:-1], points[1:]
        between = np.stack([0.75 * first + 0.25 * last, 0.25 * first + 0.75 * last], 1)
        points = np.concatenate([points[:1], between.reshape(-1, 2), points[-1:]])
    return points
