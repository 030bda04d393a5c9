"""Records compared on the same test pictures: differences, their intervals, tests, and words.

Values are percentages, differences are percent points of A minus B.
Shapes: R records, n rows (a test picture in a split), S splits, K classes, U pictures.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.comparison.alignment import Alignment, aligned
from vggfeat.benchmarks.comparison.facets import LocatedRecord, differing, labels_of, located
from vggfeat.benchmarks.comparison.selection import Pair
from vggfeat.records.record import Record
from vggfeat.records.resampling import ScoredRecord, rows_of, scored_record, weighted_metric
from vggfeat.report.transfer import lower_is_better
from vggfeat.statistics import bootstrap
from vggfeat.statistics.bootstrap import Interval
from vggfeat.statistics.significance import (
    SplitsTest,
    corrected_t_test,
    holm,
    mcnemar_p,
    p_over_splits,
)

NUM_CLASSES = 5  # shown for each direction
# Fewer pictures on which one alone is right can all be one net's by chance, with a probability
# above 5 % (2 * 0.5**5); draws of them vary too little, so that the bootstrap calls it certain.
NUM_DECIDING = 6
ONE_OF_SEVERAL = 0.05  # Holm's p-value below which one of several differences counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A record on the pictures that all compared records have scores of, in %."""

    label: str
    path: Path
    value: float
    interval: Interval
    per_split: tuple[float, ...]
    accuracy: float | None  # of single labels, where it is not the headline's other side
    per_class: tuple[float, ...]  # means over splits, NaN without pictures
    predictions: np.ndarray  # [n] class numbers
    are_right: np.ndarray  # [n]


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedPictures:
    """What is the same for all compared records."""

    title: str
    benchmark: str
    metric: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]  # [n]
    splits: np.ndarray  # [n]
    labels: np.ndarray  # [n, K]
    num_splits: int
    num_pictures: int
    num_left_out: int
    test_per_train: float | None  # of random splits; None for fixed ones and few shots

    @property
    def lower_is_better(self) -> bool:
        return lower_is_better(self.metric)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Record A beside record B. `str()` is the verdict in a sentence.

    difference, A minus B, and interval are in percent points of the records' headline metric. The
    verdict follows from one rule: there is a difference if the 95 % interval excludes 0, and
    NUM_DECIDING pictures or more make it.
    """

    a: Measured
    b: Measured
    pictures: ComparedPictures
    difference: float
    interval: Interval
    p: float  # by the paired bootstrap
    also_differ: tuple[str, ...] = ()  # other settings that are not the same, in words

    @property
    def better(self) -> Measured | None:
        """The better record; None if the interval holds 0, or too few pictures decide."""
        if not self.interval.excludes(0) or self.num_deciding < NUM_DECIDING:
            return None
        return self.b if (self.difference < 0) != self.pictures.lower_is_better else self.a

    @cached_property
    def num_deciding(self) -> int:
        """Pictures that only one of the two got right; of several labels all pictures."""
        if self.a.accuracy is None:
            return self.pictures.num_pictures
        differ = np.flatnonzero(self.a.are_right != self.b.are_right)
        return len({self.pictures.ids[row] for row in differ})

    @property
    def per_split(self) -> tuple[float, ...]:
        """The difference in each split."""
        return tuple(np.subtract(self.a.per_split, self.b.per_split).tolist())

    @cached_property
    def right_alone(self) -> list[tuple[int, int]]:
        """For each split, how many pictures only A and only B got right."""
        a, b, splits = self.a.are_right, self.b.are_right, self.pictures.splits
        return [
            (int((a & ~b)[splits == split].sum()), int((b & ~a)[splits == split].sum()))
            for split in range(self.pictures.num_splits)
        ]

    @property
    def mcnemar(self) -> tuple[float, tuple[float, ...]] | None:
        """McNemar's p-value over all splits and of each; None where pictures have several labels.

        It is a test of accuracy, whatever the headline is.
        """
        if self.a.accuracy is None:
            return None
        of_splits = tuple(mcnemar_p(*counts) for counts in self.right_alone)
        return p_over_splits(of_splits), of_splits

    @property
    def with_other_training(self) -> SplitsTest | None:
        """The corrected resampled t-test over random splits; None for fixed ones."""
        if self.pictures.test_per_train is None:
            return None
        return corrected_t_test(self.per_split, self.pictures.test_per_train)

    @property
    def disagreements(self) -> np.ndarray:
        """The rows [d] where the two predict other classes."""
        return np.flatnonzero(self.a.predictions != self.b.predictions)

    def changed_classes(self) -> list[tuple[str, float, float]]:
        """Classes with their values of A and B: those that changed most, A's gains first."""
        changes = [
            (name, a, b)
            for name, a, b in zip(
                self.pictures.classes, self.a.per_class, self.b.per_class, strict=True
            )
            if not np.isnan(a - b) and a != b
        ]
        changes.sort(key=lambda c: c[2] - c[1])
        gains = [c for c in changes if c[1] > c[2]][:NUM_CLASSES]
        losses = [c for c in changes if c[1] < c[2]][-NUM_CLASSES:]
        return gains + losses

    def __repr__(self) -> str:
        return f"<Comparison: {self}>"

    def _repr_html_(self) -> str:
        from vggfeat.benchmarks.comparison.tables import pair_tables  # which are of comparisons
        from vggfeat.report.render import render

        return f"<p>{html.escape(str(self))}</p>\n{render(pair_tables(self), 'html')}"

    def __str__(self) -> str:
        if self.better is not None:
            return f"{self.better.label} is better by {self.size}."
        start = f"No difference can be seen with these {self.pictures.num_pictures:,} pictures"
        return f"{start}: {self.too_few}." if self.too_few else f"{start} ({_ends(self.interval)})."

    @property
    def size(self) -> str:
        """The difference without its sign, with its interval, in words."""
        interval = self.interval.scaled(-1) if self.difference < 0 else self.interval
        return f"{abs(self.difference):.{_decimals(interval)}f} points ({_ends(interval)})"

    @property
    def too_few(self) -> str:
        """Why an interval that excludes 0 shows no difference, in words; empty elsewhere."""
        if self.better is not None or not self.interval.excludes(0):
            return ""
        right = f"one alone is right on {self.num_deciding}, and "
        return f"{right if self.a.accuracy is not None else ''}{NUM_DECIDING} are needed"


def compare(a: Path | str, b: Path | str) -> Comparison:
    """The record at path a compared with that at path b, on the same test pictures.

    Raises RecordError if they have no scores, or are not of the same test pictures.
    """
    pair = tuple(located([Path(a), Path(b)]))
    return compared([pair])[0]


def compared(pairs: Sequence[Pair]) -> list[Comparison]:
    """Pairs of records of one test set, all on the pictures that every record has scores of.

    Raises RecordError as `compare` does.
    """
    members = list({id(record): record for pair in pairs for record in pair}.values())
    scored = [scored_record(member.path, member.record) for member in members]
    alignment = aligned(scored)
    pictures = _pictures(scored, alignment)
    metrics = [
        weighted_metric(s, pictures.metric, rows)
        for s, rows in zip(scored, alignment.rows, strict=True)
    ]
    draws = bootstrap.draws(metrics, pictures.num_pictures)
    measured = [
        _measured(*parts, pictures)
        for parts in zip(labels_of(members), scored, alignment.rows, metrics, draws, strict=True)
    ]
    place = {id(member): number for number, member in enumerate(members)}
    return [_comparison(a, b, measured, draws, pictures, place) for a, b in pairs]


def holm_p(comparisons: Sequence[Comparison]) -> np.ndarray:
    """The p-values of the paired bootstrap adjusted for their number."""
    return holm([comparison.p for comparison in comparisons])


def _comparison(
    a: LocatedRecord, b: LocatedRecord, measured: Sequence[Measured], draws: np.ndarray,
    pictures: ComparedPictures, place: dict[int, int],
) -> Comparison:  # fmt: skip
    i, j = place[id(a)], place[id(b)]
    # Equal values of records may differ in their last bits, as sums over classes do.
    differences = 100 * np.round(draws[i] - draws[j], 9)
    return Comparison(
        a=measured[i],
        b=measured[j],
        pictures=pictures,
        difference=round(measured[i].value - measured[j].value, 9),
        interval=bootstrap.interval_of_difference(differences),
        p=bootstrap.bootstrap_p(differences),
        also_differ=_also_differ(a, b),
    )


def _also_differ(a: LocatedRecord, b: LocatedRecord) -> tuple[str, ...]:
    """What both state and differs, beside the first thing that does, in words."""
    usual = {"layer": "default"}
    values = ((n, *(r.facets.get(n) or usual.get(n) for r in (a, b))) for n in differing(a, b)[1:])
    return tuple(f"{n.replace('_', ' ')} ({v}, {w})" for n, v, w in values if v and w)


def _pictures(scored: Sequence[ScoredRecord], alignment: Alignment) -> ComparedPictures:
    first, rows = scored[0], alignment.rows[0]
    record, scores = first.record, first.scores
    splits = np.unique(scores.splits[rows], return_inverse=True)[1]
    num_splits, num_pictures = int(splits.max()) + 1, rows_of(first, rows).num_pictures
    # The corrected t-test is of splits of one whole: draws of few training pictures hardly overlap,
    # and n_test/n_train says nothing of them.
    are_drawn = num_splits > 1 and len(rows) < num_splits * num_pictures
    are_drawn = are_drawn and "shots" not in record.protocol
    return ComparedPictures(
        title=_title(record),
        benchmark=record.benchmark,
        metric=record.metric,
        classes=tuple(scores.classes),
        ids=tuple(scores.ids[row] for row in rows),
        splits=splits,
        labels=scores.labels[rows],
        num_splits=num_splits,
        num_pictures=num_pictures,
        num_left_out=alignment.num_left_out,
        test_per_train=sum(record.n_test) / sum(record.n_train) if are_drawn else None,
    )


def _title(record: Record) -> str:
    """The benchmark's title, with the number of training pictures a class where it was chosen."""
    shots = record.protocol.get("shots")
    return f"{record.title}, {shots} {'shot' if shots == 1 else 'shots'}" if shots else record.title


def _measured(
    label: str, scored: ScoredRecord, rows: np.ndarray, metric, draws: np.ndarray,
    pictures: ComparedPictures,
) -> Measured:  # fmt: skip
    once = np.ones((pictures.num_pictures, 1))
    per_split = metric.of_splits(once)[:, 0]
    value, right = round(float(per_split.mean()), 9), scored.are_right(rows)
    of_splits = [right[pictures.splits == split].mean() for split in range(pictures.num_splits)]
    return Measured(
        label=label,
        path=scored.path,
        value=100 * value,
        interval=bootstrap.interval_of_value(draws, value, pictures.num_pictures).scaled(100),
        per_split=tuple((100 * per_split).tolist()),
        accuracy=100 * float(np.mean(of_splits)) if scored.has_single_labels else None,
        per_class=tuple((100 * _mean(metric.of_classes(once)[:, :, 0])).tolist()),
        predictions=scored.predictions(rows),
        are_right=right,
    )


def _mean(of_splits: np.ndarray) -> np.ndarray:
    """The mean over splits [K] of values [S, K] that may be NaN."""
    has_value = ~np.isnan(of_splits)
    counts = has_value.sum(axis=0)
    sums = np.where(has_value, of_splits, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _ends(interval: Interval) -> str:
    decimals = _decimals(interval)
    return f"{interval.low:.{decimals}f} to {interval.high:.{decimals}f}"


def _decimals(interval: Interval) -> int:
    """As many as keep an end that is not 0 from being printed as 0.0."""
    return 2 if any(0 < abs(end) < 0.05 for end in interval) else 1
