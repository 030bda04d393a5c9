"""Vectors of a benchmark that do not fit into memory: in a scratch file, of which splits take rows.

Shapes: n examples, D dimensions.
"""

import hashlib
import weakref
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from vggfeat.backbones.network import Network
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate, fuse
from vggfeat.features.degenerate import SeenVectors
from vggfeat.features.options import VectorOptions
from vggfeat.probes.streaming.blocks import Rows, VectorBlocks
from vggfeat.probes.streaming.vector_file import VectorFile, VectorFileWriter

BLOCK_BYTES = 2**24  # of vectors that are made at once


class StreamedVectors:
    """Vectors [n, D] on disk. `vectors[rows]` of ascending rows are blocks for a probe.

    The file goes with this object, and with the process.
    """

    def __init__(self, file: VectorFile):
        self._file, self.shape = file, file.shape
        weakref.finalize(self, file.close)

    @classmethod
    def written(
        cls, folder: Path, dim: int, blocks: Iterable[np.ndarray], *, shared: bool = False
    ) -> "StreamedVectors":
        """The vectors of blocks [m, dim], once written, for other processes to read if shared.

        Raises OSError where there is no room.
        """
        with VectorFileWriter(folder, dim) as writer:
            for block in blocks:
                writer.append(block)
            return cls(writer.finish(shared=shared))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> VectorBlocks:
        return Rows(self._file, rows)

    def blocks(self, rows: int) -> Iterable[np.ndarray]:
        """All vectors in their order, at most so many at once."""
        return (block for _, block in self._file.blocks(rows))


def fused(
    parts: Sequence[StreamedVectors], folder: Path, *, shared: bool = False
) -> StreamedVectors:
    """The vectors of several nets stacked and normalised again, as `fuse` does in memory."""
    if len(parts) == 1:
        return parts[0]
    dim = sum(part.shape[1] for part in parts)
    together = zip(*(part.blocks(rows_at_once(dim)) for part in parts), strict=True)
    return StreamedVectors.written(folder, dim, map(fuse, together), shared=shared)


def of_nets(
    networks: Sequence[Network],
    paths: Sequence[Path],
    views: Sequence[Sequence[str]],
    scales: Sequence[int],
    options: VectorOptions,
    *,
    folder: Path,
    shared: bool,
) -> tuple[StreamedVectors, list[str], list[str]]:
    """The vectors of each net's feature file at these paths, a digest of each, notes on them.

    views are lists [n] of ids, stacked one after the other. Of several nets each has a scratch file
    first, then all together, so that there are two at most. Raises NetworkError if a net gives all
    pictures the same descriptors.
    """
    parts, digests, notes = [], [], []
    for network, path in zip(networks, paths, strict=True):
        digest = hashlib.sha256()
        at_once = rows_at_once(len(scales) * network.backbone.dim)
        for ids in views:
            seen = SeenVectors(ids, network.label)

            def aggregated(descriptors: np.ndarray, digest=digest, seen=seen) -> np.ndarray:
                digest.update(descriptors)
                seen.add(descriptors)
                return aggregate(descriptors, options)

            blocks = map(aggregated, store.read_blocks(path, ids, scales, at_once))
            first = next(blocks)
            dim = first.shape[1]
            parts.append(
                StreamedVectors.written(folder, dim, chain([first], blocks), shared=shared)
            )
            notes += seen.notes()
        digests.append(digest.hexdigest())
    return fused(parts, folder, shared=shared), digests, notes


def rows_at_once(dim: int) -> int:
    """Rows of a block of vectors with so many values."""
    return max(1, BLOCK_BYTES // (4 * dim))
