"""Sets that a dataset's authors made -> a benchmark by their splits, as today's papers measure it.

What no set validates is drawn from the training pictures: 20 % of each class, by a seed. A dataset
without a test set is split at random, as own_splits.py does it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.protocols.own_splits import VALIDATION_SHARE, SplitPlan, splits_of
from vggfeat.benchmarks.protocols.stratified_splits import in_drawn_order, of_single_labels
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError
from vggfeat.images import Picture
from vggfeat.layouts.options import DataOptions
from vggfeat.plurals import counted


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Pictures by id, and the number of each one's class, in the same order."""

    pictures: Mapping[str, Picture]
    labels: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class LabelledSets:
    """A dataset's classes and its sets; sets may share pictures, which have one class then.

    `notes` say what is to be known of the files as they lie there. Raises DatasetError where
    pictures and labels are not as many, and at a label that is no number of a class.
    """

    classes: Sequence[str]
    sets: Mapping[str, Labelled]
    notes: Sequence[str] = ()

    def __post_init__(self):
        for name, labelled in self.sets.items():
            num_pictures, labels = len(labelled.pictures), list(labelled.labels)
            if num_pictures != len(labels):
                raise DatasetError(
                    f"set {name!r} has {num_pictures:,} pictures and {len(labels):,} labels."
                )
            if odd := [label for label in labels if not 0 <= label < len(self.classes)]:
                raise DatasetError(
                    f"set {name!r} has label {odd[0]}; the {len(self.classes)} classes have the"
                    f" numbers 0 to {len(self.classes) - 1}."
                )


@dataclass(frozen=True, kw_only=True)
class GivenSplit:
    """The names of the sets that train, validate and are tested; None: drawn from `train`.

    Raises DatasetError where `train` is no tuple.
    """

    train: tuple[str, ...] = ("train",)
    validation: str | None = None
    test: str = "test"

    def __post_init__(self):
        if isinstance(self.train, str):
            raise DatasetError(
                f"train of a GivenSplit is a tuple of sets, ({self.train!r},); got {self.train!r}."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All of its sets."""
        return (*self.train, *filter(None, (self.validation,)), self.test)


@dataclass(frozen=True, kw_only=True)
class OfficialSplits:
    """How a dataset with sets of its own is measured.

    `read` reads the sets in the dataset's folder. The mean over `splits` is the number; without
    any, random splits are drawn. `together` gives of a picture's id what may not be torn apart
    where pictures are drawn, such as the frames of one film. `facts` are further points of the
    protocol, for records.
    """

    metric: str  # one of single_label.METRICS
    read: Callable[[Path], LabelledSets]
    splits: tuple[GivenSplit, ...] = (GivenSplit(),)
    together: Callable[[str], str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    def group_of(self, picture_id: str) -> str:
        """What the picture may not be torn apart from: itself, unless `together` says more."""
        return self.together(picture_id) if self.together else picture_id


def official_benchmark(
    definition: DatasetDefinition, root: Path | str, options: DataOptions
) -> Benchmark:
    """The benchmark of the sets in a folder, by an OfficialSplits. Raises DatasetError."""
    protocol: OfficialSplits = definition.protocol
    try:
        read = protocol.read(Path(root))
    except DatasetError as error:
        if str(root) in str(error):
            raise
        raise DatasetError(f"{root}: {error}") from error
    table = _Table.of(read, Path(root), options.limit, protocol.group_of)
    notes = list(read.notes)
    if options.limit is not None:
        notes.append(f"limited to {options.limit} pictures a class of each set")
    draws = _Draws(table, protocol, options)
    splits, facts = draws.given() if protocol.splits else draws.random()
    notes += _validated_twice(splits)
    labels = np.full((len(table.ids), len(read.classes)), -1, dtype=np.int8)
    labels[np.arange(len(table.ids)), table.class_of] = 1
    return Benchmark(
        name=definition.name,
        title=definition.title,
        version=protocol.version,
        classes=tuple(read.classes),
        pictures=table.pictures,
        labels=labels,
        splits=splits,
        sets=table.sets,
        scales=definition.scales,
        aggregate=definition.aggregate,
        task=SingleLabel(metric=protocol.metric),
        dataset=definition.feature_set,
        protocol={
            "images": len(table.ids),
            **_incomplete(definition, table, options),
            **facts,
            **protocol.facts,
        },
        notes=tuple(notes),
        limited=options.limit is not None,
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """The pictures of all sets, each once. Shapes: N pictures."""

    pictures: Mapping[str, Picture]
    class_of: np.ndarray  # [N]
    sets: Mapping[str, np.ndarray]  # name -> rows

    @property
    def ids(self) -> Sequence[str]:
        return list(self.pictures)

    @classmethod
    def of(
        cls,
        read: LabelledSets,
        root: Path,
        limit: int | None,
        group_of: Callable[[str], str],
    ) -> "_Table":
        """Raises DatasetError at a set without a class, and at an id of two pictures or classes."""
        pictures: dict[str, Picture] = {}
        class_of: dict[str, int] = {}
        kept = {name: _limited(part, limit, group_of) for name, part in read.sets.items()}
        for name, labels in kept.items():
            absent = set(range(len(read.classes))).difference(labels.values())
            if absent:
                raise DatasetError(
                    f"{root}: set {name!r} has no picture of {len(absent)} of the"
                    f" {len(read.classes)} classes, {read.classes[min(absent)]!r} among them. Fetch"
                    " the dataset again."
                )
            for i, label in labels.items():
                if class_of.setdefault(i, label) != label:
                    both = " and ".join(read.classes[k] for k in (class_of[i], label))
                    raise DatasetError(f"{root}: picture {i!r} is of two classes, {both}.")
                picture = read.sets[name].pictures[i]
                if pictures.setdefault(i, picture) != picture:
                    raise DatasetError(
                        f"{root}: {i!r} is the id of two pictures, {pictures[i]} and {picture}. Ids"
                        " must tell the pictures of all sets apart."
                    )
        row_of = {i: row for row, i in enumerate(pictures)}
        return cls(
            pictures,
            np.array([class_of[i] for i in pictures]),
            {name: np.array([row_of[i] for i in labels]) for name, labels in kept.items()},
        )


def _limited(
    labelled: Labelled, limit: int | None, group_of: Callable[[str], str]
) -> dict[str, int]:
    """Id -> class; at most so many pictures a class, the first ones of as many groups as can be."""
    labels = dict(zip(labelled.pictures, map(int, labelled.labels), strict=True))
    if limit is None:
        return labels
    groups: Counter[str] = Counter()
    place = {}  # of a picture in its group
    for i in labels:
        place[i] = groups[group_of(i)]
        groups[group_of(i)] += 1
    counts: Counter[int] = Counter()
    kept = set()
    for i in sorted(labels, key=place.__getitem__):
        counts[labels[i]] += 1
        if counts[labels[i]] <= limit:
            kept.add(i)
    return {i: label for i, label in labels.items() if i in kept}


class _Draws:
    """The splits of a table of pictures. Shapes: N pictures, n of them drawn from."""

    def __init__(self, table: _Table, protocol: OfficialSplits, options: DataOptions):
        self.table, self.protocol, self.options = table, protocol, options
        self.ids = table.ids
        first: dict[str, int] = {}
        # The first row of those that stay together stands for all of them, [N].
        self.first = np.array([
            first.setdefault(protocol.group_of(i), row) for row, i in enumerate(self.ids)
        ])  # fmt: skip

    def given(self) -> tuple[tuple[Split, ...], dict[str, Any]]:
        """The authors' splits, with a drawn validation part where they have none; and facts.

        Raises DatasetError at a set that is not there.
        """
        sets, splits = self.table.sets, []
        for number, given in enumerate(self.protocol.splits):
            if unknown := [name for name in given.names if name not in sets]:
                raise DatasetError(
                    f"a split is made of set {unknown[0]!r}; `read` gives {', '.join(sets)}."
                )
            train = np.unique(np.concatenate([sets[name] for name in given.train]))
            if given.validation:
                validation = sets[given.validation]
            else:
                train, validation = self._held_out(train, number)
            splits.append(Split(train=train, validation=validation, test=sets[given.test]))
        return tuple(splits), _facts(self.protocol.splits, self.options.seed)

    def random(self) -> tuple[tuple[Split, ...], dict[str, Any]]:
        """Random stratified splits of all pictures, as many as the options say; and facts."""
        return splits_of(
            SplitPlan(),
            self.ids,
            self.table.class_of,
            None,
            copies={self.ids[row]: self.ids[first] for row, first in enumerate(self.first)},
            version=self.protocol.version,
            num_splits=self.options.num_splits,
            seed=self.options.seed,
        )

    def _held_out(self, rows: np.ndarray, number: int) -> list[np.ndarray]:
        """The rows [n] that train and those that validate; what stays together is one."""
        draw = f"{self.protocol.version}/{self.options.seed}/{number}"
        units = in_drawn_order(np.unique(self.first[rows]), self.ids, draw)
        shares = (1 - VALIDATION_SHARE, VALIDATION_SHARE)
        parts = of_single_labels(self.table.class_of, units, shares)
        return [rows[np.isin(self.first[rows], part)] for part in parts]


def _incomplete(
    definition: DatasetDefinition, table: _Table, options: DataOptions
) -> dict[str, str]:
    """What a record states of sets that have not as many pictures as are known; nothing if all."""
    found = [
        f"{known.set} {len(table.sets[known.set]):,} of {known.total:,}"
        for known in definition.known_counts
        if known.set in table.sets and len(table.sets[known.set]) != known.total
    ]
    return {"incomplete": ", ".join(found)} if found and options.limit is None else {}


def _validated_twice(splits: Sequence[Split]) -> list[str]:
    """That lists name pictures in training and in validation; leaks.py finds those of the test."""
    twice = sum(len(np.intersect1d(split.train, split.validation)) for split in splits)
    return [f"{counted(twice, 'picture')} in the training and in the validation set"] * bool(twice)


def _facts(splits: Sequence[GivenSplit], seed: int) -> dict[str, Any]:
    """What a record states of the authors' splits: of which sets they are made, what was drawn."""
    train = _in_each([given.train for given in splits])
    is_drawn = any(given.validation is None for given in splits)
    validation = _in_each([(given.validation,) for given in splits])
    facts = {
        "split": "official",
        "trained_on": _in_each([(*given.train, given.validation) for given in splits]),
        "validation": f"drawn from {train}" if is_drawn else validation,
        "scored_on": _in_each([(given.test,) for given in splits]),
        "splits": len(splits),
    }
    return facts | ({"seed": seed, "validation_share": VALIDATION_SHARE} if is_drawn else {})


def _in_each(sets: Sequence[Sequence[str | None]]) -> str:
    """The sets of each split that have one role, in words; train1, train2, ... are train of each.

    None is no set.
    """
    named = {tuple(dict.fromkeys(filter(None, of_split))) for of_split in sets}
    if len(named) == 1:
        return " and ".join(*named)
    kinds = {tuple(name.rstrip("0123456789_-") for name in of_split) for of_split in named}
    return f"{' or '.join(sorted(map(' and '.join, kinds)))} of each split"
