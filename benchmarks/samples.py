"""Which examples are in which split: their ids, and the table that `datasets splits` writes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark


class SplitIds(NamedTuple):
    """The ids of the examples in each part of a split."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def sample_ids(benchmark: Benchmark) -> tuple[SplitIds, ...]:
    """The ids of the examples of every split: pictures, or people where people are classified.

    Hyper-parameters are chosen by training on `train` and scoring `validation`; the probe that is
    scored on `test` is trained on both.
    """
    return tuple(
        SplitIds(
            *(
                tuple(benchmark.ids[row] for row in rows)
                for rows in (split.train, split.validation, split.test)
            )
        )
        for split in benchmark.splits
    )


def split_table(benchmark: Benchmark) -> Iterator[tuple[int, str, str, str]]:
    """Split, part, id and classes of every example of every split.

    Classes are separated by spaces, those of a user's pictures by semicolons, as in their lists.
    """
    separator = ";" if benchmark.is_own else " "
    row_of = {i: row for row, i in enumerate(benchmark.ids)}
    for number, split in enumerate(sample_ids(benchmark)):
        for part_name, ids in split._asdict().items():
            for i in ids:
                present = np.flatnonzero(benchmark.labels[row_of[i]] > 0)
                yield number, part_name, i, separator.join(benchmark.classes[k] for k in present)
