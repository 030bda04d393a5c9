"""The linear SVM probe on vectors from disk: all classes and folds share each pass over them.

Objective, stopping rule and the classifier's gap are those of svm_newton.py. What is held in memory
stands in svm_memory.py; what the budget leaves decides how many classes share passes.

Shapes: n examples, d dimensions, D = d + 1, K classes, P problems.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vggfeat.features.allocator import return_freed_memory
from vggfeat.probes.few_threads import at_most_threads, free_cores
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.svm_fit import Solved, Solver
from vggfeat.probes.streaming.svm_memory import Sizes
from vggfeat.probes.streaming.svm_pass import sign_counts
from vggfeat.probes.streaming.svm_preconditioner import PrincipalAxes
from vggfeat.probes.svm import SELECTION_TOL, ClassWeight, checked_C


class StreamedSVMFits(Fits):
    """Fits to X [n, d] and signs [n, K], best of int8, that take about `memory` bytes.

    A class is solved when its duality gap is at most tol of its objective; the classifiers that
    choose C are fitted to SELECTION_TOL, if that is larger. Classes may be fitted by several
    processes: each takes the columns of its own. Raises OptionError if the memory is too little.
    """

    def __init__(
        self,
        X: VectorBlocks,
        signs: np.ndarray,
        *,
        memory: float,
        tol: float,
        max_iter: int,
        class_weight: ClassWeight = None,
        device: str = "cpu",
    ):
        self.X, self.signs, self.class_weight, self.device = X, signs, class_weight, device
        self.memory, self.tol, self.max_iter = memory, tol, max_iter
        self.sizes = Sizes.within(memory, X, signs.shape[1])
        with at_most_threads(free_cores()):
            self.axes = PrincipalAxes(
                X, device, num_axes=self.sizes.axes, num_rows=self.sizes.sample
            )
        return_freed_memory()
        self.num_passes = 0  # over the vectors, so far
        self.weights: Tensor | None = None  # [P, D] of the last decisions
        self.start: Tensor | None = None  # [K, D]

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        start = self.weights
        if start is not None and len(start) != signs.shape[1]:  # of another number of folds
            start = None
        C, tol = checked_C(value, signs.shape[1]), max(self.tol, SELECTION_TOL)
        scores = np.empty(signs.shape, np.float32)
        self.weights = self._solve(signs, C, start, tol=tol, scores=scores).w
        return scores

    def start_from(self, classes: np.ndarray) -> None:
        last = self.weights[: len(classes)]
        if self.start is None:
            self.start = torch.zeros_like(last)
        chosen = torch.tensor(classes)
        self.start[chosen] = last[chosen]

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        C = checked_C(value, self.signs.shape[1])
        solved = self._solve(self.signs, C, self.start, tol=self.tol)
        w, objective, gap, steps = (each.cpu().numpy() for each in vars(solved).values())
        return LinearClassifier(
            coef=w[:, :-1],
            intercept=w[:, -1],
            num_iterations=steps,
            converged=gap <= self.tol * objective,
            gap=gap / np.maximum(objective, np.finfo(float).tiny),
        )

    def _solve(
        self,
        signs: np.ndarray,
        C: np.ndarray,
        start: Tensor | None,
        *,
        tol: float,
        scores: np.ndarray | None = None,
    ) -> Solved:
        """The minima for signs [n, P] and C [P], from weights [P, D]; fills scores [n, P]."""
        weights = sign_weights(self.class_weight, sign_counts(signs))
        costs = torch.from_numpy(C * weights).to(self.device)
        shape = signs.shape[1], self.X.shape[1] + 1
        w = torch.zeros(shape, dtype=torch.float64, device=self.device)
        if start is not None:
            w.copy_(start)
        sizes = Sizes.within(self.memory, self.X, signs.shape[1])
        solver = Solver(self.X, self.axes, sizes, self.max_iter)
        with at_most_threads(free_cores()):
            solved = solver.solve(signs, costs, w, tol=tol, scores=scores)
        self.num_passes += solver.num_passes
        return solved


def sign_weights(class_weight: ClassWeight, counts: np.ndarray) -> np.ndarray:
    """The weights [2, P] of negative and positive examples, of which there are counts [2, P].

    They are those of scikit-learn's `compute_class_weight`.
    """
    if class_weight is None:
        return np.ones(counts.shape)
    if class_weight == "balanced":
        return counts.sum(axis=0) / ((counts > 0).sum(axis=0).clip(1) * counts.clip(1))
    values = np.array([class_weight.get(-1, 1.0), class_weight.get(1, 1.0)], float)
    return np.broadcast_to(values[:, None], counts.shape)
