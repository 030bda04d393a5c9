"""A probe that the project does not have: linear discriminant analysis of each class and the rest.

Both sides of a class are taken as Gaussians of one covariance, which is shrunk towards a multiple
of the identity by a share that is chosen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits, Probe


class Discriminant(Probe):
    """Linear discriminant analysis, one class against the rest."""

    name = "lda"
    title = "linear discriminant analysis"
    hyperparameter = "shrinkage"
    grid = (0.05, 0.2, 0.5, 0.8, 1.0)
    patience = None

    def method(self) -> dict[str, Any]:
        return {"covariance": "common to a class and the rest"}

    def fits(
        self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False
    ) -> "DiscriminantFits":
        return DiscriminantFits(X, signs)


class DiscriminantFits(Fits):
    def __init__(self, X: np.ndarray, signs: np.ndarray):
        self.X, self.signs = X.astype(np.float64), signs

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        return self._fit(signs, np.full(signs.shape[1], value)).decisions(self.X)

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        return self._fit(self.signs, np.broadcast_to(value, self.signs.shape[1]))

    def _fit(self, signs: np.ndarray, values: np.ndarray) -> LinearClassifier:
        columns = [self._fit_class(y, value) for y, value in zip(signs.T, values, strict=True)]
        coef, intercept = zip(*columns, strict=True)
        return LinearClassifier(coef=np.stack(coef), intercept=np.array(intercept))

    def _fit_class(self, signs: np.ndarray, shrinkage: float) -> tuple[np.ndarray, float]:
        sides = [self.X[signs > 0], self.X[signs < 0]]
        shares = np.array([len(side) for side in sides]) / np.count_nonzero(signs)
        means = [side.mean(axis=0) for side in sides]
        covariances = [np.cov(side.T, bias=True) for side in sides]
        covariance = shares[0] * covariances[0] + shares[1] * covariances[1]
        size = np.trace(covariance) / len(covariance)
        shrunk = (1 - shrinkage) * covariance + shrinkage * size * np.eye(len(covariance))
        w = np.linalg.solve(shrunk, means[0] - means[1])
        return w, np.log(shares[0] / shares[1]) - w @ (means[0] + means[1]) / 2
