"""The linear SVM probe by Newton's method: all classes, folds and values of C at once.

They share one Gram matrix, and each value of C starts from the solution of the one before. Small
problems are fitted by exact steps (svm_exact.py), others by conjugate gradients.

Shapes: n examples, d dimensions, K classes, P problems.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.few_threads import at_most_threads, free_cores
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.newton.design_matrix import DesignMatrix
from vggfeat.probes.newton.minimise import minimise
from vggfeat.probes.newton.solver import solve
from vggfeat.probes.probe import Fits
from vggfeat.probes.svm import SELECTION_TOL, SVM, ClassWeight, checked_C, example_weights
from vggfeat.probes.svm_exact import ExactFits, exact_steps_are_faster

# Of products of G, or of X there and back, with a vector for each class: from so many on several
# threads take less time than one. Computing G takes as long as those of a class for so many
# dimensions.
ENTRIES_FOR_THREADS, DIMENSIONS_OF_A_CLASS = 1e8, 600


class NewtonSVM(SVM):
    """Linear SVMs of all classes together, on a CPU or a GPU."""

    solver = "newton"
    algorithm = "Newton's method on all classes, duality gap at most tol of the objective"
    tol = 1e-5
    max_iter = 200

    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> Fits:
        return fits_by_newton(X, signs, tol=self.tol, max_iter=self.max_iter, device=self.device)


def fits_by_newton(
    X: np.ndarray,
    signs: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    class_weight: ClassWeight = None,
    device: str = "cpu",
) -> Fits:
    """Fits to X [n, d] and signs [n, K] by whichever kind of step takes less time."""
    options = {"tol": tol, "max_iter": max_iter, "class_weight": class_weight}
    if device == "cpu" and exact_steps_are_faster(*X.shape, signs.shape[1]):
        return ExactFits(X, signs, **options, otherwise=NewtonFits)
    return NewtonFits(X, signs, **options, device=device)


class NewtonFits(Fits):
    """Fits that share the Gram matrix of X [n, d], a float array.

    A class is solved when its duality gap is at most tol of its objective; the classifiers that
    choose C are fitted to SELECTION_TOL, if that is larger.
    """

    def __init__(
        self,
        X: np.ndarray,
        signs: np.ndarray,
        *,
        tol: float,
        max_iter: int,
        class_weight: ClassWeight = None,
        device: str = "cpu",
    ):
        self.design = DesignMatrix(torch.from_numpy(np.require(X, requirements="CW")).to(device))
        self.signs, self.class_weight = signs, class_weight
        self.tol, self.max_iter = tol, max_iter
        self.coefficients: Tensor | None = None  # a [P, n] of the last decisions
        self.start: Tensor | None = None  # a [K, n]

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        problems = self._problems(signs, checked_C(value, signs.shape[1]))
        start = self.coefficients
        if start is not None and len(start) != signs.shape[1]:  # of another number of folds
            start = None
        tol = max(self.tol, SELECTION_TOL)
        with self._threads():
            solution = solve(self.design, *problems, tol=tol, max_steps=self.max_iter, start=start)
        self.coefficients = solution.a
        return solution.f.T.cpu().numpy()

    def start_from(self, classes: np.ndarray) -> None:
        if self.start is None:
            self.start = torch.zeros_like(self.coefficients[: len(classes)])
        chosen = torch.tensor(classes)
        self.start[chosen] = self.coefficients[: len(classes)][chosen]

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        problems = self._problems(self.signs, checked_C(value, self.signs.shape[1]))
        with self._threads():
            minimum = minimise(
                self.design, *problems, tol=self.tol, max_steps=self.max_iter, start=self.start
            )
        w, gap, objective, steps = (
            each.cpu().numpy()
            for each in (minimum.w, minimum.gap, minimum.objective, minimum.steps)
        )
        return LinearClassifier(
            coef=w[:, :-1],
            intercept=w[:, -1],
            num_iterations=steps,
            converged=gap <= self.tol * objective,
            gap=gap / objective,
        )

    def _threads(self) -> AbstractContextManager[None]:
        """A `with` block: one thread for small problems, for others the cores that are free."""
        n, d, num_classes = self.design.n, self.design.d, self.signs.shape[1]
        entries = (num_classes + d / DIMENSIONS_OF_A_CLASS) * n * min(n, 2 * d)
        return at_most_threads(1 if entries < ENTRIES_FOR_THREADS else free_cores())

    def _problems(self, signs: np.ndarray, C: np.ndarray) -> tuple[Tensor, Tensor]:
        """Signs and costs [P, n] of these classifiers; signs [n, P], C [P]."""
        y = torch.from_numpy(signs.T.copy()).to(self.design.X)
        weights = example_weights(self.class_weight, signs) * C
        return y, torch.from_numpy(weights.T.copy()).to(y)
