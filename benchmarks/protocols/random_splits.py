"""Random splits into training, validation and test pictures, as a seed decides them.

A split is a pure function of protocol version, seed, its number and the pictures' ids. The pictures
of a class are ordered by the SHA-256 of "version/seed/number/id": the first ones train, the next
are tested. No other picture, class or library version changes the draw.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vggfeat.benchmarks.splits import Split

VALIDATION_SHARE = 0.2  # of the training pictures (paper, appendix B)

IdsByClass = Mapping[str, Sequence[str]]  # class -> ids of its pictures


class Divided(NamedTuple):
    """The rows of a class that train, and those that validate."""

    train: Sequence[int]
    validation: Sequence[int]


def random_split(
    by_class: IdsByClass,
    draw: str,
    *,
    train_per_class: int,
    test_per_class: int | None,
) -> Split:
    """The split whose order of pictures is that of the digests of `draw/id`.

    draw is "version/seed/number". Rows count the pictures class by class. test_per_class None tests
    all pictures that do not train.
    """
    ids_in_order = [i for ids in by_class.values() for i in ids]
    row_of = {i: row for row, i in enumerate(ids_in_order)}
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for ids in by_class.values():
        shuffled = sorted(ids, key=lambda i: hashlib.sha256(f"{draw}/{i}".encode()).digest())
        num_both = num_trained_on(ids, train_per_class)
        rows = [row_of[i] for i in shuffled]
        of_class = divided(rows[:num_both])
        parts["train"] += of_class.train
        parts["validation"] += of_class.validation
        parts["test"] += rows[num_both : num_both + (test_per_class or len(rows))]
    return Split(**{name: np.array(rows) for name, rows in parts.items()})


def divided(rows: Sequence[int]) -> Divided:
    """The rows of a class in their order: the first train, the last validate.

    At least one validates and one trains; of a class with one row it does both.
    """
    num_validation = max(1, round(VALIDATION_SHARE * len(rows)))
    num_trained = len(rows) - num_validation
    return Divided(rows[: max(1, num_trained)], rows[max(0, num_trained) :])


def num_trained_on(ids: Sequence[str], train_per_class: int) -> int:
    """Pictures of a class that train and validate: half of one that is too small."""
    return train_per_class if len(ids) > train_per_class else len(ids) // 2
