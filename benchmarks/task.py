"""What a benchmark asks of a probe; single_label.py and multi_label.py are the tasks.

A task takes vectors [n, D], labels [n, K] in {1, 0, -1} and a split. It chooses the probe's
hyper-parameter on the validation rows, fits it to training and validation rows together, and scores
the test rows. Vectors are an array, or on disk: StreamedVectors, of which rows are blocks.

Shapes: n examples, D dimensions, K classes, m test examples.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vggfeat.benchmarks.split_results import SplitResult
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.streamed_vectors import StreamedVectors
from vggfeat.errors import DatasetError
from vggfeat.probes.grid_search import choose
from vggfeat.probes.probe import Classifier, Probe
from vggfeat.probes.streaming.blocks import VectorBlocks
from vggfeat.probes.streaming.choice import streamed_fits
from vggfeat.probes.streaming.scores import scores_of
from vggfeat.progress import Progress, no_progress


@dataclass(frozen=True, kw_only=True)
class FittedProbe:
    """A probe fitted to training and validation rows, for the classes that could be trained."""

    classifier: Classifier
    trained: np.ndarray  # [K] bool
    chosen: float | np.ndarray | None  # the hyper-parameter: one, or one for each trained class
    validation_scores: dict[float, float]
    seconds: dict[str, float]
    borrowed: Sequence[str] = ()  # classes whose hyper-parameter is the one best for the others

    def decisions(self, vectors: np.ndarray | StreamedVectors, rows: np.ndarray) -> np.ndarray:
        """Decision values [m, K] of these rows of vectors; NaN for a class that was not trained.

        Raises DatasetError if a vector is not finite.
        """
        if isinstance(vectors, StreamedVectors):
            order = np.argsort(rows)
            decisions = np.empty((len(rows), self.trained.sum()), dtype=np.float32)
            decisions[order] = scores_of(self.classifier, vectors[rows[order]])
        else:
            tested = vectors[rows]
            _check_finite(tested)
            decisions = self.classifier.decisions(tested)
        if self.trained.all():
            return decisions
        scores = np.full((len(rows), len(self.trained)), np.nan, dtype=decisions.dtype)
        scores[:, self.trained] = decisions
        return scores

    def chosen_by_class(self, classes: Sequence[str]) -> float | dict[str, float] | None:
        """The hyper-parameter, or that of each trained class by name; None if there is none."""
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
        vectors: np.ndarray | StreamedVectors,
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

    def fit_and_score(
        self,
        vectors: np.ndarray | StreamedVectors,
        labels: np.ndarray,
        split: Split,
        *,
        classes: Sequence[str],
        unread: np.ndarray,
        probe: Probe,
        progress: Progress = no_progress,
    ) -> tuple[SplitResult, FittedProbe]:
        """The result of one split, and its fitted probe. Raises what `fit` and `score` raise."""
        fitted = self.fit(vectors, labels, split, classes=classes, probe=probe, progress=progress)
        started = time.monotonic()
        scores = fitted.decisions(vectors, split.test)
        scored = self.score(
            labels[split.test], scores, unread, trained=fitted.trained, classes=classes
        )
        result = SplitResult(
            num_train=len(split.both),
            chosen=fitted.chosen_by_class(classes),
            validation_scores=fitted.validation_scores,
            borrowed=fitted.borrowed,
            **_convergence(fitted.classifier),
            **scored,
            scores=scores.astype(np.float32),
            seconds=fitted.seconds | {"score": time.monotonic() - started},
        )
        return result, fitted


def choose_and_fit(
    probe: Probe,
    X: np.ndarray | VectorBlocks,
    signs: np.ndarray,
    validation: np.ndarray,
    *,
    trained: np.ndarray,
    exclusive: bool,
    score: Callable[[np.ndarray, np.ndarray], float | np.ndarray],
    progress: Progress,
) -> FittedProbe:
    """Choose the hyper-parameter without the validation rows of X [n, D], then fit to all rows.

    signs [n, T] are those of the trained classes; exclusive says that each example has exactly one
    of them. score is that of `choose`. Raises DatasetError if a vector is not finite.
    """
    num_stages = len(probe.grid) + 1
    times = [time.monotonic()]
    if isinstance(X, VectorBlocks):
        fits = streamed_fits(probe, X, signs, exclusive=exclusive)
    else:
        _check_finite(X)
        fits = probe.fits(X, signs, exclusive=exclusive)
    chosen, scores = None, {}
    if probe.grid:
        chosen, scores = choose(
            fits,
            [validation],
            grid=probe.grid,
            score=score,
            patience=probe.patience,
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


def _convergence(classifier: Classifier) -> dict[str, Any]:
    """How exactly a classifier was fitted, as fields of SplitResult."""
    converged, gap = classifier.converged, classifier.gap
    return {
        "num_not_converged": 0 if converged is None else int((~converged).sum()),
        "largest_gap": None if gap is None else float(f"{gap.max():.2g}"),
    }


def _check_finite(vectors: np.ndarray) -> None:
    if not np.isfinite(vectors).all():
        raise DatasetError("a vector holds NaN or infinity. Extract the features again.")
