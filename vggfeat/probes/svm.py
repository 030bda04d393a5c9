"""The linear SVM as a probe: its objective, and C with its grid; svm_*.py fit it.

Each class k minimises, over its weights w and intercept b,

    (w'w + b'b) / 2 + C * sum_i  weight(y_ik) * max(0, 1 - y_ik (w'x_i + b))^2

over the examples with y_ik = +1 or -1. The intercept is regularised with the weights, which is
liblinear's rule at intercept_scaling = 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from vggfeat.probes.probe import Probe

# The paper names neither grid nor solver. A choice at either end is stated in the record's notes.
C_GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
SELECTION_TOL = 1e-4  # how exact classifiers have to be that only serve to choose C
SMALLEST_C = 1e-15

ClassWeight = Mapping[int, float] | Literal["balanced"] | None


class SVM(Probe):
    """A linear SVM with squared hinge loss for each class against the rest."""

    name = "svm"
    title = "linear SVM"
    hyperparameter = "C"
    grid = C_GRID
    solver: ClassVar[str]
    algorithm: ClassVar[str]  # as records describe it
    tol: ClassVar[float]
    max_iter: ClassVar[int]

    def method(self) -> dict[str, Any]:
        return {
            "solver": self.solver,
            "method": self.algorithm,
            "loss": "squared hinge, one class against the rest",
            "intercept": "regularised with the weights (intercept_scaling 1)",
            "class_weight": None,
            "tol": self.tol,
            "max_iter": self.max_iter,
        }

    def settings(self) -> dict[str, Any]:
        settings = super().settings() | {"c_tol": SELECTION_TOL}
        del settings["probe"]  # records were known by these before there were other probes
        return settings


def checked_C(C: float | Sequence[float], num_classes: int) -> np.ndarray:
    """C for each class [num_classes].

    Raises ValueError unless each is a number that float32 can hold, and its square, too.
    """
    values = np.array(C, dtype=float)
    if not ((values >= SMALLEST_C) & (values <= 1 / SMALLEST_C)).all():
        raise ValueError(f"C must be from {SMALLEST_C:g} to {1 / SMALLEST_C:g}; got {C}.")
    return np.broadcast_to(values, num_classes)


def example_weights(class_weight: ClassWeight, signs: np.ndarray) -> np.ndarray:
    """The weight of each example in each class [n, P]; 0 where signs [n, P] are 0."""
    weights = (signs != 0).astype(float)
    if class_weight is None:
        return weights
    from sklearn.utils.class_weight import compute_class_weight  # 1 s to import

    for column, column_signs in zip(weights.T, signs.T, strict=True):
        trained_on = column_signs[column_signs != 0]
        present = np.unique(trained_on)
        if len(present):
            values = compute_class_weight(class_weight, classes=present, y=trained_on)
            for sign, value in zip(present, values, strict=True):
                column[column_signs == sign] = value
    return weights
