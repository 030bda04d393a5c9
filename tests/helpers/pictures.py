"""Small pictures, and a net that runs in milliseconds."""

from pathlib import Path

import numpy as np
from PIL import Image

NARROW = "vgg11:width=0.0625,input_size=32@random:0"  # a net that runs in milliseconds


def write_picture(path: Path, size: tuple[int, int] = (48, 36), seed: int = 0) -> Path:
    """A picture of soft random colours, as JPEG or PNG by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR).save(path)
    return path


def write_classes(root: Path, counts: dict[str, int]) -> Path:
    """root/<class>/image_NNNN.jpg; the pictures of a class share a tint, so they can be told."""
    for number, (name, count) in enumerate(counts.items()):
        tint = np.random.default_rng(number).integers(0, 256, 3)
        for i in range(count):
            noise = np.random.default_rng([number, i]).integers(-40, 40, (6, 8, 3))
            colours = np.clip(tint + noise, 0, 255).astype(np.uint8)
            path = root / name / f"image_{i + 1:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Two shapes, so that batches of equal shape have something to do.
            size = (48, 36) if i % 3 else (36, 50)
            Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR).save(path)
    return root
