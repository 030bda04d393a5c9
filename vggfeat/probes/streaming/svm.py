"""The linear SVM probe on vectors from disk: all classes and folds share each pass over them.

Objective, stopping rule and the classifier's gap are those of svm_newton.py. What is held in memory
stands in svm_memory.py; what the budget leaves decides how many classes share passes.

Shapes: n examples, d dimensions, D = d + 1, K classes, P problems.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.svm_memory import Sizes
from vggfeat.probes.streaming.svm_pass import Passes
from vggfeat.probes.streaming.svm_preconditioner import Preconditioner, PrincipalAxes
from vggfeat.probes.streaming.svm_solver import Problems
from vggfeat.probes.svm import SELECTION_TOL, ClassWeight, checked_C

SIGNS_AT_ONCE = 2**22  # values


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
        self.axes = PrincipalAxes(X, device, num_axes=self.sizes.axes, num_rows=self.sizes.sample)
        self.num_passes = 0  # over the vectors, so far
        self.weights: Tensor | None = None  # [P, D] of the last decisions
        self.start: Tensor | None = None  # [K, D]

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        start = self.weights
        if start is not None and len(start) != signs.shape[1]:  # of another number of folds
            start = None
        C, tol = checked_C(value, signs.shape[1]), max(self.tol, SELECTION_TOL)
        scores = np.empty(signs.shape, np.float32)
        solved = self._solve(signs, C, start, tol=tol, scores=scores)
        self.weights = solved[0]
        return scores

    def start_from(self, classes: np.ndarray) -> None:
        last = self.weights[: len(classes)]
        if self.start is None:
            self.start = torch.zeros_like(last)
        chosen = torch.tensor(classes)
        self.start[chosen] = last[chosen]

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        C = checked_C(value, self.signs.shape[1])
        w, objective, gap, steps = (
            each.cpu().numpy() for each in self._solve(self.signs, C, self.start, tol=self.tol)
        )
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
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights [P, D], objectives, gaps and steps [P], group by group; fills scores [n, P]."""
        P, D = signs.shape[1], self.X.shape[1] + 1
        w = torch.zeros(P, D, dtype=torch.float64, device=self.device)
        if start is not None:
            w.copy_(start)
        objective, gap = w.new_zeros(2, P)
        steps = torch.zeros(P, dtype=torch.long, device=self.device)
        size = Sizes.within(self.memory, self.X, P).problems
        for first in range(0, P, size):
            group = slice(first, first + size)
            of_group = None if scores is None else scores[:, group]
            problems = self._problems(signs[:, group], C[group], w[group], tol, of_group)
            problems.run(self.max_iter)
            w[group], objective[group] = problems.w, problems.objective
            gap[group], steps[group] = problems.gap, problems.steps
            self.num_passes += problems.passes.count
        return w, objective, gap, steps

    def _problems(
        self,
        signs: np.ndarray,
        C: np.ndarray,
        start: Tensor,
        tol: float,
        scores: np.ndarray | None,
    ) -> Problems:
        """The problems of signs [n, P], from weights [P, D]; scores is None in `fit`."""
        counts = _counts(signs)
        costs = C * sign_weights(self.class_weight, counts)
        preconditioner = Preconditioner(self.axes, len(start), self.sizes.leading)
        passes = Passes(
            self.X,
            signs,
            torch.from_numpy(costs).to(self.device),
            rows=self.sizes.rows,
            leading=preconditioner.leading,
            scores=scores,
        )
        at_zero = torch.from_numpy((costs * counts).sum(axis=0)).to(self.device)
        confirm = scores is None
        return Problems(passes, preconditioner, start, at_zero, tol=tol, confirm=confirm)


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


def _counts(signs: np.ndarray) -> np.ndarray:
    """The number of negatives and of positives in each column of signs [n, P]: [2, P]."""
    counts = np.zeros((2, signs.shape[1]), np.int64)
    step = max(1, SIGNS_AT_ONCE // signs.shape[1])
    for first in range(0, len(signs), step):
        block = signs[first : first + step]
        counts += [(block < 0).sum(axis=0), (block > 0).sum(axis=0)]
    return counts
