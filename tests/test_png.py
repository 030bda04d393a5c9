"""PNG files with long texts and profiles: sound pictures, which Pillow refuses."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vggfeat import png
from vggfeat.errors import PictureError
from vggfeat.images import decode, picture_size

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
LONG = bytes(2**20) + b"x"  # one byte more than Pillow allows
ITXT = b"name\0\1\0en\0Name\0"


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def write(path, *chunks: bytes, at_the_end: bool = False):
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    place = len(content) - 12 if at_the_end else 33  # before IEND, or behind IHDR
    path.write_bytes(content[:place] + b"".join(chunks) + content[place:])
    return path


LARGE = {
    "profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(LONG)),
    "compressed text": chunk(b"zTXt", b"name\0\0" + zlib.compress(LONG)),
    "international text": chunk(b"iTXt", ITXT + zlib.compress(LONG)),
    "text": chunk(b"tEXt", b"name\0" + b"x" * (65 * 2**20)),
}


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("kind", LARGE)
def test_a_picture_with_a_long_text_or_profile_is_read(tmp_path, kind, at_the_end):
    path = write(tmp_path / "a.png", LARGE[kind], at_the_end=at_the_end)
    assert picture_size(path) == (14, 9)
    np.testing.assert_array_equal(np.asarray(decode(path)), PIXELS)


@pytest.mark.parametrize(
    "kind, content",
    [
        (b"iCCP", b"name\0\0" + zlib.compress(LONG[1:])),
        (b"zTXt", b"name\0\0" + zlib.compress(LONG[1:])),
        (b"zTXt", b"name\0\0" + b"not compressed"),
        (b"zTXt", b""),
        (b"iTXt", ITXT + zlib.compress(b"text")),
        (b"iTXt", ITXT.replace(b"\1", b"\0") + b"text"),
        (b"tEXt", b"name\0" + b"x" * 2**19),
    ],
)
def test_shorter_ones_are_pillows(tmp_path, kind, content):
    path = write(tmp_path / "a.png", chunk(kind, content))
    assert png.without_large_texts(path) == path


def test_what_turns_the_picture_stays(tmp_path):
    """EXIF lies in a chunk of its own or, as some programs write it, in a text."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:33] + LARGE["profile"] + content[33:])
    assert picture_size(tmp_path / "a.png", exif=True) == (9, 14)
    raw = b"\nexif\n%8d\n" % len(exif.tobytes()) + exif.tobytes().hex().encode() + b"\n"
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))
    path = write(tmp_path / "b.png", LARGE["profile"], text)
    assert picture_size(path, exif=True) == (9, 14)


def test_damaged_files_are_still_refused(tmp_path):
    path = write(tmp_path / "a.png", LARGE["profile"])
    content = path.read_bytes()
    for length in (4, 20, 50, len(content) // 2, len(content) - 40):
        path.write_bytes(content[:length])
        with pytest.raises(PictureError, match="a.png: cannot be read as a picture"):
            decode(path)
    with pytest.raises(PictureError, match="no such picture"):
        decode(tmp_path / "absent.png")
