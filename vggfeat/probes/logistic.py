"""Logistic regression as a probe: softmax where classes exclude each other, else each by itself.

The objective is scikit-learn's LogisticRegression: C times the losses, half the squared weights,
and an intercept that is left free. logistic_solver.py has it, and what is made of it.

Shapes: n examples, d dimensions, K classes, P problems of two classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.logistic_solver import Point, Problems, binary_loss, softmax_loss, solve
from vggfeat.probes.principal_axes import PrincipalAxes
from vggfeat.probes.probe import Fits, Probe

TOL, SELECTION_TOL, MAX_ITER = 1e-6, 1e-4, 500  # of the gap relative to the objective


class Logistic(Probe):
    """Logistic regression with an L2 penalty."""

    name = "logistic"
    title = "logistic regression"
    hyperparameter = "C"
    grid = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0)
    # The whole grid: of values that validate alike the first of a few would be far too small.
    patience = None

    def method(self) -> dict[str, Any]:
        return {
            "loss": "log loss: softmax where each example has one class, else each class against"
            " the rest",
            "penalty": "half the squared weights; the intercept is free",
            "method": "L-BFGS on principal axes, gap at most tol of the objective",
            "tol": TOL,
            "c_tol": SELECTION_TOL,
            "max_iter": MAX_ITER,
        }

    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> "LogisticFits":
        return LogisticFits(X, signs, exclusive=exclusive, device=self.device)


class LogisticFits(Fits):
    """Fits that share the examples' principal axes, each starting from an earlier one.

    They are found in float32; float64 then checks them, and goes on where rounding left too much.
    """

    def __init__(
        self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False, device: str = "cpu"
    ):
        examples = torch.from_numpy(X.astype(np.float64)).to(device)
        self.signs, self.exclusive = signs, exclusive
        self.axes = PrincipalAxes.of(examples)
        self.Z = self.axes.coordinates(examples)
        self.Z_float32 = self.Z.float()
        self.last: Tensor | None = None  # weights and intercepts [P, r + 1] of the last decisions
        self.start: Tensor | None = None  # those that `fit` starts from [K, r + 1]

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        solved = can_be_trained(signs) | self.exclusive
        start = self.last
        if start is None or len(start) != len(solved):  # of another number of folds
            start = self._zeros(len(solved))
        point, _ = self._solve(signs[:, solved], value, start[solved], SELECTION_TOL)
        self.last = self._zeros(len(solved))
        self.last[solved] = _as_rows(point)
        scores = np.full(signs.shape, np.nan)
        scores[:, solved] = point.f.flatten(0, 1).T.cpu().numpy()
        return scores

    def start_from(self, classes: np.ndarray) -> None:
        if self.start is None:
            self.start = self._zeros(len(classes))
        chosen = torch.tensor(classes)
        self.start[chosen] = self.last[: len(classes)][chosen]

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        start = self._zeros(self.signs.shape[1]) if self.start is None else self.start
        point, iterations = self._solve(self.signs, value, start, TOL)
        coef, intercept = self.axes.in_dimensions(point.W.flatten(0, 1), point.b.flatten())
        gap, num_iterations = (
            np.repeat(each.cpu().numpy(), len(coef) // len(each))
            for each in (point.gap, iterations)
        )
        return LinearClassifier(
            coef=coef.cpu().numpy(),
            intercept=intercept.cpu().numpy(),
            num_iterations=num_iterations,
            converged=gap <= TOL,
            gap=gap,
        )

    def _problems(self, signs: np.ndarray, C: float | Sequence[float], Z: Tensor) -> Problems:
        """The problems of signs [n, P]; of classes that exclude each other K are one problem."""
        num_rows = self.signs.shape[1] if self.exclusive else 1
        targets = torch.from_numpy(signs.T.copy()).to(Z).reshape(-1, num_rows, len(signs))
        return Problems(
            Z=Z,
            eigenvalues=self.axes.eigenvalues.to(Z),
            targets=targets.clamp(min=0) if self.exclusive else targets,
            C=torch.as_tensor(np.broadcast_to(C, len(targets)).copy()).to(Z),
            loss=softmax_loss if self.exclusive else binary_loss,
        )

    def _solve(
        self, signs: np.ndarray, C: float | Sequence[float], start: Tensor, tol: float
    ) -> tuple[Point, Tensor]:
        """The minima for signs [n, P], and iterations, from rows [P, r + 1] of a start."""
        iterations: int | Tensor = 0
        for Z in (self.Z_float32, self.Z):
            problems = self._problems(signs, C, Z)
            shape = *problems.targets.shape[:2], start.shape[1]
            W, b = start.to(Z).reshape(shape).split([start.shape[1] - 1, 1], dim=2)
            point, more = solve(problems, W, b, tol=tol, max_iter=MAX_ITER)
            start, iterations = _as_rows(point), iterations + more
        return point, iterations

    def _zeros(self, count: int) -> Tensor:
        return self.Z.new_zeros(count, self.Z.shape[1] + 1)


def _as_rows(point: Point) -> Tensor:
    """Weights and intercepts of every row of the problems, [P, r + 1]."""
    return torch.cat([point.W, point.b], dim=2).flatten(0, 1)
