"""The nearest class mean as a probe, which has nothing to choose.

Of classes that exclude each other the score is x'm - m'm / 2 with the class's mean m, so that the
highest is the nearest by Euclid. Of several labels the positives' mean stands against the
negatives': the score is above 0 where the positives' is the nearer. Benchmarks give vectors of
length one; the means are taken as they are.

Shapes: n examples, d dimensions, K classes, P problems of two classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits, Probe


class Centroid(Probe):
    """The nearest class mean."""

    name = "centroid"
    title = "nearest class mean"

    def method(self) -> dict[str, Any]:
        return {
            "distance": "Euclid's to the class's mean; of several labels the difference of the"
            " squared distances to the negatives' mean and to the positives'",
        }

    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> "CentroidFits":
        return CentroidFits(X, signs, exclusive=exclusive)


class CentroidFits(Fits):
    """Means in float64."""

    def __init__(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False):
        self.X, self.signs, self.exclusive = X.astype(np.float64, copy=False), signs, exclusive

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        return self._classifier(signs).decisions(self.X)

    def fit(self, value: float | Sequence[float] | None = None) -> LinearClassifier:
        return self._classifier(self.signs)

    def _classifier(self, signs: np.ndarray) -> LinearClassifier:
        positives = self._sums(signs > 0)
        if self.exclusive:
            return of_means(positives, None, signs)
        return of_means(positives, self.X.sum(axis=0) - positives - self._sums(signs == 0), signs)

    def _sums(self, chosen: np.ndarray) -> np.ndarray:
        """The sum of each column's chosen examples, which are few: [P, d]; chosen is [n, P]."""
        return csr_array(chosen.T.astype(np.float64)) @ self.X


def of_means(
    positives: np.ndarray, negatives: np.ndarray | None, signs: np.ndarray
) -> LinearClassifier:
    """The classifier of the sums [P, d] of the examples with signs [n, P] of 1, and of -1.

    No negatives: the classes exclude each other.
    """
    means = positives / (signs > 0).sum(axis=0)[:, None]
    halves = (means**2).sum(axis=1) / 2
    if negatives is None:
        return LinearClassifier(coef=means, intercept=-halves)
    others = negatives / (signs < 0).sum(axis=0)[:, None]
    return LinearClassifier(coef=means - others, intercept=(others**2).sum(axis=1) / 2 - halves)
