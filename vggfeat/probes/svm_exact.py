"""The linear SVM probe on small problems: Newton's method with exact steps, by one thread.

It is chosen by the stated costs below.

Shapes: n examples, d dimensions, K classes, P problems, m unknowns: the lesser of n and d + 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.newton.exact_steps import ExactSolution, solve_exactly
from vggfeat.probes.newton.exact_systems import systems_of
from vggfeat.probes.one_thread import one_blas_thread
from vggfeat.probes.probe import Fits
from vggfeat.probes.svm import SELECTION_TOL, ClassWeight, checked_C, example_weights

BLOCK_VALUES = 2**18  # of the P x n matrices that are worked on together: they stay in the cache


def exact_steps_are_faster(n: int, d: int, num_classes: int) -> bool:
    """Whether exact steps take less time than conjugate gradients, by measured costs."""
    return min(n, d + 1) <= 320


class ExactFits(Fits):
    """Fits that share the products of X [n, d], solved like those of `NewtonFits`.

    Where the digits of exact steps do not suffice, as at a huge C, `otherwise` makes fits with the
    same arguments that go on.
    """

    def __init__(
        self,
        X: np.ndarray,
        signs: np.ndarray,
        *,
        tol: float,
        max_iter: int,
        class_weight: ClassWeight = None,
        otherwise: Callable[..., Any],
    ):
        self.X, self.signs, self.class_weight = X, signs, class_weight
        self.tol, self.max_iter, self.otherwise = tol, max_iter, otherwise
        with one_blas_thread():
            self.systems = systems_of(X)
        self.unknowns: np.ndarray | None = None  # [P, m] of the last decisions
        self.start: np.ndarray | None = None  # [K, m]

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        start = self.unknowns
        if start is not None and len(start) != signs.shape[1]:  # of another number of folds
            start = None
        C, tol = checked_C(value, signs.shape[1]), max(self.tol, SELECTION_TOL)
        solution = self._solved(signs, C, tol, start)
        self.unknowns = solution.unknowns
        scores = solution.scores.T.copy()
        if len(unsolved := self._unsolved(solution, tol)):
            other = self._otherwise(signs[:, unsolved], solution.steps[unsolved])
            scores[:, unsolved] = other.decisions(signs[:, unsolved], value)
        return scores

    def start_from(self, classes: np.ndarray) -> None:
        last = self.unknowns[: len(classes)]
        if self.start is None:
            self.start = np.zeros_like(last)
        self.start[classes] = last[classes]

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        C = checked_C(value, self.signs.shape[1])
        solution = self._solved(self.signs, C, self.tol, self.start)
        w, steps = self.systems.weights(solution.unknowns), solution.steps
        gap = solution.gap / solution.objective
        if len(unsolved := self._unsolved(solution, self.tol)):
            other = self._otherwise(self.signs[:, unsolved], steps[unsolved]).fit(C[unsolved])
            w[unsolved] = np.column_stack([other.coef, other.intercept])
            gap[unsolved] = other.gap
            steps[unsolved] += other.num_iterations
        return LinearClassifier(
            coef=w[:, :-1],
            intercept=w[:, -1],
            num_iterations=steps,
            converged=gap <= self.tol,
            gap=gap,
        )

    def _solved(
        self, signs: np.ndarray, C: np.ndarray, tol: float, start: np.ndarray | None
    ) -> ExactSolution:
        y, weights = signs.T.astype(np.float64), example_weights(self.class_weight, signs).T
        count = max(1, BLOCK_VALUES // len(signs))
        parts = []
        with one_blas_thread():
            for first in range(0, len(y), count):
                block = slice(first, first + count)
                parts.append(solve_exactly(
                    self.systems, y[block], weights[block], C[block],
                    tol=tol, max_steps=self.max_iter,
                    start=None if start is None else start[block], first=first,
                ))  # fmt: skip
        return ExactSolution.joined(parts)

    def _unsolved(self, solution: ExactSolution, tol: float) -> np.ndarray:
        """The problems whose digits did not suffice, though steps are left."""
        is_solved = solution.gap <= tol * solution.objective
        return np.flatnonzero(~is_solved & (solution.steps < self.max_iter))

    def _otherwise(self, signs: np.ndarray, steps: np.ndarray) -> Fits:
        """Other fits to signs [n, P] of problems that have taken these steps [P]."""
        return self.otherwise(
            self.X, signs, tol=self.tol, max_iter=self.max_iter - int(steps.max()),
            class_weight=self.class_weight,
        )  # fmt: skip
