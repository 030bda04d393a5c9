"""The linear SVM probe on small problems: Newton's method with exact steps, where that is faster.

Shapes: n examples, d dimensions, K classes, P problems, m unknowns: the lesser of n and d + 1.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from vggfeat.probes.few_threads import free_cores, one_blas_thread
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.newton.exact_steps import ExactSolution, measured, objectives, solve_exactly
from vggfeat.probes.newton.exact_systems import MAX_KEPT, systems_of
from vggfeat.probes.probe import Fits
from vggfeat.probes.svm import SELECTION_TOL, ClassWeight, checked_C, example_weights

BLOCK_VALUES = 2**18  # of the P x n matrices that are worked on together: they stay in the cache
# What one fit of each class takes, in the operations of an exact step: by conjugate gradients an
# entry of G (or of X, there and back) takes as long as ENTRY of them, and what does not grow with
# the problem as long as OVERHEAD. Fitted to 20 sizes from 200 x 1,000 to 50,000 x 16 on a CPU; see
# docs/performance.md. They decide nothing but speed.
ENTRY, OVERHEAD = 120, 2.4e8
TINY = np.finfo(float).tiny
# Fewer examples are fitted as ever: records of so few, which are kept, hang on the last digits that
# conjugate gradients leave.
MIN_EXAMPLES = 10
OPERATIONS_FOR_THREADS = 1e9  # 0.2 s of one thread


def exact_steps_are_faster(n: int, d: int, num_classes: int) -> bool:
    """Whether exact steps take less time than conjugate gradients for these sizes."""
    if n < MIN_EXAMPLES:
        return False
    gradients = ENTRY * n * min(n, 2 * (d + 1))
    is_faster = num_classes * (_operations(n, d) - gradients) < OVERHEAD
    return is_faster and num_classes * min(n, d + 1) ** 2 <= MAX_KEPT


def _operations(n: int, d: int) -> float:
    """Operations that exact steps take for a class: products of weights, and factorisations."""
    return n**3 / 3 if n <= d + 1 else n * (d + 1) ** 2


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
        solution = self._solved(*self._problems(signs), C, tol, start)
        self.unknowns = solution.unknowns
        scores = solution.scores.T.copy()
        gap = solution.gap / np.maximum(solution.objective, TINY)  # 0 where nothing is trained on
        if len(unsolved := self._unsolved(gap, solution.steps, tol)):
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
        y, weights = self._problems(self.signs)
        solution = self._solved(y, weights, C, self.tol, self.start)
        with one_blas_thread():
            w, objective, gap = measured(self.systems, y, C[:, None] * weights, solution)
        gap, steps = gap / np.maximum(objective, TINY), solution.steps
        if len(unsolved := self._unsolved(gap, steps, self.tol)):
            other = self._otherwise(self.signs[:, unsolved], steps[unsolved]).fit(C[unsolved])
            steps[unsolved] += other.num_iterations
            other_w = np.column_stack([other.coef, other.intercept])
            costs = C[unsolved, None] * weights[unsolved]
            # Where digits end for both, conjugate gradients may even have gone uphill.
            is_less = objectives(self.X, y[unsolved], costs, other_w) < objective[unsolved]
            taken = is_less | (other.gap <= self.tol)
            w[unsolved[taken]], gap[unsolved[taken]] = other_w[taken], other.gap[taken]
        return LinearClassifier(
            coef=w[:, :-1],
            intercept=w[:, -1],
            num_iterations=steps,
            converged=gap <= self.tol,
            gap=gap,
        )

    def _problems(self, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signs and weights [P, n] of the classifiers with signs [n, P]."""
        weights = np.ascontiguousarray(example_weights(self.class_weight, signs).T)
        return np.ascontiguousarray(signs.T, dtype=np.float64), weights

    def _solved(
        self,
        y: np.ndarray,
        weights: np.ndarray,
        C: np.ndarray,
        tol: float,
        start: np.ndarray | None,
    ) -> ExactSolution:
        threads = 1
        if len(y) * _operations(*self.X.shape) >= OPERATIONS_FOR_THREADS:
            threads = min(torch.get_num_threads(), free_cores())
        count = max(1, min(BLOCK_VALUES // len(self.X), -(-len(y) // threads)))

        def solved(first: int) -> ExactSolution:
            block = slice(first, first + count)
            return solve_exactly(
                self.systems, y[block], weights[block], C[block], tol=tol, first=first,
                max_steps=self.max_iter, start=None if start is None else start[block],
            )  # fmt: skip

        blocks = range(0, len(y), count)
        with one_blas_thread():
            if threads == 1:
                return ExactSolution.joined([solved(first) for first in blocks])
            with ThreadPoolExecutor(threads) as pool:
                return ExactSolution.joined(list(pool.map(solved, blocks)))

    def _unsolved(self, gap: np.ndarray, steps: np.ndarray, tol: float) -> np.ndarray:
        """The problems whose digits did not suffice, though steps are left."""
        return np.flatnonzero(~(gap <= tol) & (steps < self.max_iter))

    def _otherwise(self, signs: np.ndarray, steps: np.ndarray) -> Fits:
        """Other fits to signs [n, P] of problems that have taken these steps [P]."""
        return self.otherwise(
            self.X, signs, tol=self.tol, max_iter=self.max_iter - int(steps.max()),
            class_weight=self.class_weight,
        )  # fmt: skip
