"""PNG files without the texts and colour profiles that Pillow refuses for their size.

Pillow refuses a picture with a compressed text or profile of more than a mebibyte, as such a one
can be a bomb. Neither is needed to decode pixels, so they are left out, and nothing is unpacked.
"""

import io
import struct
import zlib
from typing import BinaryIO, Literal, Protocol, TypeVar

from PIL import PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
HEADER_BYTES, CHECKSUM_BYTES = 8, 4  # of a chunk, around its content


class Openable(Protocol):
    """What can be opened to be read, as a Path can."""

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """A file to be read."""


File = TypeVar("File", bound=Openable)


def without_large_texts(picture: File | bytes) -> File | BinaryIO:
    """What Pillow can open of a file or its content: all of it, but for such chunks of a PNG file.

    Raises OSError.
    """
    with io.BytesIO(picture) if isinstance(picture, bytes) else picture.open("rb") as file:
        is_png = file.read(len(SIGNATURE)) == SIGNATURE
        large = _large_texts(file) if is_png else []
        if not large:
            return io.BytesIO(picture) if isinstance(picture, bytes) else picture
        file.seek(0)
        content = file.read()
    kept, position = [], 0
    for start, end in large:
        kept.append(content[position:start])
        position = end
    return io.BytesIO(b"".join([*kept, content[position:]]))


def _large_texts(file: BinaryIO) -> list[tuple[int, int]]:
    """Begin and end of the chunks, from where the file stands."""
    large = []
    while len(header := file.read(HEADER_BYTES)) == HEADER_BYTES:
        length, kind = struct.unpack(">I4s", header)
        content = file.tell()
        end = content + length + CHECKSUM_BYTES
        if kind in TEXTS and _is_large(kind, file, length):
            large.append((content - HEADER_BYTES, end))
        file.seek(end)
    return large


def _is_large(kind: bytes, file: BinaryIO, length: int) -> bool:
    """Whether it is, or unpacks to, more than Pillow allows."""
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    if length > limit:
        return True
    # A name, then how the rest is compressed; of iTXt whether it is, a language, a name in it.
    _, _, rest = file.read(length).partition(b"\0")
    if kind == b"tEXt" or (kind == b"iTXt" and not rest.startswith(b"\1")):
        return False
    compressed = rest[2:].split(b"\0", 2)[-1] if kind == b"iTXt" else rest[1:]
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(compressed, limit)
    except zlib.error:
        return False
    return bool(unpacker.unconsumed_tail)
