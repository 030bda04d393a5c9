"""Few examples: a benchmark of which only some training pictures a class are drawn.

A draw is a pure function of the benchmark's version, seed, the split's number and the ids of its
training pictures: those of a class, the ones that validate among them, are ordered by the SHA-256
of "version/seed/number/shots/id", and the first N are drawn. So 2 pictures a class are among the 4,
and no other picture, class or library version changes the draw. The test part stays as it is.

Where a picture may have several classes, the first N pictures that have a class are drawn for it. A
picture that is drawn for any class keeps all its labels, so there may be more than N of a class.

The hyper-parameter is chosen among the drawn pictures alone: the last fifth of a class's draw
validates, at least one picture. A picture that trains for another class only trains, and so does
the only one of a class. Where none is left to validate, with one picture a class, all do both.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.protocols.random_splits import divided
from vggfeat.benchmarks.splits import Split
from vggfeat.layouts.options import DataOptions

NUM_NAMED = 3  # classes that a note names
# Points of an official protocol that do not hold here: each picture is drawn by itself, and a part
# of the draw validates.
OF_ALL_PICTURES = ("drawn_as", "validation")

Draw = Mapping[int, Sequence[int]]  # class number -> rows, in their order


def few_shots(benchmark: Benchmark, options: DataOptions) -> Benchmark:
    """The benchmark with options.shots training pictures a class; as it is where that is None.

    A benchmark with several splits gets a draw from each, one with a single split as many as
    options.num_splits. Of a class with fewer pictures all are drawn, which a note says.
    """
    if options.shots is None:
        return benchmark
    splits = benchmark.splits
    if len(splits) == 1:
        splits *= options.num_splits
    draws = [
        _drawn(benchmark, split, f"{benchmark.version}/{options.seed}/{number}", options.shots)
        for number, split in enumerate(splits)
    ]
    return replace(
        benchmark,
        base=benchmark,
        splits=tuple(_split(draw, split.test) for draw, split in zip(draws, splits, strict=True)),
        submission=None,
        protocol={
            **_facts(benchmark),
            "shots": options.shots,
            "train_per_class": _num_drawn(draws),
            "splits": len(splits),
            "seed": options.seed,
        },
        notes=(
            *(f"before pictures were drawn: {note}" for note in benchmark.notes),
            *_notes(benchmark, draws, options.shots),
        ),
    )


def _facts(benchmark: Benchmark) -> dict[str, Any]:
    """What of the benchmark's protocol holds of few pictures, too."""
    facts = dict(benchmark.protocol)
    if not benchmark.is_own:  # whose records are known by all of them
        for name in OF_ALL_PICTURES:
            facts.pop(name, None)
    return facts


def remarks(benchmark: Benchmark, hyperparameter: str) -> list[str]:
    """What is to be said of a choice on the very pictures that were trained on."""
    if not hyperparameter or not any(
        np.isin(split.validation, split.train).all() for split in benchmark.splits
    ):
        return []
    return [
        f"the only training picture of a class validates, too, so the {hyperparameter} is the"
        " smallest of the grid that fits these pictures best"
    ]


def _drawn(benchmark: Benchmark, split: Split, draw: str, shots: int) -> Draw:
    """The first so many training pictures of each class that has any."""

    def digest(row: int) -> bytes:
        return hashlib.sha256(f"{draw}/shots/{benchmark.ids[row]}".encode()).digest()

    ordered = np.array(sorted(split.both.tolist(), key=digest))
    places, classes = np.nonzero(benchmark.labels[ordered] > 0)
    return {k: ordered[places[classes == k][:shots]].tolist() for k in np.unique(classes).tolist()}


def _split(draw: Draw, test: np.ndarray) -> Split:
    """The drawn pictures, a part of which validates."""
    train: dict[int, None] = {}
    validation: dict[int, None] = {}
    for rows in draw.values():
        of_class = divided(rows)
        train |= dict.fromkeys(of_class.train)
        validation |= dict.fromkeys(of_class.validation)
    # What validates is held out, so a picture that a class needs to train on cannot validate.
    held_out = [row for row in validation if row not in train] or list(train)
    return Split(train=np.array(list(train)), validation=np.array(held_out), test=test)


def _num_drawn(draws: Sequence[Draw]) -> int | str:
    """Pictures drawn for a class, "n to m" where they differ."""
    counts = {len(rows) for draw in draws for rows in draw.values()}
    return max(counts) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _notes(benchmark: Benchmark, draws: Sequence[Draw], shots: int) -> list[str]:
    """The note on classes that have fewer pictures, if there are such."""
    fewest: dict[int, int] = {}
    for draw in draws:
        for k, rows in draw.items():
            fewest[k] = min(len(rows), fewest.get(k, shots))
    few = [f"{benchmark.classes[k]!r} ({count})" for k, count in fewest.items() if count < shots]
    if not few:
        return []
    more = f" and {len(few) - NUM_NAMED} more" if len(few) > NUM_NAMED else ""
    return [
        f"{len(few)} of {len(benchmark.classes)} classes have fewer than {shots} training pictures,"
        f" so all of theirs were drawn: {', '.join(few[:NUM_NAMED])}{more}"
    ]
