"""Vectors and a split -> mean class recall, for benchmarks of one class a picture (Caltech).

Shapes: n pictures, D dimensions, K classes.
"""

import time
from collections.abc import Sequence

import numpy as np

from vggfeat import metrics
from vggfeat.benchmarks.evaluation import (
    NEWTON,
    Probe,
    Split,
    SplitResult,
    choose_and_fit,
    convergence,
)
from vggfeat.errors import DatasetError
from vggfeat.features.pipeline import Progress

C_RULE = "best mean class recall on the validation part of each split, smallest of equals"


def evaluate(
    vectors: np.ndarray,
    labels: np.ndarray,
    split: Split,
    *,
    classes: Sequence[str],
    probe: Probe = NEWTON,
    progress: Progress = lambda label, done, total: None,
) -> SplitResult:
    """Choose C, fit and score one split; vectors [n, D], labels [n, K] with one 1 a row.

    Raises DatasetError unless every class is trained on and tested, and something validates.
    """
    y, num_classes = labels.argmax(axis=1), len(classes)
    _check(y, split, classes)
    X, y_both = vectors[split.both], y[split.both]
    svm = probe.classifier(X.size)

    def recall(decisions: np.ndarray, rows: np.ndarray) -> float:
        return metrics.mean_class_recall(y_both[rows], svm.decided(decisions), num_classes)

    C, scores, seconds = choose_and_fit(
        svm, X, y_both, split.validates, score=recall, progress=progress
    )
    started = time.monotonic()
    predicted = svm.predict(vectors[split.test])
    seconds["score"] = time.monotonic() - started
    return SplitResult(
        num_train=len(split.both),
        num_test=len(split.test),
        C=C,
        validation_scores=scores,
        **convergence(svm),
        metrics={
            "mean_class_recall": metrics.class_recalls(y[split.test], predicted, num_classes),
            "accuracy": metrics.accuracy(y[split.test], predicted),
        },
        seconds=seconds,
    )


def _check(truth: np.ndarray, split: Split, classes: Sequence[str]) -> None:
    for name, part in vars(split).items():
        absent = set(range(len(classes))).difference(truth[part].tolist())
        if absent and (name != "validation" or not len(part)):
            raise DatasetError(
                f"class {classes[min(absent)]!r} has no {name} picture left after the skipped ones."
                " Repair its pictures, or leave the class out."
            )
