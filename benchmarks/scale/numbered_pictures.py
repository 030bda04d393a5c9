"""Pictures that show their number, in tar shards: what they hold can be computed without them.

A picture is 32 x 32 pixels, 4 x 4 blocks of one colour each, drawn from its number by splitmix64;
no two of them are equal. A tar has so many in the order of their numbers, as WebDataset has it: a
member NUMBER.png is the picture with the key NUMBER.

Shapes: n pictures; blocks [n, 4, 4, 3] of uint8.
"""

import io
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from vggfeat.storage.files import new_file

BLOCKS, BLOCK_SIDE = 4, 8  # along a side; in pixels
SIDE = BLOCKS * BLOCK_SIDE
PICTURES_A_TAR = 2_500
NAME_DIGITS = 6  # of the number of a tar
_WORDS = BLOCKS * BLOCKS * 3 // 8  # of 64 bits, that the colours of a picture take
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2  # PNG's filter that says how a row differs from the one above


def key_of(number: int) -> str:
    """The id of a picture."""
    return f"{number:09d}"


def blocks_of(numbers: np.ndarray) -> np.ndarray:
    """Colours [n, 4, 4, 3] of the blocks of pictures with these numbers [n]."""
    words = numbers.astype(np.uint64)[:, None] * np.uint64(_WORDS) + np.arange(_WORDS, dtype="u8")
    return _splitmix64(words).astype("<u8").view(np.uint8).reshape(-1, BLOCKS, BLOCKS, 3)


def pixels_of(numbers: np.ndarray) -> np.ndarray:
    """Pixels [n, 32, 32, 3] of pictures with these numbers [n]."""
    return blocks_of(numbers).repeat(BLOCK_SIDE, axis=1).repeat(BLOCK_SIDE, axis=2)


def write_tars(folder: Path, num_pictures: int, *, num_processes: int = 0) -> list[Path]:
    """Write the tars of the first so many pictures that are not there yet; all their paths."""
    firsts = range(0, num_pictures, PICTURES_A_TAR)
    paths = [folder / f"pictures-{number:0{NAME_DIGITS}d}.tar" for number in range(len(firsts))]
    missing = [(path, first) for path, first in zip(paths, firsts, strict=True)
               if not path.exists()]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(num_processes or os.cpu_count()) as pool:
        for _ in pool.map(partial(_write_tar, num_pictures), *zip(*missing, strict=True)):
            pass
    return paths


def _write_tar(num_pictures: int, path: Path, first: int) -> None:
    numbers = np.arange(first, min(first + PICTURES_A_TAR, num_pictures))
    with new_file(path) as file, tarfile.open(fileobj=file, mode="w|", bufsize=2**20) as tar:
        for number, content in zip(numbers, png_files(numbers), strict=True):
            member = tarfile.TarInfo(f"{key_of(number)}.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def png_files(numbers: np.ndarray) -> Iterator[bytes]:
    """The pictures as PNG files, in their order."""
    rows = np.zeros((len(numbers), SIDE, 1 + 3 * SIDE), np.uint8)
    rows[:, :, 0] = _UP  # zeros: as the row above
    first_rows = blocks_of(numbers).repeat(BLOCK_SIDE, axis=2)  # [n, 4, 32, 3]
    rows[:, ::BLOCK_SIDE, 0] = 0
    rows[:, ::BLOCK_SIDE, 1:] = first_rows.reshape(len(numbers), BLOCKS, -1)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    end = _chunk(b"IEND", b"")
    for picture in rows:
        yield _SIGNATURE + header + _chunk(b"IDAT", zlib.compress(picture.data, 1)) + end


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _splitmix64(words: np.ndarray) -> np.ndarray:
    """Steele, Lea & Flood, Fast splittable pseudorandom number generators, 2014: a bijection."""
    z = (words + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
