"""Some rows of vectors that come block by block, as a split chooses them.

Shapes: N vectors, n of them chosen, d dimensions.
"""

from collections.abc import Iterator

import numpy as np

from vggfeat.probes.streaming.blocks import VectorBlocks

BLOCK_BYTES = 2**26  # of all that is computed of the rows of a block
READ_BYTES = 2**24  # of a block where nothing but its vectors is looked at


class ChosenRows(VectorBlocks):
    """The rows [n] of other vectors [N, d]; rows must ascend, so that a file is read once."""

    def __init__(self, whole: VectorBlocks, rows: np.ndarray):
        if len(rows) > 1 and not (np.diff(rows) > 0).all():
            raise ValueError("rows of vectors on disk must ascend")
        self.whole, self.rows = whole, rows
        if isinstance(whole, ChosenRows):  # so that there is never more than one in between
            self.whole, self.rows = whole.whole, whole.rows[rows]
        self.shape = len(rows), whole.shape[1]

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        done = 0
        for place, vectors in self.whole.blocks(rows):
            if done == len(self.rows):
                return
            end = int(np.searchsorted(self.rows, place.stop))
            if end > done:
                yield slice(done, end), vectors[self.rows[done:end] - place.start]
            done = end


def block_rows(d: int, columns: int) -> int:
    """Rows of a block for products of vectors [m, d] with so many columns, in float64.

    Of a row there are the vector in float32 and float64, and its scores, losses and derivatives.
    """
    return max(1, BLOCK_BYTES // (16 * d + 48 * columns))
