"""The nearest class mean of vectors on disk, by one pass over them; centroid.py has the rule."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from vggfeat.probes.centroid import of_means
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits
from vggfeat.probes.streaming.block_size import block_rows
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.scores import scores_of


class StreamedCentroidFits(Fits):
    """Means in float64 of X [n, d]."""

    def __init__(
        self, X: VectorBlocks, signs: np.ndarray, *, exclusive: bool = False, device: str = "cpu"
    ):
        self.X, self.signs, self.exclusive = X, signs, exclusive

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        return scores_of(self._classifier(signs), self.X)

    def fit(self, value: float | Sequence[float] | None = None) -> LinearClassifier:
        return self._classifier(self.signs)

    def _classifier(self, signs: np.ndarray) -> LinearClassifier:
        d, num_classes = self.X.shape[1], signs.shape[1]
        positives, left_out = np.zeros((num_classes, d)), np.zeros((num_classes, d))
        total, has_gaps = np.zeros(d), not self.exclusive and not signs.all()
        for rows, block in self.X.blocks(block_rows(d, num_classes)):
            vectors, of_block = block.astype(np.float64), signs[rows].T
            positives += csr_array((of_block > 0).astype(np.float64)) @ vectors
            total += vectors.sum(axis=0)
            if has_gaps:
                left_out += csr_array((of_block == 0).astype(np.float64)) @ vectors
        negatives = None if self.exclusive else total - positives - left_out
        return of_means(positives, negatives, signs)
