"""Pictures in files named .jpg that are something else, as several datasets have them."""

from pathlib import Path

import numpy as np
from PIL import Image

# What a file is: Pillow's name of its format, and its mode.
KINDS = {
    "JPEG": ("JPEG", "RGB"),
    "grey JPEG": ("JPEG", "L"),
    "CMYK JPEG": ("JPEG", "CMYK"),
    "PNG": ("PNG", "RGB"),
    "grey PNG": ("PNG", "L"),
    "RGBA PNG": ("PNG", "RGBA"),  # opaque throughout
    "palette PNG": ("PNG", "P"),
    "GIF": ("GIF", "P"),
    "BMP": ("BMP", "RGB"),
}


def write_odd(path: Path, kind: str, seed: int = 0, size: tuple[int, int] = (45, 36)) -> Path:
    """A picture of soft random colours as one of KINDS, whatever the path's suffix says."""
    file_format, mode = KINDS[kind]
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR).convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # by the path Pillow would ask the suffix first
        picture.save(file, file_format)
    return path
