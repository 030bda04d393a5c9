"""A probe that the project does not have: ridge regression to the signs of each class.

Each class minimises ||y - X w - b||^2 + l ||w||^2 over the examples that it is trained on, in
closed form, with the intercept b left free.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits, Probe


class Ridge(Probe):
    """Ridge regression, one class against the rest."""

    name = "ridge"
    title = "ridge regression"
    hyperparameter = "lambda"
    grid = (1e-4, 1e-3, 1e-2, 0.1, 1.0)

    def method(self) -> dict[str, Any]:
        return {"loss": "squared", "intercept": "free"}

    def fits(self, X: np.ndarray, signs: np.ndarray) -> "RidgeFits":
        return RidgeFits(X, signs)


class RidgeFits(Fits):
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

    def _fit_class(self, signs: np.ndarray, value: float) -> tuple[np.ndarray, float]:
        X, y = self.X[signs != 0], signs[signs != 0]
        mean = X.mean(axis=0)
        centred = X - mean
        system = centred.T @ centred + value * np.eye(X.shape[1])
        w = np.linalg.solve(system, centred.T @ (y - y.mean()))
        return w, y.mean() - mean @ w
