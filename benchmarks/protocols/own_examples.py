"""Labelled examples of a user's, pictures or not -> what of a benchmark follows from their labels.

own_splits.py has the protocol: the same ids with the same labels are split alike, whether pictures
lie there or features that were made elsewhere, and so are in one table.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.protocols.own_splits import SplitPlan, splits_of
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.own_pictures import PARTS, LabelledPictures, named

PROTOCOL_VERSION = 1


def plan_of(examples: LabelledPictures, noun: str) -> SplitPlan:
    """How examples are split; noun is one of them. Raises DatasetError at none to train on."""
    parts = {examples.parts[i] for i in examples.labels} if examples.parts else set()
    if parts and "train" not in parts:
        there = " and ".join(part for part in PARTS if part in parts)
        raise DatasetError(f"has {noun}s of {there}, and none of train to train on.")
    return SplitPlan.of(parts)


def usable(
    examples: LabelledPictures, plan: SplitPlan, noun: str, *, copies: Collection[str] = ()
) -> tuple[LabelledPictures, list[str]]:
    """The examples without classes that cannot be trained and tested; notes on those.

    With several labels an example none is left out here: the task lists those without a number.
    Raises DatasetError where fewer than two classes are left.
    """
    reasons = {} if examples.is_multi_label else _unusable(examples, plan, noun, copies)
    if reasons:
        labels = {i: names for i, names in examples.labels.items() if names[0] not in reasons}
        examples = replace(examples, labels=labels)
    notes = [
        f"classes left out, {reason}: {named([n for n, why in reasons.items() if why == reason])}"
        for reason in dict.fromkeys(reasons.values())
    ]
    if len(examples.classes) < 2:
        there = f" ({', '.join(examples.classes)})" if examples.classes else ""
        raise DatasetError(
            f"needs two classes or more with two {noun}s each, one to train on and one to test; has"
            f" {len(examples.classes)}{there}{''.join(f'; {note}' for note in notes)}."
        )
    return examples, notes


def benchmark_fields(
    examples: LabelledPictures,
    plan: SplitPlan,
    options: DataOptions,
    *,
    copies: Mapping[str, str],
) -> dict[str, Any]:
    """Fields of the Benchmark: version, classes, labels, splits, task and protocol.

    copies has the id that an example is a copy of, for those that are copies; what they are copies
    of may not be among the examples.
    """
    ids, has_label = list(examples.labels), _label_matrix(examples)
    splits, facts = splits_of(
        plan,
        ids,
        has_label if examples.is_multi_label else has_label.argmax(axis=1),
        examples.parts,
        copies=_among(copies, ids),
        version=PROTOCOL_VERSION,
        num_splits=options.num_splits,
        seed=options.seed,
    )
    return {
        "version": PROTOCOL_VERSION,
        "classes": examples.classes,
        "labels": np.where(has_label, np.int8(1), np.int8(-1)),
        "splits": splits,
        "task": MultiLabel(metric="map_area") if examples.is_multi_label else SingleLabel(),
        "protocol": {"own": True, "images": len(ids), **facts},
    }


def _unusable(
    examples: LabelledPictures, plan: SplitPlan, noun: str, copies: Collection[str]
) -> dict[str, str]:
    """Class -> why it cannot be trained or tested, of the classes of which that is so."""
    if plan.is_random:
        in_all = Counter(names[0] for names in examples.labels.values())
        originals = in_all - Counter(examples.labels[i][0] for i in copies)
        return {
            name: f"of one {noun}" if count == 1 else f"of one {noun} but for copies"
            for name, count in sorted(in_all.items())
            if originals[name] < 2
        }
    counts = Counter((names[0], examples.parts[i]) for i, names in examples.labels.items())
    needed = {"train": f"no {noun} to train on", plan.tested: f"no {noun} to test"}
    return {
        name: reason
        for name in examples.classes
        for part, reason in needed.items()
        if not counts[name, part]
    }


def _among(copies: Mapping[str, str], ids: Sequence[str]) -> dict[str, str]:
    """The copies among these examples; what they are copies of may not be one of them."""
    first: dict[str, str] = {}
    return {i: j for i in ids if (j := first.setdefault(copies.get(i, i), i)) != i}


def _label_matrix(examples: LabelledPictures) -> np.ndarray:
    """Which example has which class, bool [N, K]."""
    place = {name: k for k, name in enumerate(examples.classes)}
    has_label = np.zeros((len(examples.labels), len(place)), dtype=bool)
    for row, names in enumerate(examples.labels.values()):
        has_label[row, [place[name] for name in names]] = True
    return has_label
