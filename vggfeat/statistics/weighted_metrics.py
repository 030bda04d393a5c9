"""Metrics whose test pictures count with weights, for many draws of weights at once.

A draw of the bootstrap takes each picture a number of times, which is its weight. With weights of
one these are the metrics of metrics.py; with other whole numbers they are those of the pictures
repeated so often.

Shapes: U pictures, n rows (a picture in a split is a row), S splits, K classes, b draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from vggfeat.metrics import RECALL_LEVELS


class WeightedMetric(Protocol):
    """A metric of test pictures in several splits."""

    def of_splits(self, weights: np.ndarray) -> np.ndarray:
        """Its value in each split [S, b] for weights [U, b]; NaN where there is nothing to score.

        A mean over classes is one over those that have a picture (a positive) of weight.
        """
        ...

    def of_classes(self, weights: np.ndarray) -> np.ndarray:
        """Its value for each class and split [S, K, b] for weights [U, b]; NaN as above."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Which picture and which split each row of test data is of."""

    pictures: np.ndarray  # [n], from 0 to U - 1
    splits: np.ndarray  # [n], from 0 to S - 1

    @property
    def num_pictures(self) -> int:
        return int(self.pictures.max()) + 1

    @property
    def num_splits(self) -> int:
        return int(self.splits.max()) + 1


class ClassShares:
    """The share of pictures of each class for which something holds, such as that they were right.

    mean_of_classes says whether a split's value is the mean over classes (mean class recall) or
    the share of all its pictures (accuracy, top-k error).
    """

    def __init__(
        self, rows: Rows, truth: np.ndarray, holds: np.ndarray, num_classes: int,
        *, mean_of_classes: bool,
    ):  # fmt: skip
        """truth [n] are class numbers, holds [n] is true where the share counts a row."""
        self._shape = (rows.num_splits, num_classes)
        self._mean_of_classes = mean_of_classes
        cells = rows.splits * num_classes + truth
        size = (rows.num_splits * num_classes, rows.num_pictures)
        self._all = _counts(cells, rows.pictures, size)
        self._held = _counts(cells[holds], rows.pictures[holds], size)

    def of_classes(self, weights: np.ndarray) -> np.ndarray:
        return _ratio(*self._sums(weights))

    def of_splits(self, weights: np.ndarray) -> np.ndarray:
        held, all_rows = self._sums(weights)
        if self._mean_of_classes:
            return _mean(_ratio(held, all_rows))
        return _ratio(held.sum(axis=1), all_rows.sum(axis=1))

    def _sums(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple((m @ weights).reshape(*self._shape, -1) for m in (self._held, self._all))


class AveragePrecisions:
    """Average precision of each class by one of metrics.AP_RULES; a split's value is their mean.

    Only where a positive stands does precision count, so the ranking of a class is cut into steps
    that end with a positive (map_step: with all that have the positive's score).
    """

    def __init__(
        self, rows: Rows, signs: np.ndarray, scores: np.ndarray, scored: np.ndarray, *, rule: str
    ):
        """signs and scores [n, K] as metrics.average_precisions takes them; scored [S, K] bool.

        Classes that are not scored in a split have no value there, whatever their scores are.
        """
        self._num_splits, self._num_classes = scored.shape
        self._rule = rule
        self._rankings = []  # (split, class, rows of the matrices)
        steps, positives, first = [], [], 0
        for s, k in np.argwhere(scored):
            of_split = np.flatnonzero((rows.splits == s) & (signs[:, k] != 0))
            order = of_split[np.argsort(-scores[of_split, k], kind="stable")]
            is_positive = signs[order, k] > 0
            step = _steps(is_positive, scores[order, k], ties_count_as_one=rule == "map_step")
            used = step <= step[is_positive].max(
                initial=-1
            )  # what follows the last positive is not
            steps.append((first + step[used], rows.pictures[order[used]]))
            is_positive &= used
            positives.append((first + step[is_positive], rows.pictures[order[is_positive]]))
            num_steps = int(step[used].max(initial=-1)) + 1
            self._rankings.append((s, k, slice(first, first + num_steps)))
            first += num_steps
        size = (first, rows.num_pictures)
        self._all = _counts(*_joined(steps), size)
        self._positive = _counts(*_joined(positives), size)

    def of_classes(self, weights: np.ndarray) -> np.ndarray:
        values = np.full((self._num_splits, self._num_classes, weights.shape[1]), np.nan)
        hits, counts = self._positive @ weights, self._all @ weights
        for s, k, steps in self._rankings:
            values[s, k] = _average_precision(hits[steps], counts[steps], self._rule)
        return values

    def of_splits(self, weights: np.ndarray) -> np.ndarray:
        return _mean(self.of_classes(weights))


def _steps(is_positive: np.ndarray, scores: np.ndarray, *, ties_count_as_one: bool) -> np.ndarray:
    """The step of each example of a ranking, from 0; a step ends with its last positive."""
    ends = is_positive
    if ties_count_as_one:
        is_last = np.append(scores[1:] != scores[:-1], True)
        group = np.cumsum(np.append(0, is_last[:-1]))
        has_positive = np.bincount(group, weights=is_positive) > 0
        ends = is_last & has_positive[group]
    return np.cumsum(np.append(0, ends[:-1])).astype(np.intp)


def _average_precision(hits: np.ndarray, counts: np.ndarray, rule: str) -> np.ndarray:
    """Average precision [b] from the weight of positives and of all examples in each step."""
    true_positives = np.cumsum(hits, axis=0)
    num_positives = true_positives[-1]
    precision = _ratio(true_positives, np.cumsum(counts, axis=0), empty=0)
    if rule != "map_step":
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    if rule != "map_11pt":
        return _ratio((precision * hits).sum(axis=0), num_positives)
    recall = _ratio(true_positives, num_positives)
    at_levels = np.zeros(precision.shape[1])
    for level in RECALL_LEVELS:
        first = (recall < level).sum(axis=0)
        at_levels += np.take_along_axis(precision, first[None], axis=0)[0]
    return np.where(num_positives > 0, at_levels / len(RECALL_LEVELS), np.nan)


def _counts(cells: np.ndarray, pictures: np.ndarray, size: tuple[int, int]) -> sparse.csr_array:
    """How often a picture is in a cell [cells, U]."""
    return sparse.csr_array((np.ones(len(cells)), (cells, pictures)), shape=size)


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    cells, pictures = zip(*parts, strict=True)
    return np.concatenate(cells), np.concatenate(pictures)


def _ratio(numerators: np.ndarray, denominators: np.ndarray, empty: float = np.nan) -> np.ndarray:
    result = np.full(np.broadcast_shapes(numerators.shape, denominators.shape), float(empty))
    return np.divide(numerators, denominators, out=result, where=denominators > 0)


def _mean(of_classes: np.ndarray) -> np.ndarray:
    """The mean over classes [S, b] of values [S, K, b] that may be NaN."""
    has_value = ~np.isnan(of_classes)
    return _ratio(np.where(has_value, of_classes, 0).sum(axis=1), has_value.sum(axis=1))
