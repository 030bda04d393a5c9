"""Checksums of a feature file: of each row, and of everything around the rows.

They lie in the file's user block, the bytes before its HDF5 part that HDF5 leaves to programs, so
that readers that know nothing of them see the same arrays as ever:

    bytes 0 to 15     MAGIC
    bytes 16 to 47    SHA-256 of all bytes that never change once the file is made
    bytes 48 to 55    N, the number of rows
    bytes 56 to 119   where the arrays that change begin, and their bytes: MUTABLE, in this order
    bytes 128 to ...  N rows of SUM: the CRC-32 of a row, and the SHA-256 of its picture's file

A row's CRC-32 is of its id, image_size, file_bytes, its picture's SHA-256 and its descriptors. What
never changes is looked at before HDF5 sees the file, as HDF5 can crash, or never end, on damaged
tables. Files of schema version 1 have none of this.
"""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAGIC = b"vggfeat: sums 1\n"
MUTABLE = ("descriptors", "done", "image_size", "file_bytes")
SUM = np.dtype([("crc32", "<u4"), ("picture_sha256", "V32")])
UNKNOWN = bytes(32)  # the picture's digest where nobody took it
_HEADER = np.dtype(
    [("magic", "V16"), ("seal", "V32"), ("num_rows", "<u8"), ("extents", "<u8", (4, 2))]
)
_START = 128  # of the rows
_SMALLEST = 512  # bytes of a user block, which are a power of two
_OPEN_FLAGS = (20, 4)  # in HDF5's superblock, version 0: set while somebody writes
_CHUNK = 2**20


def block_size(num_rows: int) -> int:
    """Bytes of the user block of a file of N rows."""
    return max(_SMALLEST, 1 << (offset_of(num_rows) - 1).bit_length())


def offset_of(row: int) -> int:
    """Where the sum of a row begins in the file."""
    return _START + row * SUM.itemsize


def write_block(file: BinaryIO, extents: Sequence[tuple[int, int]], sums: np.ndarray) -> None:
    """Fill the user block of a file that HDF5 has closed.

    extents are (begin, bytes) of MUTABLE, sums [N] of SUM. Raises OSError.
    """
    header = np.zeros((), _HEADER)
    header["magic"], header["num_rows"], header["extents"] = MAGIC, len(sums), extents
    header["seal"] = _seal_of(file, header)
    file.seek(0)
    file.write(header.tobytes().ljust(_START, b"\0") + sums.tobytes())


def is_sealed(path: Path) -> bool:
    """Whether a file begins with checksums. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_sums(path: Path) -> np.ndarray:
    """The sums [N] of a sealed file's rows, once all around the rows is seen to be as it was made.

    Raises ValueError if it is not, and OSError.
    """
    with path.open("rb") as file:
        header = np.frombuffer(file.read(_HEADER.itemsize).ljust(_HEADER.itemsize), _HEADER)[0]
        if header["seal"].tobytes() != _seal_of(file, header):
            raise ValueError("what surrounds its rows is not as it was written")
        file.seek(_START)
        content = file.read(int(header["num_rows"]) * SUM.itemsize)
    return np.frombuffer(content, SUM)


def digest_of(path: Path) -> tuple[int, bytes]:
    """N, and the SHA-256 of a sealed file's seal and sums: files that hold the same agree in it.

    Raises ValueError where there are no checksums, and OSError.
    """
    with path.open("rb") as file:
        start = file.read(_START)
        if not start.startswith(MAGIC) or len(start) < _START:
            raise ValueError("its checksums are damaged or missing")
        num_rows = int(np.frombuffer(start[: _HEADER.itemsize], _HEADER)["num_rows"][0])
        if offset_of(num_rows) > file.seek(0, 2):
            raise ValueError("its checksums are damaged or missing")
        total = hashlib.sha256(start[: _HEADER.itemsize])
        _update(total, file, _START, offset_of(num_rows))
    return num_rows, total.digest()


def sums_of(
    ids: Sequence[bytes],
    sizes: np.ndarray,
    lengths: np.ndarray,
    pictures: bytes,
    descriptors: np.ndarray,
) -> list[int]:
    """The CRC-32 of each of m rows: id, (width, height), bytes and SHA-256 of the picture, vectors.

    sizes are [m, 2], lengths [m], pictures the digests one after the other, and descriptors
    [m, S, D] as they are stored, float32 or float16, little-endian.
    """
    facts = np.empty((len(ids), 3), "<i8")
    facts[:, :2], facts[:, 2] = np.reshape(sizes, (-1, 2)), lengths
    values = np.ascontiguousarray(descriptors, descriptors.dtype.newbyteorder("<"))
    values, facts = memoryview(values.reshape(-1).view(np.uint8)), facts.tobytes()
    num_bytes, crc32 = len(values) // max(1, len(ids)), zlib.crc32
    return [
        crc32(
            values[num_bytes * row : num_bytes * (row + 1)],
            crc32(i + facts[24 * row : 24 * row + 24] + pictures[32 * row : 32 * row + 32]),
        )
        for row, i in enumerate(ids)
    ]


def _seal_of(file: BinaryIO, header: np.void) -> bytes:
    """SHA-256 of the file's length, its header, and its bytes outside of what changes."""
    length, num_rows = file.seek(0, 2), int(header["num_rows"])
    total = hashlib.sha256(MAGIC + length.to_bytes(8, "little") + header["num_rows"].tobytes())
    total.update(header["extents"].tobytes())
    changing = [(_HEADER.itemsize, _START - _HEADER.itemsize + num_rows * SUM.itemsize)]
    changing += [(block_size(num_rows) + _OPEN_FLAGS[0], _OPEN_FLAGS[1])]
    changing += [tuple(extent) for extent in header["extents"].tolist()]
    position = _HEADER.itemsize
    for begin, num_bytes in sorted(changing):
        _update(total, file, position, min(begin, length))
        position = max(position, begin + num_bytes)
    _update(total, file, position, length)
    return total.digest()


def _update(total: "hashlib._Hash", file: BinaryIO, begin: int, end: int) -> None:
    """Add the bytes from begin to end of a file."""
    file.seek(begin)
    while begin < end and (content := file.read(min(_CHUNK, end - begin))):
        total.update(content)
        begin += len(content)
