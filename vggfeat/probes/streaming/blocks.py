"""Vectors of examples that come block by block: `VectorBlocks`.

Shapes: n examples, d dimensions, m rows of a block.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np


class VectorBlocks(ABC):
    """Vectors [n, d] of float32 that can be gone through any number of times, in their order."""

    shape: tuple[int, int]
    folder: Path | None = None  # where files of what is found of them may be; None: the system's

    @abstractmethod
    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of at most so many rows: where they stand among all, and their vectors [m, d].

        An array is valid until the next is asked for.
        """

    @abstractmethod
    def held_bytes(self, rows: int) -> int:
        """The memory that `blocks` takes while it goes on."""


class ArrayBlocks(VectorBlocks):
    """An array in memory as blocks."""

    def __init__(self, X: np.ndarray):
        self.X, self.shape = X, X.shape

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(self.X), rows):
            block = slice(start, min(start + rows, len(self.X)))
            yield block, self.X[block]

    def held_bytes(self, rows: int) -> int:
        return 0


class Rows(VectorBlocks):
    """Some rows of other blocks, such as the training examples, in the same order.

    chosen [n] is a mask of the rows, or their numbers in ascending order.
    """

    def __init__(self, source: VectorBlocks, chosen: np.ndarray):
        is_chosen = np.zeros(source.shape[0], bool)
        is_chosen[chosen] = True
        if chosen.dtype != bool and (np.diff(chosen) <= 0).any():
            raise ValueError("Rows are gone through in their order: numbers must ascend.")
        self.source, self.is_chosen, self.folder = source, is_chosen, source.folder
        self.shape = int(is_chosen.sum()), source.shape[1]

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        stop = 0
        for block, vectors in self.source.blocks(rows):
            chosen = self.is_chosen[block]
            start, stop = stop, stop + int(chosen.sum())
            if stop > start:
                whole = stop - start == len(vectors)
                yield slice(start, stop), vectors if whole else vectors[chosen]

    def held_bytes(self, rows: int) -> int:
        copy = 4 * min(rows, self.shape[0]) * self.shape[1]
        return self.source.held_bytes(rows) + copy
