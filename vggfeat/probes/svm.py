"""One-vs-rest linear SVMs as a scikit-learn estimator, and the choice of C.

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
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import Tensor

from vggfeat.probes.newton import solver as newton
from vggfeat.probes.newton.design_matrix import DesignMatrix
from vggfeat.probes.newton.minimise import ROWS_AT_ONCE, minimise

SOLVERS = ("newton", "liblinear")
FLOATS = (np.float64, np.float32)
Score = Callable[[np.ndarray, np.ndarray], float | np.ndarray]  # see `Fits.choose_C`
SMALLEST_C = 1e-15


class OneVsRestSVM(ClassifierMixin, BaseEstimator):
    """A linear SVM with squared hinge loss for each class against the rest.

    fit takes class labels [n], or signs [n, K] in {1, 0, -1} for pictures that may belong to
    several classes, where 0 leaves the picture out of that class's training.

    C is one number or one for each class. class_weight is None, "balanced" or {1: a, -1: b}.
    solver "newton" fits all classes at once (see newton.py), on `device`, until the duality gap of
    each is at most tol times its objective. "liblinear" is scikit-learn's LinearSVC with its own
    meaning of tol, in n_jobs threads, which copy the data once for each.

    After fit: classes_ (labels only), coef_ [K, d], intercept_, n_iter_ and converged_ [K], and
    from "newton" gap_ [K], worked out in float64 (K is 1 for two labels, as in scikit-learn).
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
        Fits(self, X, y).fit(self.C)
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Signed scores [n, K]; [n] for two labels."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        blocks = [X[i : i + ROWS_AT_ONCE] for i in range(0, len(X), ROWS_AT_ONCE)]
        products = [block.astype(np.float64) @ self.coef_.T for block in blocks]
        scores = np.concatenate(products) + self.intercept_
        return scores[:, 0] if self._has_two_labels else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The best label [n]; for signs, a sign for every class [n, K]."""
        return self.decided(self.decision_function(X))

    def decided(self, scores: np.ndarray) -> np.ndarray:
        """What `predict` makes of scores."""
        if not hasattr(self, "classes_"):
            return np.where(scores > 0, 1, -1)
        if self._has_two_labels:
            return self.classes_[(scores.ravel() > 0).astype(int)]
        return self.classes_[scores.argmax(axis=1)]

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


class Fits:
    """Fits of one classifier to the same pictures, which share what they can.

    X [n, d] and y are what the classifier's `fit` takes. Raises what it raises.
    """

    def __init__(self, svm: OneVsRestSVM, X: np.ndarray, y: np.ndarray):
        self.svm = svm
        X, y = validate_data(svm, X, y, dtype=FLOATS, multi_output=True)
        self.signs = svm._signs(y)
        if svm.solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {svm.solver!r}.")
        self.solver = (_Newton if svm.solver == "newton" else _Liblinear)(svm, X)

    def choose_C(
        self,
        folds: Sequence[np.ndarray],
        *,
        grid: Sequence[float],
        score: Score,
        patience: int | None = None,
        saturated: float = 0.999,
        tol: float = 1e-4,
        progress: Callable[[int], None] = lambda num_done: None,
    ) -> tuple[float | np.ndarray, dict[float, float]]:
        """The C of the grid that scores best on pictures left out, and the (mean) score of each C.

        Each fold holds the rows [m] that are left out together. score takes their decisions [m, K]
        and the rows, and returns one number, for one C, or one for each class [K], for a C for each
        class; folds are averaged. NaN says that a class cannot be told, and it gets the C that is
        best in the mean of the others; so are the decisions for a class that a fold leaves without
        positives or negatives. The smallest of equally good values wins.

        The grid is tried upwards. With patience it ends after so many values in a row that were no
        better than one before, for no class, if what was trained on has a score of `saturated`:
        until then a larger C may still learn what smaller ones could not. "newton" fits to the
        larger of tol and the classifier's own.
        """
        signs = np.concatenate([self._without(rows) for rows in folds], axis=1)
        untrained, num_classes = ~can_be_trained(signs), self.signs.shape[1]
        costs, scores, best = sorted(_checked(grid)), [], -np.inf
        for C in costs:
            decisions = self.solver.decisions(signs, C, tol)
            decisions[:, untrained] = np.nan
            by_fold = np.split(decisions, len(folds), axis=1)
            scores.append(self._mean_score(score, by_fold, folds))
            self.solver.remember(np.broadcast_to(scores[-1] > best, num_classes))
            best = np.fmax(best, scores[-1])
            progress(len(scores))
            if patience and np.all(_since_best(scores) >= patience):
                trained_on = [np.setdiff1d(np.arange(len(signs)), rows) for rows in folds]
                if np.nanmin(self._mean_score(score, by_fold, trained_on)) >= saturated:
                    break
        by_class = np.reshape(scores, (len(scores), -1))  # [C, 1] or [C, K]
        means = np.nanmean(by_class, axis=1)
        untold = np.isnan(by_class).any(axis=0)
        chosen = np.where(untold, means.argmax(), np.where(untold, 0, by_class).argmax(axis=0))
        C = np.array(costs)[chosen]
        found = dict(zip(costs, means.tolist(), strict=False))
        return (C if np.ndim(scores[0]) else float(C[0])), found

    def fit(self, C: float | Sequence[float]) -> OneVsRestSVM:
        """The classifier, fitted to all pictures with this C."""
        svm, num_classes = self.svm, self.signs.shape[1]
        if not can_be_trained(self.signs).all():
            raise ValueError("each class needs positives and negatives to train on.")
        costs = np.broadcast_to(_checked(C), num_classes)
        svm.C = C
        vars(svm).pop("gap_", None)  # of an earlier fit by another solver
        fitted = self.solver.fitted(self.signs, costs)
        for name, value in fitted.items():
            setattr(svm, name, value)
        if not svm.converged_.all():
            warnings.warn(
                f"{(~svm.converged_).sum()} of {num_classes} classes did not converge within"
                f" {svm.max_iter} iterations at C={C}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return svm

    def _mean_score(
        self, score: Score, by_fold: Sequence[np.ndarray], rows: Sequence[np.ndarray]
    ) -> float | np.ndarray:
        pairs = zip(by_fold, rows, strict=True)
        return np.mean([score(decisions[part], part) for decisions, part in pairs], axis=0)

    def _without(self, rows: np.ndarray) -> np.ndarray:
        signs = self.signs.copy()
        signs[rows] = 0
        return signs


class _Newton:
    """All classes, folds and values of C over one Gram matrix, each C from the one before."""

    def __init__(self, svm: OneVsRestSVM, X: np.ndarray):
        self.svm = svm
        self.pictures = DesignMatrix(
            torch.from_numpy(np.require(X, requirements="CW")).to(svm.device)
        )
        self.limits = {"tol": svm.tol, "max_steps": svm.max_iter}
        self.last: Tensor | None = None
        self.start: Tensor | None = None

    def decisions(self, signs: np.ndarray, C: float, tol: float) -> np.ndarray:
        """Scores of all pictures [n, P] by classifiers for signs [n, P]."""
        problems = self._problems(signs, np.full(signs.shape[1], C))
        limits = self.limits | {"tol": max(self.svm.tol, tol)}
        start = self.last if self.last is not None and len(self.last) == len(problems[0]) else None
        solution = newton.solve(self.pictures, *problems, start=start, **limits)
        self.last = solution.a
        return solution.f.T.cpu().numpy()

    def remember(self, classes: np.ndarray) -> None:
        """Start the fit of these classes [K] from where the last decisions' first fold came."""
        if self.start is None:
            self.start = torch.zeros_like(self.last[: len(classes)])
        chosen = torch.tensor(classes)
        self.start[chosen] = self.last[: len(classes)][chosen]

    def fitted(self, signs: np.ndarray, C: np.ndarray) -> dict[str, np.ndarray]:
        minimum = minimise(
            self.pictures, *self._problems(signs, C), start=self.start, **self.limits
        )
        found = {name: value.cpu().numpy() for name, value in vars(minimum).items()}
        return {
            "coef_": found["w"][:, :-1],
            "intercept_": found["w"][:, -1],
            "n_iter_": found["steps"],
            "gap_": found["gap"] / found["objective"],
            "converged_": found["gap"] <= self.svm.tol * found["objective"],
        }

    def _problems(self, signs: np.ndarray, C: np.ndarray) -> tuple[Tensor, Tensor]:
        """Signs and costs [P, n] of these classifiers."""
        y = torch.from_numpy(signs.T.copy()).to(self.pictures.X)
        weights = _weights(self.svm.class_weight, signs) * C
        return y, torch.from_numpy(weights.T.copy()).to(y)


class _Liblinear:
    """scikit-learn's LinearSVC for one class after the other."""

    def __init__(self, svm: OneVsRestSVM, X: np.ndarray):
        self.svm, self.X = svm, X.astype(np.float64, copy=False)
        self._known = np.ones(len(X), bool), self.X  # the last pictures that were trained on

    def decisions(self, signs: np.ndarray, C: float, tol: float) -> np.ndarray:
        """Scores of all pictures [n, P]; NaN where signs [n, P] do not suffice to train.

        tol is newton's: liblinear keeps its own.
        """
        trained = can_be_trained(signs)
        fitted = self.fitted(signs[:, trained], np.full(trained.sum(), C))
        scores = np.full(signs.shape, np.nan)
        scores[:, trained] = self.X @ fitted["coef_"].T + fitted["intercept_"]
        return scores

    def remember(self, classes: np.ndarray) -> None:
        """Nothing: liblinear cannot start from anywhere else than zero."""

    def fitted(self, signs: np.ndarray, C: np.ndarray) -> dict[str, np.ndarray]:
        with warnings.catch_warnings():  # gathered into one warning
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = Parallel(n_jobs=self.svm.n_jobs, prefer="threads")(
                delayed(self._fit_class)(*self._trained_on(column), cost)
                for column, cost in zip(signs.T, C, strict=True)
            )
        num_iterations = np.array([each.n_iter_ for each in fitted])
        return {
            "coef_": np.concatenate([each.coef_ for each in fitted]),
            "intercept_": np.concatenate([each.intercept_ for each in fitted]),
            "n_iter_": num_iterations,
            "converged_": num_iterations < self.svm.max_iter,
        }

    def _trained_on(self, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pictures with signs and these, copied once for classes that have the same."""
        known = signs != 0
        if not np.array_equal(known, self._known[0]):
            self._known = known, self.X if known.all() else self.X[known]
        return self._known[1], signs[known]

    def _fit_class(self, X: np.ndarray, signs: np.ndarray, C: float) -> LinearSVC:
        return LinearSVC(
            C=float(C),
            class_weight=self.svm.class_weight,
            tol=self.svm.tol,
            max_iter=self.svm.max_iter,
            # The dual solver, up to twice as fast on wide data, draws from one random generator for
            # all threads, so that the bits would depend on how these take turns.
            dual=False,
        ).fit(X, signs)


def _checked(C: float | Sequence[float]) -> np.ndarray:
    """Raises ValueError unless each C is a number that float32 can hold, and its square, too."""
    costs = np.array(C, dtype=float)
    if not ((costs >= SMALLEST_C) & (costs <= 1 / SMALLEST_C)).all():
        raise ValueError(f"C must be from {SMALLEST_C:g} to {1 / SMALLEST_C:g}; got {C}.")
    return costs


def can_be_trained(signs: np.ndarray) -> np.ndarray:
    """Whether signs [n, P] have both positives and negatives: [P]."""
    return (signs > 0).any(axis=0) & (signs < 0).any(axis=0)


def _since_best(scores: Sequence[float | np.ndarray]) -> np.ndarray:
    """How many values ago each class was at its best first: [1] or [K]."""
    by_class = np.nan_to_num(np.reshape(scores, (len(scores), -1)), nan=-np.inf)
    return len(scores) - 1 - by_class.argmax(axis=0)


def _weights(
    class_weight: Mapping[int, float] | Literal["balanced"] | None, signs: np.ndarray
) -> np.ndarray:
    """The weight of each picture in each class [n, P]; signs [n, P] of 0 do not count."""
    weights = (signs != 0).astype(float)
    if class_weight is not None:
        for column, known in zip(weights.T, signs.T, strict=True):
            present = np.unique(known[known != 0])
            if len(present):
                values = compute_class_weight(class_weight, classes=present, y=known[known != 0])
                for sign, value in zip(present, values, strict=True):
                    column[known == sign] = value
    return weights
