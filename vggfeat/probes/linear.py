"""A linear classifier, which is what several probes fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vggfeat.probes.probe import Classifier

ROWS_AT_ONCE = 1024  # examples in float64


@dataclass(frozen=True, kw_only=True)
class LinearClassifier(Classifier):
    """Weights coef [K, d] and intercept [K]; num_iterations [K] where the fit was iterative."""

    kind = "linear"
    coef: np.ndarray
    intercept: np.ndarray
    num_iterations: np.ndarray | None = None
    converged: np.ndarray | None = None
    gap: np.ndarray | None = None

    def decisions(self, X: np.ndarray) -> np.ndarray:
        """Decision values [m, K] of X [m, d], computed in float64."""
        blocks = [X[i : i + ROWS_AT_ONCE] for i in range(0, len(X), ROWS_AT_ONCE)]
        products = [block.astype(np.float64) @ self.coef.T for block in blocks]
        return np.concatenate(products) + self.intercept

    def arrays(self) -> dict[str, np.ndarray]:
        return {"coef": self.coef, "intercept": self.intercept}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "LinearClassifier":
        coef, intercept = arrays["coef"], arrays["intercept"]
        if coef.ndim != 2 or intercept.shape != coef.shape[:1]:
            raise ValueError(f"coef is of shape {coef.shape}, intercept of {intercept.shape}")
        return cls(coef=coef, intercept=intercept)
