"""The metrics of a record computed again, from the scores that lie beside it.

Shapes: n examples, K classes.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from vggfeat.benchmarks.ilsvrc.class_errors import class_errors
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.split_results import summarise
from vggfeat.metrics import AP_RULES
from vggfeat.records.record import Record
from vggfeat.records.scores import Scores

TOLERANCE = 5e-4  # of fractions of one: scores are kept as float32, in which some tie


def differences(record: Record, scores: Scores) -> Iterator[str]:
    """In words, each metric of the record whose value does not follow from the scores."""
    again = _metrics(record, scores)
    for name, metric in record.metrics.items():
        value = again.get(name, {}).get("value")
        if value is not None and abs(value - metric["value"]) > TOLERANCE:
            yield f"{name} is {metric['value']:.6f}, and {value:.6f} follows from the scores"


def _metrics(record: Record, scores: Scores) -> dict[str, dict[str, Any]]:
    if "top1_error" in record.metrics:
        return class_errors(scores.scores, scores.labels.argmax(axis=1), scores.classes)
    if record.metric not in (*AP_RULES, SingleLabel.metric):
        return {}
    task = MultiLabel(metric=record.metric) if record.metric in AP_RULES else SingleLabel()
    splits = [_of_split(task, scores, scores.splits == n) for n in np.unique(scores.splits)]
    return summarise([SimpleNamespace(**split) for split in splits], scores.classes)


def _of_split(task: Any, scores: Scores, rows: np.ndarray) -> dict[str, Any]:
    """What the task makes of one split's rows [n]; those that could not be read score -inf."""
    labels, values = scores.labels[rows], scores.scores[rows].astype(np.float64)
    unread = (values == -np.inf).all(axis=1)
    return task.score(
        labels[~unread], values[~unread], labels[unread],
        trained=~np.isnan(values[~unread]).any(axis=0), classes=scores.classes,
    )  # fmt: skip
