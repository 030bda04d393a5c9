"""The splits of the user's pictures: those that are given, or random stratified ones.

Without a split 20 % of each class are tested and 20 % of the rest validate; copies of a picture go
where the picture goes, so that no test picture is a training picture, too. With one, validation
pictures are drawn from the training ones where there are none, and the validation pictures are
tested where nothing else is, as VOC 2012's are here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from vggfeat.benchmarks.protocols.stratified_splits import (
    in_drawn_order,
    of_multi_labels,
    of_single_labels,
)
from vggfeat.benchmarks.splits import Split

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.2  # of what is not tested


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """Which parts of the user's split train, validate and are tested; none: all is drawn."""

    tested: str = ""
    validates: str = ""

    @classmethod
    def of(cls, parts: set[str]) -> "SplitPlan":
        """The plan for pictures of these parts, which contain train, or are empty."""
        if "test" in parts:
            return cls(tested="test", validates="val" if "val" in parts else "")
        return cls(tested="val" if "val" in parts else "")

    @property
    def is_random(self) -> bool:
        """Whether test pictures are drawn."""
        return not self.tested


def splits_of(
    plan: SplitPlan,
    ids: Sequence[str],
    labels: np.ndarray,
    parts: Mapping[str, str] | None,
    *,
    copies: Mapping[str, str] = MappingProxyType({}),
    version: int,
    num_splits: int,
    seed: int,
) -> tuple[tuple[Split, ...], dict[str, Any]]:
    """The splits of pictures [N], and what a record states of them.

    labels are the class of each picture [N], or which of several it has, bool [N, K]. copies has
    the id that a picture is a copy of, for those that are copies.
    """
    draw = f"{version}/{seed}"
    if plan.is_random:
        drawn = tuple(
            _random(ids, labels, copies, f"{draw}/{number}") for number in range(num_splits)
        )
        facts = {"split": "random, stratified", "test_share": TEST_SHARE}
        facts |= {"validation_share": VALIDATION_SHARE, "splits": num_splits, "seed": seed}
        return drawn, facts
    part_of = np.array([parts[i] for i in ids])
    train, test = (np.flatnonzero(part_of == part) for part in ("train", plan.tested))
    facts = {"split": "as given", "splits": 1, "scored_on": plan.tested}
    if plan.validates:
        validation = np.flatnonzero(part_of == plan.validates)
        facts |= {"trained_on": f"train and {plan.validates}", "validation": plan.validates}
    else:
        train, validation = _held_out(train, ids, labels, f"{draw}/0")
        facts |= {"trained_on": "train", "validation": "drawn from train", "seed": seed}
        facts |= {"validation_share": VALIDATION_SHARE}
    return (_validated(Split(train=train, validation=validation, test=test), labels),), facts


def _random(ids: Sequence[str], labels: np.ndarray, copies: Mapping[str, str], draw: str) -> Split:
    row_of = {i: row for row, i in enumerate(ids)}
    original = np.array([row_of[copies.get(i, i)] for i in ids])
    drawn = in_drawn_order(np.unique(original), ids, draw)
    rest = 1 - TEST_SHARE
    # Tests come before validation, as of two pictures of a class one is to be tested.
    shares = (rest * (1 - VALIDATION_SHARE), TEST_SHARE, rest * VALIDATION_SHARE)
    train, test, validation = (
        np.flatnonzero(np.isin(original, rows)) for rows in _divide(labels, drawn, shares)
    )
    return _validated(Split(train=train, validation=validation, test=test), labels)


def _held_out(
    rows: np.ndarray, ids: Sequence[str], labels: np.ndarray, draw: str
) -> list[np.ndarray]:
    """Training rows without those that validate, and these."""
    drawn = in_drawn_order(rows, ids, draw)
    return _divide(labels, drawn, (1 - VALIDATION_SHARE, VALIDATION_SHARE))


def _divide(labels: np.ndarray, drawn: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    return (of_single_labels if labels.ndim == 1 else of_multi_labels)(labels, drawn, shares)


def _validated(split: Split, labels: np.ndarray) -> Split:
    """The split with a validation picture of each class, which trains as well where it is the only.

    With several labels a picture the task chooses for such a class by the others.
    """
    if labels.ndim > 1:
        return split
    absent = np.setdiff1d(labels[split.train], labels[split.validation])
    rows = [split.train[labels[split.train] == k][0] for k in absent]
    validation = np.union1d(split.validation, np.array(rows, dtype=int))
    return Split(train=split.train, validation=validation, test=split.test)
