"""Features in NumPy's files: .npy with one array, .npz with several. Nothing is unpickled.

The sizes of arrays are read from their headers, before any of them is.
"""

import mmap
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from vggfeat.errors import DatasetError

HEADERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
LATER = (3, 0)  # as version 2.0, with names of fields in UTF-8: of no array of numbers
MALFORMED = (
    ValueError, TypeError, EOFError, OverflowError, SyntaxError, LookupError, RecursionError,
    AttributeError, NotImplementedError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
AGAIN = "Save the array with numpy.save, as numbers."


@dataclass(frozen=True)
class Header:
    """What an array is, before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype


def open_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, mapped into memory. Raises DatasetError or OSError."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"PK\x03\x04":
            raise DatasetError(f"{path}: is a .npz archive of arrays. Name it .npz.")
        with _explained(path):
            header = _header(file)
    _check_no_objects(path, header)
    with _explained(path):
        if 0 in header.shape:
            return np.empty(header.shape, header.dtype)
        return npy.open_memmap(path, mode="r")


def forget_pages(array: np.ndarray) -> None:
    """Let go of what was read of a mapped array: it counts as memory of the process."""
    mapped = array.base if isinstance(array.base, mmap.mmap) else getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def npz_headers(path: Path) -> dict[str, Header]:
    """Name -> header of each array in a .npz file. Raises DatasetError or OSError."""
    headers = {}
    with _explained(path), zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            with archive.open(entry) as file:
                headers[entry.removesuffix(".npy")] = _header(file)
    return headers


def npz_reader(path: Path, headers: Mapping[str, Header]) -> Callable[[str], np.ndarray]:
    """A function that reads an array of a .npz file by its name, and raises DatasetError."""

    def read(name: str) -> np.ndarray:
        _check_no_objects(path, headers[name], name)
        with _explained(path), np.load(path, allow_pickle=False) as arrays:
            return arrays[name]

    return read


def _header(file: BinaryIO) -> Header:
    version = npy.read_magic(file)
    if version == LATER:
        raise ValueError("it holds records, not numbers")
    shape, _, dtype = HEADERS[version](file)
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape is {shape}")
    return Header(shape, dtype)


def _check_no_objects(path: Path, header: Header, name: str = "") -> None:
    if header.dtype.hasobject:
        array = f", array {name!r}," if name else ""
        raise DatasetError(
            f"{path}{array} holds Python objects, which could run code when they are read. {AGAIN}"
            " Texts are saved as numpy.array(texts, dtype=str)."
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what NumPy raises at a damaged file into a DatasetError that names the file."""
    try:
        yield
    except MALFORMED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatasetError(
            f"{path}: cannot be read as a file of NumPy ({reason[:200]}). {AGAIN}"
        ) from error
    except MemoryError as error:
        raise DatasetError(f"{path}: does not fit into memory.") from error
