"""The metrics of records on resampled test pictures, from the scores that lie beside them.

Shapes: n rows of scores, K classes, U pictures.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from vggfeat import metrics
from vggfeat.errors import RecordError
from vggfeat.records.record import Record, path_of
from vggfeat.records.scores import Scores, read_scores, scores_path
from vggfeat.statistics import bootstrap
from vggfeat.statistics.bootstrap import Interval
from vggfeat.statistics.weighted_metrics import (
    AveragePrecisions,
    ClassShares,
    Rows,
    WeightedMetric,
)

log = logging.getLogger(__name__)

TOLERANCE = 5e-4  # of fractions of one: scores are kept as float32, in which some tie
TOP = {"top1_error": 1, "top5_error": 5, "top1_error_present": 1, "top5_error_present": 5}
KNOWN = ("mean_class_recall", "accuracy", *TOP, *metrics.AP_RULES)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredRecord:
    """A record with its scores."""

    path: Path
    record: Record
    scores: Scores

    @cached_property
    def read_rows(self) -> np.ndarray:
        """Whether each test picture could be read [n]: those that could not score -inf."""
        return ~(self.scores.scores == -np.inf).all(axis=1)

    @cached_property
    def has_single_labels(self) -> bool:
        return self.record.metric not in metrics.AP_RULES

    def predictions(self, rows: np.ndarray) -> np.ndarray:
        """The class [r] of the highest score of each of these rows, the first of equals."""
        scores = self.scores.scores[rows]
        return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)

    def are_right(self, rows: np.ndarray) -> np.ndarray:
        """Whether the picture of each of these rows [r] has the class with its highest score."""
        labels = self.scores.labels[rows]
        return labels[np.arange(len(rows)), self.predictions(rows)] > 0


def scored_record(path: Path, record: Record) -> ScoredRecord:
    """The record at this path with its scores.

    Raises RecordError if it has none, or if they are not its own.
    """
    if record.scores_sha256 is None:
        raise RecordError(
            f"{path}: the record has no scores: it was made before they were kept, or by a command"
            " that keeps none. Move it away and measure again."
        )
    if record.metric not in KNOWN:
        raise RecordError(f"{path}: {record.metric} is not computed from scores.")
    scores = read_scores(scores_path(path), record.scores_sha256)
    scored = ScoredRecord(path=path, record=record, scores=scores)
    if not scored.read_rows.any():
        raise RecordError(f"{scores_path(path)}: holds the scores of no test picture.")
    return scored


def rows_of(scored: ScoredRecord, kept: np.ndarray) -> Rows:
    """Which picture and split these rows of a record's scores are of.

    Where the examples are people, `<picture> <person>`, those of one picture belong together.
    """
    ids = [scored.scores.ids[row] for row in kept]
    if "people" in scored.record.protocol:
        ids = [example.rpartition(" ")[0] for example in ids]
    return Rows(
        pictures=np.unique(ids, return_inverse=True)[1],
        splits=np.unique(scored.scores.splits[kept], return_inverse=True)[1],
    )


def weighted_metric(scored: ScoredRecord, name: str, kept: np.ndarray) -> WeightedMetric:
    """The metric of this name, one of KNOWN, of these rows of a record's scores.

    Raises RecordError if all rows are kept and the record states another value.
    """
    metric = _weighted_metric(scored, name, kept)
    if len(kept) == len(_scored_rows(scored, name)):
        _check_value(scored, name, metric, rows_of(scored, kept).num_pictures)
    return metric


def intervals(scored: ScoredRecord) -> dict[str, Interval]:
    """The 95 % interval of each metric of the record that follows from scores, by its name."""
    names = [name for name in scored.record.metrics if name in KNOWN]
    by_name = {}
    for kept, of_rows in _by_rows(scored, names):
        weighted = [weighted_metric(scored, name, kept) for name in of_rows]
        num_pictures = rows_of(scored, kept).num_pictures
        values = bootstrap.draws(weighted, num_pictures)
        for name, of_metric in zip(of_rows, values, strict=True):
            value = scored.record.metrics[name]["value"]
            by_name[name] = bootstrap.interval_of_value(of_metric, value, num_pictures)
    return by_name


def with_intervals(record: Record, path: Path) -> Record:
    """The record with an "interval" beside the value of each metric that follows from its scores.

    Raises RecordError if it has no scores.
    """
    ends = intervals(scored_record(path, record))
    return replace(
        record,
        metrics={
            name: metric | ({"interval": list(ends[name])} if name in ends else {})
            for name, metric in record.metrics.items()
        },
    )


def all_with_intervals(records: Sequence[Record], folder: Path) -> list[Record]:
    """The records of a results folder, those that have scores with intervals; says how many not.

    Raises RecordError if scores are damaged or not those of their record.
    """
    completed = []
    for record in records:
        path = path_of(folder, record.benchmark, record.net, record.key)
        has_scores = record.scores_sha256 and scores_path(path).is_file()
        is_known = has_scores and record.metric in KNOWN
        completed.append(with_intervals(record, path) if is_known else record)
    if without := sum("interval" not in r.metrics[r.metric] for r in completed):
        log.info(
            "%d of %d records have no scores beside them: no intervals", without, len(completed)
        )
    return completed


def _by_rows(scored: ScoredRecord, names: Sequence[str]):
    """The names of metrics by the rows that they are computed from."""
    by_rows: dict[bytes, tuple[np.ndarray, list[str]]] = {}
    for name in names:
        kept = _scored_rows(scored, name)
        by_rows.setdefault(kept.tobytes(), (kept, []))[1].append(name)
    return by_rows.values()


def _scored_rows(scored: ScoredRecord, name: str) -> np.ndarray:
    """The rows that the record's own value was computed from, in the order of ties."""
    read, unread = np.flatnonzero(scored.read_rows), np.flatnonzero(~scored.read_rows)
    return np.concatenate([read, unread]) if name in metrics.AP_RULES else read


def _weighted_metric(scored: ScoredRecord, name: str, kept: np.ndarray) -> WeightedMetric:
    rows, labels = rows_of(scored, kept), scored.scores.labels[kept]
    scores = scored.scores.scores[kept]
    if name in metrics.AP_RULES:
        of_class = _in_splits(rows, ~np.isnan(scores)) & ~_in_splits(rows, labels <= 0)
        if not of_class.any(axis=1).all():
            raise RecordError(f"{scored.path}: no class has scores and a positive test picture.")
        return AveragePrecisions(rows, labels, scores, of_class, rule=name)
    truth = labels.argmax(axis=1)
    if name in TOP:
        holds = _ranks(scored, scores, truth, name) >= TOP[name]
    else:
        holds = scored.are_right(kept)
    return ClassShares(
        rows, truth, holds, labels.shape[1], mean_of_classes=name == "mean_class_recall"
    )


def _ranks(scored: ScoredRecord, scores: np.ndarray, truth: np.ndarray, name: str) -> np.ndarray:
    """The rank of the true class [n] among all classes, or the pictures' where name says so.

    A class without a score comes last.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    if name.endswith("_present"):
        present = set(scored.record.metrics[name].get("per_class", ()))
        columns = [k for k, label in enumerate(scored.scores.classes) if label in present]
        if not np.isin(truth, columns).all():
            raise RecordError(f"{scored.path}: {name} is not of the classes of its pictures.")
        scores, truth = scores[:, columns], np.searchsorted(columns, truth)
    return metrics.ranks(scores, truth)


def _in_splits(rows: Rows, holds: np.ndarray) -> np.ndarray:
    """Whether something holds [n, K] in all rows of each split [S, K]."""
    return np.stack([holds[rows.splits == split].all(axis=0) for split in range(rows.num_splits)])


def _check_value(
    scored: ScoredRecord, name: str, metric: WeightedMetric, num_pictures: int
) -> None:
    value = bootstrap.mean_over_splits(metric, np.ones((num_pictures, 1)))[0]
    stated: Mapping = scored.record.metrics[name]
    if not abs(value - stated["value"]) <= TOLERANCE:
        raise RecordError(
            f"{scored.path}: {name} is {stated['value']:.6f}, and {value:.6f} follows from its"
            " scores. Move both away and measure again."
        )
