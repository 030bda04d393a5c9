"""The linear SVM probe by liblinear: scikit-learn's LinearSVC, one class after the other.

Shapes: n examples, d dimensions, K classes, P problems.
"""

import os
import warnings
from collections.abc import Sequence

import numpy as np

from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits
from vggfeat.probes.svm import SVM, ClassWeight, checked_C

COPIES_BYTES = 4 * 2**30  # of liblinear's copies of the data, 16 bytes a value and thread


class LiblinearSVM(SVM):
    """Linear SVMs by LinearSVC, in as many threads as there is memory for their copies of X."""

    solver = "liblinear"
    algorithm = "scikit-learn's LinearSVC, primal, one class after the other"
    tol = 1e-6  # at scikit-learn's own, 1e-4, the objective is 0.2 % off at C = 100 on wide data
    max_iter = 10_000

    def fits(self, X: np.ndarray, signs: np.ndarray, *, exclusive: bool = False) -> "LiblinearFits":
        threads = min(os.cpu_count() or 1, COPIES_BYTES // (16 * max(1, X.size)))
        return LiblinearFits(X, signs, tol=self.tol, max_iter=self.max_iter, n_jobs=max(1, threads))


class LiblinearFits(Fits):
    """Fits of LinearSVC with its own meaning of tol, in n_jobs threads."""

    def __init__(
        self,
        X: np.ndarray,
        signs: np.ndarray,
        *,
        tol: float,
        max_iter: int,
        class_weight: ClassWeight = None,
        n_jobs: int | None = None,
    ):
        self.X, self.signs = X.astype(np.float64, copy=False), signs
        self.options = {"tol": tol, "max_iter": max_iter, "class_weight": class_weight}
        self.n_jobs = n_jobs
        self._last_subset = np.ones(len(X), bool), self.X

    def decisions(self, signs: np.ndarray, value: float) -> np.ndarray:
        trained = can_be_trained(signs)
        classifier = self._fit(signs[:, trained], checked_C(value, trained.sum()))
        scores = np.full(signs.shape, np.nan)
        scores[:, trained] = self.X @ classifier.coef.T + classifier.intercept
        return scores

    def fit(self, value: float | Sequence[float]) -> LinearClassifier:
        return self._fit(self.signs, checked_C(value, self.signs.shape[1]))

    def _fit(self, signs: np.ndarray, C: np.ndarray) -> LinearClassifier:
        from sklearn.exceptions import ConvergenceWarning  # 1 s to import
        from sklearn.svm import LinearSVC
        from sklearn.utils.parallel import Parallel, delayed

        # The dual solver, up to twice as fast on wide data, draws from one random generator for all
        # threads, so that the bits would depend on how these take turns.
        classes = [LinearSVC(C=float(each), dual=False, **self.options) for each in C]
        with warnings.catch_warnings():  # `converged` has them
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = Parallel(n_jobs=self.n_jobs, prefer="threads")(
                delayed(svm.fit)(*self._trained_on(column))
                for svm, column in zip(classes, signs.T, strict=True)
            )
        num_iterations = np.array([svm.n_iter_ for svm in fitted])
        return LinearClassifier(
            coef=np.concatenate([svm.coef_ for svm in fitted]),
            intercept=np.concatenate([svm.intercept_ for svm in fitted]),
            num_iterations=num_iterations,
            converged=num_iterations < self.options["max_iter"],
        )

    def _trained_on(self, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The examples with signs and these, copied once for classes that have the same."""
        used = signs != 0
        if not np.array_equal(used, self._last_subset[0]):
            self._last_subset = used, self.X if used.all() else self.X[used]
        return self._last_subset[1], signs[used]
