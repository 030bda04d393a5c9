"""Decision values of vectors that come block by block.

Shapes: n examples, d dimensions, K classes.
"""

import numpy as np

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Classifier
from vggfeat.probes.streaming.block_size import block_rows
from vggfeat.probes.streaming.blocks import Rows, VectorBlocks


def scores_of(classifier: Classifier, X: VectorBlocks) -> np.ndarray:
    """The decision values [n, K] of X [n, d] in float32, half of what they take in float64."""
    if not isinstance(classifier, LinearClassifier):
        return classifier.decisions_of_blocks(X)
    scores = np.empty((X.shape[0], len(classifier.coef)), dtype=np.float32)
    for rows, block in X.blocks(block_rows(X.shape[1], len(classifier.coef))):
        scores[rows] = classifier.decisions(block)
    return scores


def held_out_scores(classifier: LinearClassifier, X: VectorBlocks, held_out: np.ndarray):
    """The decision values of the examples of a mask [n]; NaN for the others."""
    scores = np.full((X.shape[0], len(classifier.coef)), np.nan, dtype=np.float32)
    rows = np.flatnonzero(held_out)
    if len(rows):
        scores[rows] = scores_of(classifier, Rows(X, rows))
    return scores
