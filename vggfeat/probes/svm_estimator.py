"""One-vs-rest linear SVMs as a scikit-learn estimator.

Shapes: n examples, d dimensions, K classes. svm.py has the objective.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.linear import LinearClassifier
from vggfeat.probes.probe import Fits
from vggfeat.probes.svm_liblinear import LiblinearFits
from vggfeat.probes.svm_newton import fits_by_newton

SOLVERS = ("newton", "liblinear")
FLOATS = (np.float64, np.float32)


class OneVsRestSVM(ClassifierMixin, BaseEstimator):
    """A linear SVM with squared hinge loss for each class against the rest.

    fit takes class labels [n], or signs [n, K] in {1, 0, -1} for examples that may belong to
    several classes, where 0 leaves the example out of that class's training.

    C is one number or one for each class. class_weight is None, "balanced" or {1: a, -1: b}.
    solver "newton" fits all classes at once, on `device`, until the duality gap of each is at most
    tol times its objective. "liblinear" is scikit-learn's LinearSVC with its own meaning of tol, in
    n_jobs threads, which copy the data once for each.

    After fit: classes_ (labels only), coef_ [K, d], intercept_, n_iter_ and converged_ [K], and
    from "newton" gap_ [K], computed in float64 (K is 1 for two labels, as in scikit-learn).
    Raises ValueError where a class has no positives or no negatives.
    """

    def __init__(
        self,
        *,
        C: float | Sequence[float] = 1.0,
        class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
        solver: Literal["newton", "liblinear"] = "newton",
        tol: float = 1e-4,
        max_iter: int = 1000,
        n_jobs: int | None = None,
        device: str = "cpu",
    ):
        self.C = C
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: np.ndarray, y: np.ndarray) -> "OneVsRestSVM":
        """Fit to X [n, d] and labels [n] or signs [n, K]; returns self. Raises ValueError."""
        X, y = validate_data(self, X, y, dtype=FLOATS, multi_output=True)
        signs = self._signs(y)
        if self.solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {self.solver!r}.")
        if y.ndim == 2 and y.shape[1] > 1 and not (y == -1).any():
            raise ValueError(
                "signs [n, K] are 1 for examples of a class and -1 for the others; got no -1. A 0"
                " leaves an example out."
            )
        if not can_be_trained(signs).all():
            raise ValueError("each class needs positives and negatives to train on.")
        classifier = self._fits(X, signs).fit(self.C)
        self.coef_, self.intercept_ = classifier.coef, classifier.intercept
        self.n_iter_, self.converged_ = classifier.num_iterations, classifier.converged
        vars(self).pop("gap_", None)  # of an earlier fit by another solver
        if classifier.gap is not None:
            self.gap_ = classifier.gap
        if not self.converged_.all():
            warnings.warn(
                f"{(~self.converged_).sum()} of {len(self.coef_)} classes did not converge within"
                f" {self.max_iter} iterations at C={self.C}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _fits(self, X: np.ndarray, signs: np.ndarray) -> Fits:
        common = {"tol": self.tol, "max_iter": self.max_iter, "class_weight": self.class_weight}
        if self.solver == "newton":
            return fits_by_newton(X, signs, **common, device=self.device)
        return LiblinearFits(X, signs, **common, n_jobs=self.n_jobs)

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Decision values [n, K]; [n] for two labels."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        scores = LinearClassifier(coef=self.coef_, intercept=self.intercept_).decisions(X)
        return scores[:, 0] if self._has_two_labels else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The best label [n]; for signs, a sign for every class [n, K]."""
        scores = self.decision_function(X)
        if not hasattr(self, "classes_"):
            return np.where(scores > 0, 1, -1)
        if self._has_two_labels:
            return self.classes_[(scores > 0).astype(int)]
        return self.classes_[scores.argmax(axis=1)]

    @property
    def _has_two_labels(self) -> bool:
        return hasattr(self, "classes_") and len(self.classes_) == 2

    def _signs(self, y: np.ndarray) -> np.ndarray:
        """The training signs [n, K]; sets classes_ from labels."""
        if y.ndim == 2 and y.shape[1] > 1:
            if not np.isin(y, (-1, 0, 1)).all():
                raise ValueError("signs [n, K] must be 1, 0 or -1.")
            vars(self).pop("classes_", None)
            return y
        y = column_or_1d(y, warn=True)
        with warnings.catch_warnings():  # few examples a class are no mistake here
            warnings.simplefilter("ignore", UserWarning)
            check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class only; at least two are needed.")
        columns = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        return np.stack([np.where(numbers == k, 1, -1) for k in columns], axis=1)
