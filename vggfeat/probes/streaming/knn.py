"""Nearest neighbours among vectors on disk: a block of scored vectors by a block of examples.

Votes and the order of equally near examples are those of knn.py. The nearest of all blocks so far
are kept for each scored vector; what is found for the grid of k lies in a scratch file.

Shapes: n examples, d dimensions, P problems of two classes, m scored vectors of a block.
"""

import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vggfeat.probes.knn import (
    STEPS,
    NeighbourClassifier,
    Neighbours,
    WeightedNeighbours,
    held_out_of,
    positives_of,
    votes,
)
from vggfeat.probes.probe import Classifier, Fits
from vggfeat.probes.streaming.blocks import Rows, VectorBlocks
from vggfeat.probes.streaming.moments import alike
from vggfeat.storage.files import full_disk_names

READ_BYTES = 2**24  # of vectors at once
COSINES_BYTES = 2**25  # of a block by a block: as float32, as whole numbers, and sorted


class StreamedNeighbourFits(Fits):
    """Fits that look for the neighbours once for all values of k."""

    def __init__(
        self,
        X: VectorBlocks,
        signs: np.ndarray,
        *,
        is_plain: bool,
        exclusive: bool = False,
        device: str = "cpu",
    ):
        self.X, self.signs, self.is_plain, self.device = X, signs, is_plain, device
        self.last: tuple[np.ndarray, FoundNeighbours] | None = None

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        """NaN for examples that all columns are trained on: each would be its own neighbour."""
        held_out = held_out_of(signs, self.signs)
        if self.last is None or not np.array_equal(signs, self.last[0]):
            count = int(max(value, *WeightedNeighbours.grid))
            scored = Rows(self.X, held_out)
            found = neighbours(self.X, signs, scored, count, self.device)
            self.last = signs.copy(), FoundNeighbours(found, self.X.folder)
        scores = np.full(signs.shape, np.nan, dtype=np.float32)
        rows, k = np.flatnonzero(held_out), np.full(signs.shape[1], value)
        positives = positives_of(signs)
        for place, groups in self.last[1].blocks():
            scores[rows[place]] = votes(groups, positives, k, self.is_plain)
        return scores

    def fit(self, value: float | Sequence[float]) -> "StreamedNeighbourClassifier":
        return StreamedNeighbourClassifier(
            examples=self.X,
            signs=self.signs.astype(np.int8, copy=False),
            k=np.broadcast_to(value, self.signs.shape[1]).astype(np.int64),
            is_plain=self.is_plain,
            device=self.device,
        )


@dataclass(frozen=True, kw_only=True)
class StreamedNeighbourClassifier(Classifier):
    """Training examples [n, d] on disk with their signs [n, K], and the k of each class."""

    kind = "knn"
    examples: VectorBlocks
    signs: np.ndarray
    k: np.ndarray
    is_plain: bool
    device: str = "cpu"

    def decisions(self, X: np.ndarray) -> np.ndarray:
        return self._in_memory().decisions(X)

    def decisions_of_blocks(self, X: VectorBlocks) -> np.ndarray:
        """The decision values [m, K] of vectors on disk, in float32."""
        scores = np.empty((X.shape[0], len(self.k)), dtype=np.float32)
        found = neighbours(self.examples, self.signs, X, int(self.k.max()), self.device)
        positives = positives_of(self.signs)
        for place, groups in found:
            scores[place] = votes(groups, positives, self.k, self.is_plain)
        return scores

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the classifier in memory, which holds all examples."""
        return self._in_memory().arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Classifier:
        return NeighbourClassifier.from_arrays(arrays)

    def _in_memory(self) -> NeighbourClassifier:
        examples = np.empty(self.examples.shape, dtype=np.float32)
        for place, block in self.examples.blocks(_rows_read(self.examples)):
            examples[place] = normalize(torch.from_numpy(block), dim=1).numpy()
        return NeighbourClassifier(
            examples=examples, signs=self.signs, k=self.k, is_plain=self.is_plain,
            device=self.device,
        )  # fmt: skip


class FoundNeighbours:
    """Neighbours of many scored vectors, in a scratch file without a name in a folder.

    The system's own may be kept in memory. Raises OSError where there is no room.
    """

    def __init__(self, found: Iterator[tuple[slice, list[Neighbours]]], folder: Path | None):
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed with this object
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[slice, list[tuple[np.ndarray, tuple[int, int]]]]] = []
        for place, groups in found:
            with full_disk_names(Path(folder or tempfile.gettempdir())):
                for group in groups:
                    self._file.write(group.rows.astype(np.int32).tobytes())
                    self._file.write(group.cosines.astype(np.float32).tobytes())
                self._file.flush()
            self._places.append((place, [(each.classes, each.rows.shape) for each in groups]))

    def blocks(self) -> Iterator[tuple[slice, list[Neighbours]]]:
        """Where scored vectors stand, and their neighbours for each group of classes."""
        self._file.seek(0)
        for place, groups in self._places:
            yield (
                place,
                [
                    Neighbours(classes, self._read(np.int32, shape), self._read(np.float32, shape))
                    for classes, shape in groups
                ],
            )

    def _read(self, dtype: type, shape: tuple[int, int]) -> np.ndarray:
        content = self._file.read(4 * shape[0] * shape[1])
        return np.frombuffer(content, dtype).reshape(shape)


def neighbours(
    examples: VectorBlocks, signs: np.ndarray, scored: VectorBlocks, count: int, device: str
) -> Iterator[tuple[slice, list[Neighbours]]]:
    """The count nearest examples [n, d] of scored vectors, block by block.

    For each group of columns of signs [n, P] that leave out (0) the same examples.
    """
    groups = alike(signs)
    used = [np.flatnonzero(signs[:, group[0]] != 0) for group in groups]
    rows = _rows_scored(scored, sum(min(count, len(rows)) for rows in used))
    for place, block in scored.blocks(rows):
        vectors = normalize(torch.from_numpy(block).float().to(device), dim=1)
        nearest = [_Nearest(len(vectors), len(rows), count, device) for rows in used]
        for here, others in examples.blocks(max(1, COSINES_BYTES // (4 * len(vectors)))):
            cosines = vectors @ normalize(torch.from_numpy(others).float().to(device), dim=1).T
            for rows, kept in zip(used, nearest, strict=True):
                first, stop = np.searchsorted(rows, (here.start, here.stop))
                if stop > first:
                    is_all = stop - first == cosines.shape[1]
                    columns = torch.from_numpy(rows[first:stop] - here.start).to(device)
                    kept.add(cosines if is_all else cosines[:, columns], int(first))
        yield (
            place,
            [
                Neighbours(group, rows[kept.places.cpu().numpy()], kept.cosines.cpu().numpy())
                for group, rows, kept in zip(groups, used, nearest, strict=True)
            ],
        )


class _Nearest:
    """The nearest of the examples so far, nearest first: places among all, and cosines [m, k]."""

    def __init__(self, num_scored: int, num_examples: int, count: int, device: str):
        self.num_examples, self.count = num_examples, min(count, num_examples)
        self.ranks = torch.empty((num_scored, 0), dtype=torch.int64, device=device)
        self.places = torch.empty((num_scored, 0), dtype=torch.int64, device=device)
        self.cosines = torch.empty((num_scored, 0), device=device)

    def add(self, cosines: Tensor, first: int) -> None:
        """Look among more examples, the cosines [m, b] of those from place `first` on."""
        places = torch.arange(first, first + cosines.shape[1], device=cosines.device)
        # Whole numbers, no two of which are equal, as in knn.py.
        ranks = (cosines * STEPS).round().long().mul_(self.num_examples).sub_(places)
        ranks, near = ranks.topk(min(self.count, ranks.shape[1]), dim=1)
        ranks = torch.cat([self.ranks, ranks], dim=1)
        places = torch.cat([self.places, places[near]], dim=1)
        cosines = torch.cat([self.cosines, cosines.gather(1, near)], dim=1)
        self.ranks, order = ranks.topk(min(self.count, ranks.shape[1]), dim=1)
        self.places, self.cosines = places.gather(1, order), cosines.gather(1, order)


def _rows_read(X: VectorBlocks) -> int:
    return max(1, READ_BYTES // (4 * X.shape[1]))


def _rows_scored(scored: VectorBlocks, count: int) -> int:
    """Rows of a block of scored vectors, so that the examples are not read too often.

    Of each there are the vector and count neighbours, which are 20 bytes each, twice while they are
    compared with more.
    """
    return max(1, 2 * COSINES_BYTES // (12 * scored.shape[1] + 40 * count))
