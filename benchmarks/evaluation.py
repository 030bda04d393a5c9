"""Vectors and splits -> numbers: choose C, fit, score, for a benchmark of one class a picture.

Shapes: n pictures, D dimensions, K classes. A `Split` holds row numbers.
"""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from vggfeat import metrics
from vggfeat.descriptors import Progress
from vggfeat.errors import DatasetError
from vggfeat.svm import OneVsRestSVM, choose_C

# The paper names neither grid nor solver. A choice at either end is told in the record's notes.
C_GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
MAX_ITER = 10_000
LIBLINEAR_BYTES = 4 * 2**30  # for its copies of the data, 16 bytes a value and thread


@dataclass(frozen=True, kw_only=True)
class Split:
    """C is chosen by training on `train` and scoring `validation`; the classifier that is tested
    is trained on both."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def among(self, rows: np.ndarray) -> "Split":
        """The same split of a table that has only these rows, in this order."""
        place = {row: number for number, row in enumerate(rows.tolist())}
        return Split(
            **{
                name: np.array([place[row] for row in part.tolist() if row in place], dtype=int)
                for name, part in vars(self).items()
            }
        )


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The numbers of one split."""

    num_train: int  # validation included
    num_test: int
    C: float
    validation_scores: dict[float, float]  # C -> mean class recall
    num_not_converged: int  # classes of the tested classifier
    recalls: np.ndarray  # [K]
    accuracy: float
    seconds: dict[str, float]


def evaluate(
    vectors: np.ndarray,
    truth: np.ndarray,
    split: Split,
    *,
    num_classes: int,
    progress: Progress = lambda label, done, total: None,
) -> SplitResult:
    """Choose C, fit and score one split; vectors [n, D], truth [n] class numbers.

    Every class must have training and test rows (see `check`).
    """
    X, y = vectors, truth
    both = np.union1d(split.train, split.validation)
    threads = max(1, min(os.cpu_count() or 1, LIBLINEAR_BYTES // (16 * X[both].size)))
    svm = OneVsRestSVM(max_iter=MAX_ITER, n_jobs=threads)
    times = [time.monotonic()]
    with warnings.catch_warnings():  # convergence is told in the record
        warnings.simplefilter("ignore", ConvergenceWarning)
        C, scores = choose_C(
            svm,
            (X[split.train], y[split.train]),
            (X[split.validation], y[split.validation]),
            grid=C_GRID,
            score=lambda t, p: metrics.mean_class_recall(t, p, num_classes),
            progress=lambda done: progress("fitting SVMs", done, len(C_GRID) + 1),
        )
        times.append(time.monotonic())
        svm.set_params(C=C).fit(X[both], y[both])
    progress("fitting SVMs", len(C_GRID) + 1, len(C_GRID) + 1)
    times.append(time.monotonic())
    predicted = svm.predict(X[split.test])
    times.append(time.monotonic())
    return SplitResult(
        num_train=len(both),
        num_test=len(split.test),
        C=C,
        validation_scores=scores,
        num_not_converged=int((~svm.converged_).sum()),
        recalls=metrics.class_recalls(y[split.test], predicted, num_classes),
        accuracy=metrics.accuracy(y[split.test], predicted),
        seconds=dict(zip(("choose_C", "fit", "score"), np.diff(times).tolist(), strict=True)),
    )


def check(truth: np.ndarray, split: Split, classes: Sequence[str]) -> None:
    """Raise DatasetError unless every class is trained on and tested, and something validates."""
    for name, part in vars(split).items():
        absent = set(range(len(classes))).difference(truth[part].tolist())
        if absent and (name != "validation" or not len(part)):
            raise DatasetError(
                f"class {classes[min(absent)]!r} has no {name} picture left after the skipped ones."
                " Repair its pictures, or leave the class out."
            )


def summarise(results: Sequence[SplitResult], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Metric name -> value (mean over splits), spread, values per split, means per class."""
    recalls = np.array([result.recalls for result in results])  # [splits, K]
    per_class = dict(zip(classes, _rounded(recalls.mean(axis=0)), strict=True))
    return {
        "mean_class_recall": _summary(recalls.mean(axis=1)) | {"per_class": per_class},
        "accuracy": _summary(np.array([result.accuracy for result in results])),
    }


def probe_facts(results: Sequence[SplitResult]) -> dict[str, Any]:
    """How the classifiers were made, for a record."""
    return settings() | {
        "c": [result.C for result in results],
        "validation": [
            {f"{C:g}": round(score, 6) for C, score in result.validation_scores.items()}
            for result in results
        ],
        "classes_not_converged": [result.num_not_converged for result in results],
    }


def settings() -> dict[str, Any]:
    """What is the same for every split; part of a record's key."""
    svm = OneVsRestSVM()
    return {
        "solver": "liblinear (scikit-learn LinearSVC)",
        "loss": "squared hinge, one class against the rest",
        "intercept": "regularised with the weights (intercept_scaling 1)",
        "class_weight": svm.class_weight,
        "tol": svm.tol,
        "max_iter": MAX_ITER,
        "c_grid": list(C_GRID),
        "c_rule": "best mean class recall on the validation part of each split, smallest of equals",
    }


def grid_notes(results: Sequence[SplitResult]) -> list[str]:
    """Whether a better C may lie beyond the grid."""
    ends = {min(C_GRID): "smallest", max(C_GRID): "largest"}
    return [
        f"the {name} C of the grid, {C:g}, was chosen in {count} of {len(results)} splits"
        for C, name in ends.items()
        if (count := sum(result.C == C for result in results))
    ]


def _summary(per_split: np.ndarray) -> dict[str, Any]:
    """Mean over splits and their sample standard deviation, which needs two splits."""
    return {
        "value": round(float(per_split.mean()), 6),
        "spread": round(float(per_split.std(ddof=1)), 6) if len(per_split) > 1 else None,
        "per_split": _rounded(per_split),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
