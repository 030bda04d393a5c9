"""The metrics of a record computed again, from the scores that lie beside it.

Shapes: n examples, K classes.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from vggfeat.benchmarks.ilsvrc.class_errors import PRESENT, class_errors
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.single_label import METRICS, SingleLabel
from vggfeat.benchmarks.split_results import summarise
from vggfeat.metrics import AP_RULES
from vggfeat.records.record import Record
from vggfeat.records.scores import Scores

TOLERANCE = 5e-4  # of fractions of one: scores are kept as float32, in which some tie


def differences(record: Record, scores: Scores) -> tuple[int, list[str]]:
    """How many metrics were computed again; in words, those that do not follow from the scores."""
    again = {name: metric["value"] for name, metric in _metrics(record, scores).items()}
    common = [name for name in record.metrics if name in again]
    told = {name: record.metrics[name]["value"] for name in common}
    wrong = [name for name in common if not abs(again[name] - told[name]) <= TOLERANCE]
    return len(common), [
        f"{name} is {told[name]:.6f}, and {again[name]:.6f} follows from the scores"
        for name in wrong
    ]


def _metrics(record: Record, scores: Scores) -> dict[str, dict[str, Any]]:
    if "top1_error" in record.metrics:
        present = record.metrics.get(f"top1_error{PRESENT}", {}).get("per_class", ())
        labels = scores.labels.argmax(axis=1)
        return class_errors(scores.scores, labels, scores.classes, present)
    if record.metric not in (*AP_RULES, *METRICS):
        return {}
    kind = MultiLabel if record.metric in AP_RULES else SingleLabel
    task = kind(metric=record.metric)
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
