"""What a benchmark asks of a probe: single labels or multiple labels, and what is scored how.

A task takes vectors [n, D], labels [n, K] in {1, 0, -1} and a split. It chooses the probe's
hyper-parameter on the validation rows, fits it to training and validation rows together, and scores
the test rows.

Shapes: n examples, D dimensions, K classes, m test examples.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from vggfeat import metrics
from vggfeat.benchmarks.split_results import SplitResult
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError, OptionError
from vggfeat.features.pipeline import Progress
from vggfeat.probes.grid_search import PATIENCE, can_be_trained, choose
from vggfeat.probes.probe import Classifier, Probe

DIFFICULT_RULES = ("ignore", "negative")


def no_progress(label: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True, kw_only=True)
class FittedProbe:
    """A probe fitted to training and validation rows, for the classes that could be trained."""

    classifier: Classifier
    trained: np.ndarray  # [K] bool
    chosen: float | np.ndarray  # the hyper-parameter: one, or one for each trained class
    validation_scores: dict[float, float]
    seconds: dict[str, float]

    def decisions(self, vectors: np.ndarray) -> np.ndarray:
        """Decision values [m, K] of vectors [m, D]; NaN for a class that was not trained."""
        scores = np.full((len(vectors), len(self.trained)), np.nan)
        scores[:, self.trained] = self.classifier.decisions(vectors)
        return scores

    def chosen_by_class(self, classes: Sequence[str]) -> float | dict[str, float]:
        """The hyper-parameter, or that of each trained class by name."""
        if np.ndim(self.chosen) == 0:
            return self.chosen
        names = np.array(classes)[self.trained].tolist()
        return dict(zip(names, self.chosen.tolist(), strict=True))


class Task(ABC):
    """What is predicted and scored. metric is the headline among the metrics."""

    kind: ClassVar[str]
    metric: str

    @abstractmethod
    def settings(self, probe: Probe) -> dict[str, Any]:
        """Everything of probe and task that decides the numbers: part of a record's key."""

    @abstractmethod
    def fit(
        self,
        vectors: np.ndarray,
        labels: np.ndarray,
        split: Split,
        *,
        classes: Sequence[str],
        probe: Probe,
        progress: Progress = no_progress,
    ) -> FittedProbe:
        """Choose the hyper-parameter and fit. Raises DatasetError if too few examples are left."""

    @abstractmethod
    def score(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        unread: np.ndarray,
        *,
        trained: np.ndarray,
        classes: Sequence[str],
    ) -> dict[str, Any]:
        """num_test, metrics and left_out of a SplitResult, from labels and scores [m, K].

        unread [u, K] holds the labels of test examples that have no vector; trained [K] says which
        classes have scores. Raises DatasetError if nothing can be scored.
        """

    def evaluate(
        self,
        vectors: np.ndarray,
        labels: np.ndarray,
        split: Split,
        *,
        classes: Sequence[str],
        unread: np.ndarray,
        probe: Probe,
        progress: Progress = no_progress,
    ) -> SplitResult:
        """Fit and score one split. Raises what `fit` and `score` raise."""
        fitted = self.fit(vectors, labels, split, classes=classes, probe=probe, progress=progress)
        started = time.monotonic()
        scores = fitted.decisions(vectors[split.test])
        scored = self.score(
            labels[split.test], scores, unread, trained=fitted.trained, classes=classes
        )
        return SplitResult(
            num_train=len(split.both),
            chosen=fitted.chosen_by_class(classes),
            validation_scores=fitted.validation_scores,
            **_convergence(fitted.classifier),
            **scored,
            scores=scores.astype(np.float32),
            seconds=fitted.seconds | {"score": time.monotonic() - started},
        )


@dataclass(frozen=True, kw_only=True)
class SingleLabel(Task):
    """One class an example: mean class recall, and accuracy. Unread test examples do not count."""

    kind = "single label"
    metric: ClassVar[str] = "mean_class_recall"

    def settings(self, probe: Probe) -> dict[str, Any]:
        rule = "best mean class recall on the validation part of each split, smallest of equals"
        return probe.settings() | {f"{probe.hyperparameter.lower()}_rule": rule}

    def fit(
        self,
        vectors: np.ndarray,
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

        def mean_recall(decisions: np.ndarray, rows: np.ndarray) -> float:
            return metrics.mean_class_recall(of_both[rows], _best_class(decisions), num_classes)

        return _choose_and_fit(
            probe,
            vectors[split.both],
            np.where(of_both[:, None] == np.arange(num_classes), 1, -1),
            split.validates,
            trained=np.ones(num_classes, dtype=bool),
            score=mean_recall,
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
                "mean_class_recall": metrics.class_recalls(truth, predicted, len(classes)),
                "accuracy": metrics.accuracy(truth, predicted),
            },
        }


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
        name = probe.hyperparameter
        rule = (
            "for each class the best average precision (map_area) on the validation part, smallest"
            f" of equals; without a positive there, the {name} that is best in the mean of the"
            " other classes"
        )
        choice = {f"{name.lower()}_rule": rule, "difficult_in_training": self.difficult}
        return probe.settings() | choice

    def fit(
        self,
        vectors: np.ndarray,
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
        if validated.sum() < 2 or not (labels[split.validation][:, validated] > 0).any():
            raise DatasetError(
                f"{probe.hyperparameter} can be chosen for {validated.sum()} of {len(classes)}"
                " classes: at least two need positive and negative pictures to train on, and one of"
                " them a positive to validate on. More pictures are needed."
            )
        truth = labels[split.both][:, trained]
        return _choose_and_fit(
            probe,
            vectors[split.both],
            signs[split.both][:, trained],
            split.validates,
            trained=trained,
            score=lambda decisions, rows: _areas(truth[rows], decisions),
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


def _choose_and_fit(
    probe: Probe,
    X: np.ndarray,
    signs: np.ndarray,
    validation: np.ndarray,
    *,
    trained: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], float | np.ndarray],
    progress: Progress,
) -> FittedProbe:
    """Choose the hyper-parameter without the validation rows of X [n, D], then fit to all rows.

    signs [n, T] are those of the trained classes; score is that of `choose`.
    """
    if not np.isfinite(X).all():
        raise DatasetError("a vector is not finite: NaN or infinity. Extract its features again.")
    num_stages = len(probe.grid) + 1
    times = [time.monotonic()]
    fits = probe.fits(X, signs)
    chosen, scores = choose(
        fits,
        [validation],
        grid=probe.grid,
        score=score,
        patience=PATIENCE,
        progress=lambda num_done: progress("fitting probes", num_done, num_stages),
    )
    times.append(time.monotonic())
    classifier = fits.fit(chosen)
    progress("fitting probes", num_stages, num_stages)
    times.append(time.monotonic())
    # Records name the first stage after C, whatever the probe's hyper-parameter is called.
    seconds = dict(zip(("choose_C", "fit"), np.diff(times).tolist(), strict=True))
    return FittedProbe(
        classifier=classifier,
        trained=trained,
        chosen=chosen,
        validation_scores=scores,
        seconds=seconds,
    )


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


def _convergence(classifier: Classifier) -> dict[str, Any]:
    """How exactly a classifier was fitted, as fields of SplitResult."""
    converged, gap = classifier.converged, classifier.gap
    return {
        "num_not_converged": 0 if converged is None else int((~converged).sum()),
        "largest_gap": None if gap is None else float(f"{gap.max():.2g}"),
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
