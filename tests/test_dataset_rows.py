"""Pictures that a dataset hands out by number are read like files, when they are needed."""

import io

import numpy as np
import pytest
from PIL import Image

from vggfeat import images
from vggfeat.dataset_rows import DatasetRow, as_file
from vggfeat.errors import PictureError

RNG = np.random.default_rng(0)
PIXELS = {
    "grey": RNG.integers(0, 256, (5, 7), dtype=np.uint8),
    "RGB": RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8),
}


def row_of(content: bytes) -> DatasetRow:
    return DatasetRow(lambda number: content, 3, "train, row 3")


@pytest.mark.parametrize("kind", PIXELS)
def test_pixels_come_back_as_they_are(kind):
    row = row_of(as_file(PIXELS[kind]))
    decoded = np.asarray(images.decode(row))
    expected = PIXELS[kind] if kind == "RGB" else PIXELS[kind][..., None].repeat(3, axis=2)
    assert (decoded == expected).all()
    assert images.picture_size(row) == (7, 5)


def test_a_picture_with_transparency_stays_what_it_is():
    pixels = RNG.integers(0, 256, (4, 4, 4), dtype=np.uint8)
    file = io.BytesIO(as_file(Image.fromarray(pixels)))
    assert (np.asarray(Image.open(file)) == pixels).all()


def test_bytes_and_digest_are_those_of_the_file():
    content = as_file(PIXELS["RGB"])
    row = row_of(content)
    assert images.picture_bytes(row) == len(content)
    assert images.picture_content(row) == content
    assert images.digest(row) == images.digest(row_of(content)) != b""


def test_a_row_that_the_dataset_cannot_read_is_named():
    row = DatasetRow({}.__getitem__, 3, "train, row 3")
    for look in (images.decode, images.picture_content, images.picture_size):
        with pytest.raises(PictureError, match="train, row 3: cannot be read as a picture"):
            look(row)
    assert images.picture_bytes(row) == -1
    assert images.digest(row) == b""


def test_a_row_is_read_when_it_is_needed_and_not_before():
    read = []
    row = DatasetRow(lambda n: read.append(n) or as_file(PIXELS["grey"]), 5, "row 5")
    assert read == []
    images.decode(row, content=images.picture_content(row))
    assert read == [5]


def test_bytes_that_are_known_are_not_read():
    row = DatasetRow(lambda number: 1 / 0, 3, "train, row 3", num_bytes=115)
    assert images.picture_bytes(row) == 115
