"""Stored vectors, of a feature file or of shards, that come block by block from where they lie.

Shapes: n examples, m rows of a block, d dimensions.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from vggfeat.features.aggregate import aggregate
from vggfeat.features.options import VectorOptions
from vggfeat.features.shards.reader import StoredFeatures
from vggfeat.probes.streaming.blocks import VectorBlocks


class StoredBlocks(VectorBlocks):
    """Rows [n] of stored features, all by default: their scales combined, of length one.

    Each pass reads them anew, compared with their checksums, so nothing else lies on the disk.
    """

    def __init__(
        self,
        features: StoredFeatures,
        options: VectorOptions,
        rows: np.ndarray | None = None,
        scales: Sequence[int] | None = None,
    ):
        self.features, self.options, self.rows = features, options, rows
        self.scales = features.scales if scales is None else tuple(scales)
        num_rows = len(features) if rows is None else len(rows)
        is_stacked = options.aggregate == "stack"
        self.shape = (num_rows, features.dim * (len(self.scales) if is_stacked else 1))

    def blocks(self, rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, self.shape[0], rows):
            place = slice(start, min(start + rows, self.shape[0]))
            if self.rows is None:
                stored = self.features.read(place.start, place.stop, self.scales)
            else:
                stored = self.features.read_rows(self.rows[place], self.scales)
            yield place, aggregate(stored, self.options)
