"""The best-ranked true pictures of a class and its worst mistakes, from the scores of a result.

Shapes: n rows of scores, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vggfeat.metrics import AP_RULES
from vggfeat.records.record import Record
from vggfeat.records.scores import Scores


@dataclass(frozen=True, kw_only=True)
class RankedClass:
    """A class with examples of its ranking, the highest scores first."""

    name: str
    value: float | None  # recall or average precision, a fraction
    true: tuple[tuple[str, str], ...]  # id, and what is written below it
    mistakes: tuple[tuple[str, str], ...]


def ranked_classes(record: Record, scores: Scores, most: int) -> Iterator[RankedClass]:
    """The classes with at most so many of each; those with the lowest values come first.

    Classes that could not be trained have no ranking and are left out.
    A mistake is a picture of other classes: of single labels one that was taken for this class, of
    several labels any that is ranked high.
    """
    of_class = record.metrics[record.metric].get("per_class") or {}
    values = np.where(np.isnan(scores.scores), -np.inf, scores.scores)
    is_read = ~np.isneginf(values).all(axis=1)
    taken = None if record.metric in AP_RULES else values.argmax(axis=1)
    numbers = {name: of_class.get(name) for name in scores.classes}
    order = sorted(
        np.flatnonzero(~np.isneginf(values).all(axis=0)).tolist(),
        key=lambda k: (numbers[scores.classes[k]] is None, numbers[scores.classes[k]] or 0.0, k),
    )
    for k in order:
        is_true = is_read & (scores.labels[:, k] > 0)
        is_other = is_read & (scores.labels[:, k] < 0)
        if taken is not None:
            is_true, is_other = is_true & (taken == k), is_other & (taken == k)
        name = scores.classes[k]
        yield RankedClass(
            name=name,
            value=numbers[name],
            true=tuple((i, "") for i, _ in _highest(scores, values[:, k], is_true, most)),
            mistakes=tuple(
                (i, _labels(scores, row))
                for i, row in _highest(scores, values[:, k], is_other, most)
            ),
        )


def _highest(
    scores: Scores, values: np.ndarray, chosen: np.ndarray, most: int
) -> list[tuple[str, int]]:
    """Ids and rows of the highest values among the chosen rows, each example once."""
    rows = np.flatnonzero(chosen & ~np.isneginf(values))
    found: dict[str, int] = {}
    for row in rows[np.argsort(-values[rows], kind="stable")]:
        found.setdefault(scores.ids[row], int(row))
        if len(found) == most:
            break
    return list(found.items())


def _labels(scores: Scores, row: int) -> str:
    """The classes that an example really has."""
    names = [scores.classes[k] for k in np.flatnonzero(scores.labels[row] > 0)]
    return ", ".join(names) or "none of the classes"
