"""The task of any number of classes an example, scored by mean average precision (PASCAL VOC).

Shapes: n examples, D dimensions, K classes, m test examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vggfeat import metrics
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.streamed_vectors import StreamedVectors
from vggfeat.benchmarks.task import FittedProbe, Task, choose_and_fit
from vggfeat.errors import DatasetError, OptionError
from vggfeat.probes.grid_search import can_be_trained
from vggfeat.probes.probe import Probe
from vggfeat.progress import Progress, no_progress

DIFFICULT_RULES = ("ignore", "negative")


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Task):
    """Any number of classes an example: the mean average precision, by three rules.

    metric names the rule of the headline, one of metrics.AP_RULES. difficult says what a label of 0
    is in training: "ignore" leaves the example out for that class, "negative" takes it as -1. The
    hyper-parameter is chosen for each class by itself, the classes being separate problems, and
    scored without labels of 0 either way.

    A class is left out, and listed, where it has no positive (or no negative) example to train on
    or no positive to test on. Unread test examples rank last, as in the devkit of PASCAL VOC.
    """

    kind = "multi label"
    metric: str
    difficult: Literal["ignore", "negative"] = "ignore"

    def __post_init__(self):
        for name, allowed in (("metric", metrics.AP_RULES), ("difficult", DIFFICULT_RULES)):
            if getattr(self, name) not in allowed:
                raise OptionError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}."
                )

    def settings(self, probe: Probe) -> dict[str, Any]:
        difficult = {"difficult_in_training": self.difficult}
        if not probe.grid:
            return probe.settings() | difficult
        name = probe.hyperparameter
        rule = (
            "for each class the best average precision (map_area) on the validation part, smallest"
            f" of equals; without a positive there, the {name} that is best in the mean of the"
            " other classes"
        )
        return probe.settings() | {f"{name.lower()}_rule": rule} | difficult

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
        signs = np.where(labels == 0, -1, labels) if self.difficult == "negative" else labels
        trained = can_be_trained(signs[split.both])
        validated = can_be_trained(signs[split.train]) & trained
        chosen_by_itself = validated & (labels[split.validation] > 0).any(axis=0)
        if probe.grid and (validated.sum() < 2 or not chosen_by_itself.any()):
            raise DatasetError(
                f"{probe.hyperparameter} can be chosen for {validated.sum()} of {len(classes)}"
                " classes: at least two need positive and negative pictures to train on, and one of"
                " them a positive to validate on. More pictures are needed."
            )
        if not trained.any():
            raise DatasetError(
                "no class has positive and negative pictures to train on. More pictures are needed."
            )
        truth = labels[split.both][:, trained]
        fitted = choose_and_fit(
            probe,
            vectors[split.both],
            signs[split.both][:, trained],
            split.validates,
            trained=trained,
            exclusive=False,
            score=lambda decisions, rows: _areas(truth[rows], decisions),
            progress=progress,
        )
        borrowed = trained & ~chosen_by_itself if probe.grid else np.zeros_like(trained)
        return replace(fitted, borrowed=[classes[k] for k in np.flatnonzero(borrowed)])

    def score(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        unread: np.ndarray,
        *,
        trained: np.ndarray,
        classes: Sequence[str],
    ) -> dict[str, Any]:
        truth = np.concatenate([labels, unread])
        ranked = np.concatenate([scores, np.full(unread.shape, -np.inf)])
        scored = trained & (truth > 0).any(axis=0)
        if not scored.any():
            raise DatasetError("no class that was trained has a positive test picture.")
        return {
            "num_test": len(truth),
            "metrics": _average_precisions(truth, ranked, scored),
            "left_out": {
                classes[k]: "no positive picture to test on"
                if trained[k]
                else "positive and negative pictures are needed to train on"
                for k in np.flatnonzero(~scored)
            },
        }


def _average_precisions(
    truth: np.ndarray, scores: np.ndarray, scored: np.ndarray
) -> dict[str, np.ndarray]:
    """The average precision of each scored class [K] by each rule; NaN for the others."""
    by_rule = {rule: np.full(truth.shape[1], np.nan) for rule in metrics.AP_RULES}
    for k in np.flatnonzero(scored):
        for rule, ap in metrics.average_precisions(truth[:, k], scores[:, k]).items():
            by_rule[rule][k] = ap
    return by_rule


def _areas(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The average precision of each class [K]; NaN for one without scores or positives."""
    has_scores = ~np.isnan(scores).any(axis=0)
    return _average_precisions(truth, scores, has_scores)["map_area"]
