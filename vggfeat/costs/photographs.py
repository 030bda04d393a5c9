"""Deterministic generated JPEGs with the sizes of photographs, in pixels and in bytes."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

# (width, height) as in VOC: most are 500 by 375, some upright, some larger or less wide.
SIZES = (
    (500, 375), (375, 500), (500, 375), (640, 480), (500, 375), (500, 333), (375, 500), (500, 375)
)  # fmt: skip
NUM_SHAPES = 12
GRAIN = 9.0  # standard deviation of a pixel's noise, which is what fills a JPEG
QUALITY = 90


def varied_sizes(count: int, *, seed: int) -> tuple[tuple[int, int], ...]:
    """Sizes (width, height) as of pictures from everywhere, such as Caltech-101's: most differ."""
    random = np.random.default_rng(seed)
    sides = random.integers(150, 301, count)
    is_wide = random.random(count) < 0.7
    return tuple(
        (300, int(side)) if wide else (int(side), 300)
        for side, wide in zip(sides, is_wide, strict=True)
    )


def write_photographs(
    folder: Path, count: int, *, sizes: tuple[tuple[int, int], ...] = SIZES
) -> dict[str, Path]:
    """Write `count` pictures and return id -> path: soft colours, shapes, and a camera's grain."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        photograph(sizes[number % len(sizes)], seed=number).save(path, quality=QUALITY)
        pictures[path.stem] = path
    return pictures


def photograph(size: tuple[int, int], *, seed: int) -> Image.Image:
    """A generated picture of this (width, height)."""
    random = np.random.default_rng(seed)
    colours = np.zeros((size[1], size[0], 3))
    for cells, strength in ((4, 128), (16, 64), (64, 32)):
        noise = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        soft = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        colours += (np.asarray(soft) / 255.0 - 0.5) * strength
    picture = Image.fromarray(np.clip(colours + 128, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(NUM_SHAPES):
        x, y = random.integers(0, size[0]), random.integers(0, size[1])
        side = random.integers(10, min(size) // 2 + 11)
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape(
            [int(x), int(y), int(x + side), int(y + side)],
            tuple(random.integers(0, 256, 3).tolist()),
        )
    grain = random.normal(0, GRAIN, (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
