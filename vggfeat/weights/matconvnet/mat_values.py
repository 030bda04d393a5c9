"""What .mat files of all versions share: classes of numbers, texts, and what a file may claim."""

import math
from typing import Any

import numpy as np

MAX_DEPTH = 16  # of cells and structs; a net has four
MAX_NODES = 100_000  # values in all; a net of the family has some thousands
# What may be unpacked: deflate and HDF5's fill values let a small file claim a large array. Weights
# hardly shrink; a net that is zero throughout does, and is small enough.
MAX_UNPACKED_BYTES, MAX_GROWTH = 2**30, 32

CLASSES = {
    6: "double", 7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32",
    13: "uint32", 14: "int64", 15: "uint64",
}  # fmt: skip
DTYPES = {name: name for name in CLASSES.values()} | {"single": "float32", "double": "float64"}


class Damaged(Exception):
    """What of a file is not as it should be; `mat_file` adds the file's name."""


class Refused(Exception):
    """What in a file is left alone for safety."""


class Budget:
    """What a file of this size may claim."""

    def __init__(self, size: int, skip_above: int | None):
        self.size = size
        self.skip_above = math.inf if skip_above is None else skip_above
        self._bytes = max(MAX_UNPACKED_BYTES, MAX_GROWTH * size)
        self._nodes = MAX_NODES

    def spend(self, count: int) -> None:
        """Count bytes that are to be unpacked."""
        self._bytes -= count
        if self._bytes < 0:
            raise Damaged(f"it claims more than its {self.size} bytes can mean")

    def enter(self, count: int, depth: int) -> None:
        """Count the values of a cell or struct that lies `depth` deep."""
        self._nodes -= max(1, count)
        if self._nodes < 0:
            raise Damaged(f"it claims more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise Damaged(f"its cells and structs lie more than {MAX_DEPTH} deep")


def unread(dtype: str, dims: tuple[int, ...]) -> np.ndarray:
    """Zeros that stand for an array that is not read, and take no memory."""
    return np.broadcast_to(np.zeros((), dtype), dims)


def text_rows(text: str, dims: tuple[int, ...]) -> str:
    """A char array as text; its rows, which lie column by column, become lines."""
    if dims[0] == 1 or math.prod(dims) != len(text):
        return text
    return "\n".join(text[row :: dims[0]] for row in range(dims[0]))


def as_list(value: Any) -> list:
    """The value, or an empty list for what is no list."""
    return value if isinstance(value, list) else []


def is_name(value: Any) -> bool:
    """Whether it can stand in a message."""
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable()
