"""Vectors and a split -> average precisions, for pictures of any number of classes (PASCAL VOC).

C is chosen for each class by itself, the classes being separate problems. A class is left out, and
said to be, where it has no positive (or no negative) picture to train on or no positive to test on.

Shapes: n pictures, D dimensions, K classes. Labels are 1, -1, or 0 for difficult instances only.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from vggfeat.probes.svm import OneVsRestSVM

C_RULE = (
    "for each class the best average precision (map_area) on the validation part, smallest of"
    " equals; without a positive there, the C that is best in the mean of the other classes"
)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Classifiers of those classes that could be trained."""

    svm: "OneVsRestSVM"
    trained: np.ndarray  # [K] bool
    C: np.ndarray  # of the trained classes
    validation_scores: dict[float, float]
    num_train: int
    seconds: dict[str, float]

    def decide(self, vectors: np.ndarray) -> np.ndarray:
        """Scores [n, K] of vectors [n, D]; NaN for a class that was not trained."""
        scores = np.full((len(vectors), len(self.trained)), np.nan)
        scores[:, self.trained] = self.svm.decision_function(vectors)
        return scores


def fit(
    vectors: np.ndarray,
    labels: np.ndarray,
    split: Split,
    *,
    difficult: str = "ignore",
    probe: Probe = NEWTON,
    progress: Progress = lambda label, done, total: None,
) -> Fitted:
    """Choose C for each class by train and validation parts, then fit on both.

    vectors [n, D], labels [n, K]. difficult says what a label of 0 is in training: "ignore" leaves
    the picture out for that class, "negative" takes it as -1. Validation is scored without them
    either way. Raises DatasetError if fewer than two classes can be trained.
    """
    from vggfeat.probes.svm import can_be_trained  # scikit-learn takes 1 s to import

    signs = labels
    if difficult == "negative":
        signs = np.where(labels == 0, -1, labels)
    trained = can_be_trained(signs[split.both])
    chosen = can_be_trained(signs[split.train]) & trained
    if chosen.sum() < 2 or not (labels[split.validation][:, chosen] > 0).any():
        raise DatasetError(
            f"C can be chosen for {chosen.sum()} of {labels.shape[1]} classes: at least two need"
            " positive and negative pictures to train on, and one of them a positive to validate"
            " on. More pictures are needed."
        )

    X, truth = vectors[split.both], labels[split.both][:, trained]
    svm = probe.classifier(X.size)
    C, scores, seconds = choose_and_fit(
        svm,
        X,
        signs[split.both][:, trained],
        split.validates,
        score=lambda decisions, rows: _areas(truth[rows], decisions),
        progress=progress,
    )
    return Fitted(
        svm=svm,
        trained=trained,
        C=C,
        validation_scores=scores,
        num_train=len(split.both),
        seconds=seconds,
    )


def evaluate(
    vectors: np.ndarray,
    labels: np.ndarray,
    split: Split,
    *,
    classes: Sequence[str],
    unread: np.ndarray,
    difficult: str = "ignore",
    probe: Probe = NEWTON,
    progress: Progress = lambda label, done, total: None,
) -> SplitResult:
    """Choose C, fit and score one split.

    unread [m, K] holds the labels of test pictures that have no vector: as in the devkit they rank
    last. Raises what `fit` raises, and DatasetError if no class can be scored.
    """
    fitted = fit(vectors, labels, split, difficult=difficult, probe=probe, progress=progress)
    started = time.monotonic()
    truth = np.concatenate([labels[split.test], unread])
    scores = np.concatenate([fitted.decide(vectors[split.test]), np.full(unread.shape, -np.inf)])
    scored = fitted.trained & (truth > 0).any(axis=0)
    if not scored.any():
        raise DatasetError("no class that was trained has a positive test picture.")
    aps = {rule: np.full(len(classes), np.nan) for rule in metrics.AP_RULES}
    for k in np.flatnonzero(scored):
        for rule, ap in metrics.average_precisions(truth[:, k], scores[:, k]).items():
            aps[rule][k] = ap
    return SplitResult(
        num_train=fitted.num_train,
        num_test=len(truth),
        C=dict(zip(np.array(classes)[fitted.trained].tolist(), fitted.C.tolist(), strict=True)),
        validation_scores=fitted.validation_scores,
        **convergence(fitted.svm),
        metrics=aps,
        left_out={
            classes[k]: "no positive picture to test on"
            if fitted.trained[k]
            else "positive and negative pictures are needed to train on"
            for k in np.flatnonzero(~scored)
        },
        seconds=fitted.seconds | {"score": time.monotonic() - started},
    )


def _areas(signs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The average precision of each class [K]; NaN for one without scores or positives."""
    told = ~np.isnan(scores).any(axis=0)
    areas = np.full(len(told), np.nan)
    for k in np.flatnonzero(told):
        areas[k] = metrics.average_precisions(signs[:, k], scores[:, k])["map_area"]
    return areas
