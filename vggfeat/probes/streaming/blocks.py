"""Vectors of examples that come block by block: `VectorBlocks`.

Shapes: n examples, d dimensions, m rows of a block.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np


class VectorBlocks(ABC):
    """Vectors [n, d] of float32 that can be gone through any number of times, in their order."""

    shape: tuple[int, int]

    @abstractmethod
    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of at most so many rows: where they stand among all, and their vectors [m, d].

        An array is valid until the next is asked for.
        """


class ArrayBlocks(VectorBlocks):
    """An array in memory as blocks."""

    def __init__(self, X: np.ndarray):
        self.X, self.shape = X, X.shape

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(self.X), rows):
            block = slice(start, min(start + rows, len(self.X)))
            yield block, self.X[block]
