"""Sets that a dataset's authors made -> a benchmark by their splits, as today's papers measure it.

What no set validates is drawn from the training pictures: 20 % of each class, by a seed. A dataset
without a test set is split at random, as own_splits.py does it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.protocols.labelled_sets import LabelledSets, PictureTable
from vggfeat.benchmarks.protocols.own_splits import VALIDATION_SHARE, SplitPlan, splits_of
from vggfeat.benchmarks.protocols.stratified_splits import in_drawn_order, of_single_labels
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.plurals import counted


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
    table = PictureTable.of(read, Path(root), options.limit, protocol.group_of)
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


class _Draws:
    """The splits of a table of pictures. Shapes: N pictures, n of them drawn from."""

    def __init__(self, table: PictureTable, protocol: OfficialSplits, options: DataOptions):
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
    definition: DatasetDefinition, table: PictureTable, options: DataOptions
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
