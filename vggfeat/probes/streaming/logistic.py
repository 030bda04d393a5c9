"""Logistic regression to vectors on disk: all classes share each pass over them.

Objective and stopping rule are those of logistic.py; logistic_passes.py has the solver.

Shapes: n examples, d dimensions, r axes, K classes, P problems of two classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.logistic import MAX_ITER, SELECTION_TOL, TOL
from vggfeat.probes.probe import Fits
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.logistic_passes import Passes, Solution, solve
from vggfeat.probes.streaming.moments import moments_of
from vggfeat.probes.streaming.scores import scores_of


class StreamedLogisticFits(Fits):
    """Fits along the principal axes of X [n, d], each starting from an earlier one.

    They are found in float32; float64 then checks them, and goes on where rounding left too much.
    """

    def __init__(
        self, X: VectorBlocks, signs: np.ndarray, *, exclusive: bool = False, device: str = "cpu"
    ):
        self.X, self.signs, self.exclusive, self.device = X, signs, exclusive, device
        everything = np.ones((X.shape[0], 1), dtype=np.int8)
        self.axes = next(iter(moments_of(X, everything, device=device))).axes()
        self.last: Tensor | None = None  # weights and intercepts [P, r + 1] of the last decisions
        self.start: Tensor | None = None  # those that `fit` starts from [K, r + 1]

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        solved = can_be_trained(signs) | self.exclusive
        start = self.last
        if start is None or len(start) != len(solved):  # of another number of folds
            start = self._zeros(len(solved))
        solution = self._solve(
            signs if solved.all() else signs[:, solved],
            value,
            start[torch.from_numpy(solved)],
            SELECTION_TOL,
        )
        self.last = self._zeros(len(solved))
        self.last[torch.from_numpy(solved)] = solution.rows
        scores = scores_of(self._classifier(solution), self.X)
        if solved.all():
            return scores
        of_all = np.full(signs.shape, np.nan, dtype=np.float32)
        of_all[:, solved] = scores
        return of_all

    def start_from(self, classes: np.ndarray) -> None:
        if self.start is None:
            self.start = self._zeros(len(classes))
        chosen = torch.tensor(classes)
        self.start[chosen] = self.last[: len(classes)][chosen]

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        start = self._zeros(self.signs.shape[1]) if self.start is None else self.start
        solution = self._solve(self.signs, value, start, TOL)
        return self._classifier(solution)

    def _classifier(self, solution: Solution) -> LinearClassifier:
        weights, intercepts = solution.rows[:, :-1], solution.rows[:, -1]
        coef, intercept = self.axes.in_dimensions(weights, intercepts)
        gap, num_iterations = (
            np.repeat(each.cpu().numpy(), len(coef) // len(each))
            for each in (solution.gap, solution.iterations)
        )
        return LinearClassifier(
            coef=coef.cpu().numpy(),
            intercept=intercept.cpu().numpy(),
            num_iterations=num_iterations,
            converged=gap <= TOL,
            gap=gap,
        )

    def _solve(
        self, signs: np.ndarray, C: float | Sequence[float], start: Tensor, tol: float
    ) -> Solution:
        """The minima for signs [n, P] from rows [P, r + 1] of a start."""
        iterations: int | Tensor = 0
        num_rows = self.signs.shape[1] if self.exclusive else 1
        for dtype in (torch.float32, torch.float64):
            passes = Passes.of(self.X, self.axes, signs, C, num_rows=num_rows, dtype=dtype)
            solution = solve(passes, start.to(dtype), tol=tol, max_iter=MAX_ITER)
            iterations, start = solution.iterations + iterations, solution.rows
        return Solution(rows=solution.rows, gap=solution.gap, iterations=iterations)

    def _zeros(self, count: int) -> Tensor:
        num_axes = len(self.axes.eigenvalues)
        return torch.zeros(count, num_axes + 1, dtype=torch.float64, device=self.device)
