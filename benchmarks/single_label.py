"""Vectors and a split -> mean class recall, for benchmarks of one class a picture (Caltech).

Shapes: n pictures, D dimensions, K classes.
"""

import time
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from vggfeat import metrics
from vggfeat.benchmarks.evaluation import C_GRID, Split, SplitResult, classifier
from vggfeat.descriptors import Progress
from vggfeat.errors import DatasetError
from vggfeat.svm import choose_C

C_RULE = "best mean class recall on the validation part of each split, smallest of equals"


def evaluate(
    vectors: np.ndarray,
    labels: np.ndarray,
    split: Split,
    *,
    classes: Sequence[str],
    progress: Progress = lambda label, done, total: None,
) -> SplitResult:
    """Choose C, fit and score one split; vectors [n, D], labels [n, K] with one 1 a row.

    Raises DatasetError unless every class is trained on and tested, and something validates.
    """
    X, y, num_classes = vectors, labels.argmax(axis=1), len(classes)
    _check(y, split, classes)
    both = np.union1d(split.train, split.validation)
    svm = classifier(len(both) * X.shape[1])
    times = [time.monotonic()]
    with warnings.catch_warnings():  # convergence is told in the record
        warnings.simplefilter("ignore", ConvergenceWarning)
        C, scores = choose_C(
            svm,
            (X[split.train], y[split.train]),
            (X[split.validation], y[split.validation]),
            grid=C_GRID,
            score=lambda fitted, X, y: metrics.mean_class_recall(y, fitted.predict(X), num_classes),
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
        metrics={
            "mean_class_recall": metrics.class_recalls(y[split.test], predicted, num_classes),
            "accuracy": metrics.accuracy(y[split.test], predicted),
        },
        seconds=dict(zip(("choose_C", "fit", "score"), np.diff(times).tolist(), strict=True)),
    )


def _check(truth: np.ndarray, split: Split, classes: Sequence[str]) -> None:
    for name, part in vars(split).items():
        absent = set(range(len(classes))).difference(truth[part].tolist())
        if absent and (name != "validation" or not len(part)):
            raise DatasetError(
                f"class {classes[min(absent)]!r} has no {name} picture left after the skipped ones."
                " Repair its pictures, or leave the class out."
            )
