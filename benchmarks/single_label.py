"""The task of one class an example, scored by mean class recall (Caltech) or by accuracy.

Shapes: n examples, D dimensions, K classes, m test examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggfeat import metrics
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.streamed_vectors import StreamedVectors
from vggfeat.benchmarks.task import FittedProbe, Task, choose_and_fit
from vggfeat.errors import DatasetError, OptionError
from vggfeat.probes.probe import Probe
from vggfeat.progress import Progress, no_progress

MEAN_CLASS_RECALL, ACCURACY = METRICS = ("mean_class_recall", "accuracy")
ONE = np.int8(1)  # signs are as many as examples times classes


@dataclass(frozen=True, kw_only=True)
class SingleLabel(Task):
    """One class an example: mean class recall and accuracy. Unread test examples do not count.

    metric names the one that is the headline, and by which the hyper-parameter is chosen. Raises
    OptionError at another.
    """

    kind = "single label"
    metric: str = MEAN_CLASS_RECALL

    def __post_init__(self):
        if self.metric not in METRICS:
            raise OptionError(f"metric must be {' or '.join(METRICS)}; got {self.metric!r}.")

    def settings(self, probe: Probe) -> dict[str, Any]:
        if not probe.grid:
            return probe.settings()
        of_metric = self.metric.replace("_", " ")
        rule = f"best {of_metric} on the validation part of each split, smallest of equals"
        return probe.settings() | {f"{probe.hyperparameter.lower()}_rule": rule}

    def fit(
        self,
        vectors: np.ndarray | StreamedVectors,
        labels: np.ndarray,
        split: Split,
        *,
        classes: Sequence[str],
        probe: Probe,
        progress: Progress = no_progress,
    ) -> FittedProbe:
        truth, num_classes = labels.argmax(axis=1), len(classes)
        _check_every_class(truth, split, classes)
        of_both = truth[split.both]
        signs = np.full((len(of_both), num_classes), -ONE)
        signs[np.arange(len(of_both)), of_both] = ONE

        def value_of(decisions: np.ndarray, rows: np.ndarray) -> float:
            predicted = _best_class(decisions)
            if self.metric == ACCURACY:
                return metrics.accuracy(of_both[rows], predicted)
            return metrics.mean_class_recall(of_both[rows], predicted, num_classes)

        return choose_and_fit(
            probe,
            vectors[split.both],
            signs,
            split.validates,
            trained=np.ones(num_classes, dtype=bool),
            exclusive=True,
            score=value_of,
            progress=progress,
        )

    def score(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        unread: np.ndarray,
        *,
        trained: np.ndarray,
        classes: Sequence[str],
    ) -> dict[str, Any]:
        truth, predicted = labels.argmax(axis=1), _best_class(scores)
        return {
            "num_test": len(truth),
            "metrics": {
                MEAN_CLASS_RECALL: metrics.class_recalls(truth, predicted, len(classes)),
                ACCURACY: metrics.accuracy(truth, predicted),
            },
        }


def _check_every_class(truth: np.ndarray, split: Split, classes: Sequence[str]) -> None:
    """Raise DatasetError unless every class is trained on and tested, and something validates."""
    for name, rows in vars(split).items():
        absent = set(range(len(classes))).difference(truth[rows].tolist())
        if absent and (name != "validation" or not len(rows)):
            raise DatasetError(
                f"class {classes[min(absent)]!r} has no {name} picture left after the skipped ones."
                " Repair its pictures, or leave the class out."
            )


def _best_class(decisions: np.ndarray) -> np.ndarray:
    """The class of the highest decision value [m], the first of equals; never one without value."""
    return np.where(np.isnan(decisions), -np.inf, decisions).argmax(axis=1)
