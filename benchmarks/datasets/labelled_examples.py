"""Examples with labels, whatever stands for them -> a benchmark: the user's split, or random ones.

own_splits.py has the protocol, which is that of the user's own pictures: the same ids with the same
labels are split alike, and so are in one table.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.own_splits import SplitPlan, splits_of
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.errors import DatasetError
from vggfeat.layouts.label_table import LabelTable
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.own_pictures import PARTS, alike, named

PROTOCOL_VERSION = 1
NO_SCALE = (1,)  # of vectors that are there already; records do not state it


def labelled_benchmark(name: str, title: str, table: LabelTable, options: DataOptions) -> Benchmark:
    """The benchmark of the examples that a table has, in the order of their ids.

    Classes that cannot be trained and tested are left out, and noted. Raises DatasetError where
    fewer than two are left, or nothing is there to train on.
    """
    labels = dict(sorted(zip(table.ids, table.labels, strict=True)))
    parts = None if table.parts is None else dict(zip(table.ids, table.parts, strict=True))
    plan = _plan(set(table.parts or ()))
    reasons = {} if table.is_multi_label else _unusable(labels, parts, plan)
    labels = {i: names for i, names in labels.items() if not names or names[0] not in reasons}
    notes = [
        f"classes left out, {reason}: {named([n for n, why in reasons.items() if why == reason])}"
        for reason in dict.fromkeys(reasons.values())
    ]
    classes = sorted({label for names in labels.values() for label in names})
    if len(classes) < 2:
        raise DatasetError(
            "needs two classes or more with two examples each, one to train on and one to test; has"
            f" {len(classes)}{''.join(f'; {note}' for note in notes)}."
        )
    ids, has_label = list(labels), _label_matrix(list(labels.values()), classes)
    splits, facts = splits_of(
        plan,
        ids,
        has_label if table.is_multi_label else has_label.argmax(axis=1),
        parts,
        copies={},  # nothing is known of files; equal vectors are reported as leaks
        version=PROTOCOL_VERSION,
        num_splits=options.num_splits,
        seed=options.seed,
    )
    return Benchmark(
        name=name,
        title=title,
        version=PROTOCOL_VERSION,
        classes=tuple(classes),
        pictures={i: Path(i) for i in ids},
        labels=np.where(has_label, 1, -1).astype(np.int8),
        splits=splits,
        sets={"all": np.arange(len(ids))},
        scales=NO_SCALE,
        aggregate="average",
        task=MultiLabel(metric="map_area") if table.is_multi_label else SingleLabel(),
        protocol={"own": True, "images": len(ids), **facts},
        notes=(*alike(classes), *notes),
    )


def _plan(parts: set[str]) -> SplitPlan:
    """How the examples are split. Raises DatasetError where nothing is there to train on."""
    if parts and "train" not in parts:
        there = " and ".join(part for part in PARTS if part in parts)
        raise DatasetError(f"has examples of {there}, and none of train to train on.")
    return SplitPlan.of(parts)


def _unusable(
    labels: dict[str, tuple[str, ...]], parts: dict[str, str] | None, plan: SplitPlan
) -> dict[str, str]:
    """Class -> why it cannot be trained or tested, of the classes of which that is so."""
    counts = Counter((names[0], "" if plan.is_random else parts[i]) for i, names in labels.items())
    if plan.is_random:
        return {name: "1 example" for (name, _), count in sorted(counts.items()) if count < 2}
    needed = {"train": "no example to train on", plan.tested: "no example to test"}
    return {
        name: reason
        for name in sorted({name for name, _ in counts})
        for part, reason in needed.items()
        if not counts[name, part]
    }


def _label_matrix(labels: list[tuple[str, ...]], classes: list[str]) -> np.ndarray:
    """Which example has which class, bool [N, K]."""
    place = {name: k for k, name in enumerate(classes)}
    has_label = np.zeros((len(labels), len(classes)), dtype=bool)
    for row, names in enumerate(labels):
        has_label[row, [place[name] for name in names]] = True
    return has_label
