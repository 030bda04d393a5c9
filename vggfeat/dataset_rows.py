"""Pictures that a dataset hands out by number, as rows of an array or a table, read when needed."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True, eq=False, slots=True)
class DatasetRow:
    """Row `number` of a dataset; `name` is how messages call it.

    `read_row` returns the bytes of a picture file for a row's number, and may be called by several
    threads at once. `path` is the file that the row lies in, where it lies in one. `num_bytes` are
    those of the picture file, where they are known without reading it.
    """

    read_row: Callable[[int], bytes]
    number: int
    name: str
    path: Path | None = None
    num_bytes: int | None = None

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """The picture as the bytes of a file. Raises what the dataset raises."""
        return self.read_row(self.number)


def as_file(image: Image.Image | np.ndarray) -> bytes:
    """An image, or uint8 [h, w] or [h, w, 3], as a file that loses nothing.

    Grey and RGB become PGM and PPM, which take no time; CMYK, which PNG does not have, TIFF; others
    PNG.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, {"L": "PPM", "RGB": "PPM", "CMYK": "TIFF"}.get(image.mode, "PNG"))
    return file.getvalue()
