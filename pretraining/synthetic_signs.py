"""Synthetic signs in class folders, drawn in seconds, to pretrain small nets on and to try them on.

A sign is invented by chance: either two strokes, each through three or four points of a grid, or a
filled shape; straight or round. The drawings of a sign differ in where the points lie, in size,
angle and place, in the width and blur of the strokes, in shade, ground and noise. No rule knows of
letters, but chance may draw something like one.

Shapes: n points, x to the right and y downwards; corners lie within about -1 to 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# A class that nets are trained on is a sign in a colour.
NUM_SIGNS = 16
COLOURS = {"red": (220, 50, 40), "green": (50, 180, 70), "white": (225, 225, 225)}
COUNTS = {"train": 80, "val": 8}  # drawings of a class
# Signs of other numbers are new to these nets. Their classes are signs, in any of the colours.
NUM_NEW_SIGNS = 10
DRAWINGS_OF_NEW_SIGN = 60
SIDE = 37  # pixels: S is 37 for an input of 32 as it is 256 for an input of 224
FINER = 2  # signs are drawn so many times larger, for smooth edges


@dataclass(frozen=True)
class Part:
    """A stroke through these points of the grid or a shape with these corners."""

    corners: np.ndarray  # [n, 2]
    is_round: bool
    is_filled: bool


def write_signs(root: Path, *, seed: int = 0) -> None:
    """Write root/train/<class>/NNN.png and root/val/<class>/NNN.png, the same for a seed."""
    for random, number, sign in _signs(range(NUM_SIGNS), seed):
        for colour in COLOURS:
            for set_name, count in COUNTS.items():
                folder = root / set_name / f"{colour}_sign_{number:03d}"
                folder.mkdir(parents=True)
                for i in range(count):
                    _drawing(sign, colour, random).save(folder / f"{i:03d}.png")


def write_new_signs(root: Path, *, seed: int = 0) -> None:
    """Write root/<class>/NNN.png of signs that `write_signs` of this seed does not draw."""
    for random, number, sign in _signs(range(NUM_SIGNS, NUM_SIGNS + NUM_NEW_SIGNS), seed):
        folder = root / f"sign_{number:03d}"
        folder.mkdir(parents=True)
        for i in range(DRAWINGS_OF_NEW_SIGN):
            colour = list(COLOURS)[random.integers(len(COLOURS))]
            _drawing(sign, colour, random).save(folder / f"{i:03d}.png")


def _signs(numbers: range, seed: int) -> Iterator[tuple[np.random.Generator, int, list[Part]]]:
    """Each sign by its number, with the random numbers that its drawings are made of."""
    for number in numbers:
        random = np.random.default_rng([seed, number])
        yield random, number, _shape(random) if number % 2 else _strokes(random)


def _strokes(random: np.random.Generator) -> list[Part]:
    grid = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    return [
        Part(random.permutation(grid)[: random.integers(3, 5)], bool(random.random() < 0.6), False)
        for _ in range(2)
    ]


def _shape(random: np.random.Generator) -> list[Part]:
    """Three to six corners around the middle, one in each sector of the circle."""
    sectors = random.integers(3, 7)
    angles = 2 * np.pi * (np.arange(sectors) + random.uniform(0, 0.6, sectors)) / sectors
    angles += random.uniform(0, 2 * np.pi)  # radians
    radii = random.uniform(0.5, 1.2, sectors)
    corners = np.stack([np.cos(angles), np.sin(angles)], -1) * radii[:, None]
    return [Part(corners, bool(random.random() < 0.4), True)]


def _drawing(sign: list[Part], colour: str, random: np.random.Generator) -> Image.Image:
    """A picture of [SIDE, SIDE] pixels in colour."""
    covered = _covered(sign, random)[..., None]  # the sign's share of each pixel, 0 to 1
    ink = COLOURS[colour] + random.normal(scale=15, size=3)
    noise = random.normal(scale=random.uniform(0, 8), size=(SIDE, SIDE, 3))
    pixels = covered * ink + (1 - covered) * _ground(random) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _covered(sign: list[Part], random: np.random.Generator) -> np.ndarray:
    angle, size = random.uniform(-0.25, 0.25), random.uniform(6, 15)  # radians, pixels
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_pixels = turn * size * random.uniform(0.75, 1, 2)
    centre = SIDE / 2 + random.uniform(-1, 1, 2) * max(1, (17 - size) / 2)
    width = max(2, round(random.uniform(0.15, 0.4) * size * FINER))
    drawn = Image.new("L", (SIDE * FINER, SIDE * FINER))
    draw = ImageDraw.Draw(drawn)
    for part in sign:
        points = part.corners + random.normal(scale=0.12, size=part.corners.shape)
        if part.is_round:
            points = _rounded(points, is_closed=part.is_filled)
        points = [tuple(point) for point in ((points @ to_pixels + centre) * FINER).tolist()]
        if part.is_filled:
            draw.polygon(points, 255)
        else:
            draw.line(points, 255, width, joint="curve")
    drawn = drawn.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(drawn.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.2)))) / 255


def _ground(random: np.random.Generator) -> np.ndarray:
    """A dark ground, or one of soft bright colours [SIDE, SIDE, 3]."""
    if random.random() < 0.4:
        return np.full((SIDE, SIDE, 3), random.uniform(0, 60))
    colours = Image.fromarray(random.integers(100, 200, (3, 4, 3)).astype(np.uint8))
    return np.asarray(colours.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _rounded(points: np.ndarray, *, is_closed: bool = False) -> np.ndarray:
    """Chaikin's corner cutting, four times over: every corner but open ends becomes two."""
    for _ in range(4):
        if is_closed:
            points = np.concatenate([points, points[:1]])
        first, last = points[:-1], points[1:]
        between = np.stack([0.75 * first + 0.25 * last, 0.25 * first + 0.75 * last], 1)
        cut = between.reshape(-1, 2)
        points = cut if is_closed else np.concatenate([points[:1], cut, points[-1:]])
    return points
