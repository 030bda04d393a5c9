"""One-vs-rest linear SVMs as a scikit-learn estimator over liblinear, and the choice of C.

Shapes: n pictures, d dimensions, K classes.

Each class k minimises, over its weights w and intercept b,

    (w'w + b'b) / 2 + C * sum_i  weight(y_ik) * max(0, 1 - y_ik (w'x_i + b))^2

over the pictures with y_ik = +1 or -1. The intercept is regularised with the weights, which is
liblinear's rule at intercept_scaling = 1.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data


class OneVsRestSVM(ClassifierMixin, BaseEstimator):
    """A linear SVM with squared hinge loss for each class against the rest.

    fit takes class labels [n], or signs [n, K] in {1, 0, -1} for pictures that may belong to
    several classes, where 0 leaves the picture out of that class's training.

    C is one number or one for each class. class_weight is None, "balanced" or {1: a, -1: b}.
    n_jobs counts threads; liblinear runs without Python's lock but copies the data once for each.

    After fit: classes_ (labels only), coef_ [K, d], intercept_ [K], n_iter_ [K] and converged_ [K]
    (K is 1 for two labels, as in scikit-learn). Raises ValueError where a class has no positives
    or no negatives.
    """

    def __init__(
        self,
        *,
        C: float | Sequence[float] = 1.0,
        class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        n_jobs: int | None = None,
    ):
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    def fit(self, X: np.ndarray, y: np.ndarray) -> "OneVsRestSVM":
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True)
        signs = self._signs(y)
        with warnings.catch_warnings():  # gathered into one warning below
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = Parallel(n_jobs=self.n_jobs, prefer="threads")(
                delayed(self._fit_class)(X, column, C)
                for column, C in zip(signs.T, np.broadcast_to(self.C, signs.shape[1]), strict=True)
            )
        self.coef_ = np.concatenate([svm.coef_ for svm in fitted])
        self.intercept_ = np.concatenate([svm.intercept_ for svm in fitted])
        self.n_iter_ = np.array([svm.n_iter_ for svm in fitted])
        self.converged_ = self.n_iter_ < self.max_iter
        if not self.converged_.all():
            warnings.warn(
                f"{(~self.converged_).sum()} of {len(fitted)} classes did not converge within"
                f" {self.max_iter} iterations at C={self.C}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Signed scores [n, K]; [n] for two labels."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if self._has_two_labels else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The best label [n]; for signs, a sign for every class [n, K]."""
        scores = self.decision_function(X)
        if not hasattr(self, "classes_"):
            return np.where(scores > 0, 1, -1)
        best = (scores > 0).astype(int) if self._has_two_labels else scores.argmax(axis=1)
        return self.classes_[best]

    @property
    def _has_two_labels(self) -> bool:
        return hasattr(self, "classes_") and len(self.classes_) == 2

    def _signs(self, y: np.ndarray) -> np.ndarray:
        """The training signs [n, K]; learns classes_ from labels."""
        if y.ndim == 2 and y.shape[1] > 1:
            if not np.isin(y, (-1, 0, 1)).all():
                raise ValueError("signs [n, K] must be 1, 0 or -1.")
            vars(self).pop("classes_", None)
            return y
        y = column_or_1d(y, warn=True)
        with warnings.catch_warnings():  # few pictures a class are no mistake here
            warnings.simplefilter("ignore", UserWarning)
            check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class only; at least two are needed.")
        columns = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        return np.stack([np.where(numbers == k, 1, -1) for k in columns], axis=1)

    def _fit_class(self, X: np.ndarray, signs: np.ndarray, C: float) -> LinearSVC:
        known = signs != 0
        if not known.all():
            X, signs = X[known], signs[known]
        return LinearSVC(
            C=float(C),
            class_weight=self.class_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            # The dual solver, up to twice as fast on wide data, draws from one random generator for
            # all threads, so that the bits would depend on how these take turns.
            dual=False,
        ).fit(X, signs)


def choose_C(
    svm: OneVsRestSVM,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    grid: Sequence[float],
    score: Callable[[OneVsRestSVM, np.ndarray, np.ndarray], float | np.ndarray],
    progress: Callable[[int], None] = lambda num_fits: None,
) -> tuple[float | np.ndarray, dict[float, float]]:
    """The C of the grid that scores best on the validation pictures, and every C's (mean) score.

    train and validation are (X, y). score takes (fitted, X, y), as scikit-learn's scorers do, and
    returns one number, for one C, or one for each class [K], for a C for each class; NaN says that
    a class cannot be told, and it gets the C that is best in the mean of the others. The smallest
    of equally good values wins.
    """
    costs, scores = sorted(grid), []
    for C in costs:
        fitted = clone(svm).set_params(C=C).fit(*train)
        scores.append(score(fitted, *validation))
        progress(len(scores))
    by_class = np.reshape(scores, (len(costs), -1))  # [C, 1] or [C, K]
    means = np.nanmean(by_class, axis=1)
    untold = np.isnan(by_class).any(axis=0)
    best = np.where(untold, means.argmax(), np.where(untold, 0, by_class).argmax(axis=0))
    chosen = np.array(costs)[best]
    C = chosen if np.ndim(scores[0]) else float(chosen[0])
    return C, dict(zip(costs, means.tolist(), strict=True))
