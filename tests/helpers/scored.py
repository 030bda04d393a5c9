"""Records with scores beside them, as bench leaves them, of scores that a test chooses."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers.records import make_record, transfer_net
from vggfeat import metrics
from vggfeat.records.record import path_of, write
from vggfeat.records.scores import Scores, scores_path, write_scores

CLASSES = ("ant", "bee", "cat")
_keys = itertools.count(1)


def of_classes(truth: Sequence[int]) -> np.ndarray:
    """Labels [n, 3] of pictures of these classes."""
    return np.where(np.asarray(truth)[:, None] == np.arange(len(CLASSES)), 1, -1)


def write_scored(
    out: Path,
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    net: str = "vgg16",
    metric: str = "mean_class_recall",
    splits: Sequence[int] | None = None,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] = CLASSES,
    **changes,
) -> Path:
    """Write a record and the scores [n, K] that its metrics follow from; return the record's path.

    A row of minus infinity is a picture that could not be read. changes are fields of the record.
    """
    splits = np.zeros(len(labels), dtype=int) if splits is None else np.asarray(splits)
    ids = [f"{n:04d}.jpg" for n in range(len(labels))] if ids is None else ids
    numbers = np.unique(splits)
    values = [
        0.0 if "metrics" in changes else _value(metric, labels[splits == s], scores[splits == s])
        for s in numbers
    ]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    facts = {
        "key": f"{next(_keys):016x}",
        "nets": [transfer_net(net)],
        "splits_sha256": "ab" * 32,
        "metric": metric,
        "metrics": {metric: {"value": float(np.mean(values)), "spread": spread}},
        "n_train": [30] * len(values),
        "n_test": [int((splits == s).sum()) for s in np.unique(splits)],
    } | changes
    record = make_record(**facts)
    path = path_of(out, record.benchmark, record.net, record.key)
    digest = write_scores(
        scores_path(path),
        Scores(ids=ids, splits=splits, labels=labels, scores=scores, classes=classes),
    )
    return write(make_record(**facts, scores_sha256=digest), out)


def _value(metric: str, labels: np.ndarray, scores: np.ndarray) -> float:
    read = ~(scores == -np.inf).all(axis=1)
    truth, predicted = labels[read].argmax(axis=1), scores[read].argmax(axis=1)
    if metric == "mean_class_recall":
        return metrics.mean_class_recall(truth, predicted, labels.shape[1])
    if metric == "top1_error":
        return 1 - metrics.accuracy(truth, predicted)
    ordered = np.argsort(~read, kind="stable")  # what could not be read comes last
    return float(
        np.nanmean(
            [
                metrics.average_precisions(labels[ordered, k], scores[ordered, k])[metric]
                for k in range(labels.shape[1])
                if not np.isnan(scores[:, k]).any()  # else a class that was not trained
            ]
        )
    )
