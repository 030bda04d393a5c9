"""Pictures of the user's -> a benchmark: class folders or a list, by own_splits.py's protocol."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.datasets.own_splits import SplitPlan, splits_of
from vggfeat.benchmarks.leaks import copies_of
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError
from vggfeat.layouts.label_list import read_list
from vggfeat.layouts.labelled_folders import read_folders
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.own_pictures import PARTS, LabelledPictures, named

PROTOCOL_VERSION = 1


@dataclass(frozen=True)
class OwnPictures:
    """Where the labels stand: in a CSV file in the dataset's folder, or in its folders' names."""

    label_list: Path | None = None


def own_benchmark(definition: DatasetDefinition, root: Path, options: DataOptions) -> Benchmark:
    """The benchmark of a folder of class folders, or of the list that its OwnPictures names.

    Raises DatasetError.
    """
    label_list = definition.protocol.label_list
    pictures = read_list(label_list) if label_list else read_folders(root)
    notes = list(pictures.warnings)
    if options.limit is not None:
        pictures = _limited(pictures, options.limit)
        notes.append(f"limited to {options.limit} pictures a class")
    plan = _plan(pictures, label_list or root)
    # Copies by another name would be tested and trained on in random splits; others are as given.
    copies = copies_of({i: root / i for i in pictures.labels}) if plan.is_random else {}
    pictures, left_out = _usable(pictures, plan, copies, label_list or root)
    ids, has_label = list(pictures.labels), _label_matrix(pictures)
    splits, facts = splits_of(
        plan,
        ids,
        has_label if pictures.is_multi_label else has_label.argmax(axis=1),
        pictures.parts,
        copies=_among(copies, ids),
        version=PROTOCOL_VERSION,
        num_splits=options.num_splits,
        seed=options.seed,
    )
    return Benchmark(
        name=definition.name,
        title=definition.title,
        version=PROTOCOL_VERSION,
        classes=pictures.classes,
        pictures={i: root / i for i in ids},
        labels=np.where(has_label, 1, -1).astype(np.int8),
        splits=splits,
        sets=_sets(pictures),
        scales=definition.scales,
        aggregate=definition.aggregate,
        dataset=definition.feature_set,
        task=MultiLabel(metric="map_area") if pictures.is_multi_label else SingleLabel(),
        protocol={"own": True, "images": len(ids), **facts},
        notes=(*notes, *left_out),
        remarks=(_summary(pictures, splits, facts), *pictures.remarks),
        limited=options.limit is not None,
    )


def _summary(pictures: LabelledPictures, splits: Sequence[Split], facts: Mapping[str, Any]) -> str:
    """How many pictures, classes and splits there are, in words."""
    first = splits[0]
    some = "one class each"
    if pictures.is_multi_label:
        unlabelled = sum(not names for names in pictures.labels.values())
        some = f"several a picture{f', none of {unlabelled:,}' if unlabelled else ''}"
    parts = (
        f"{len(first.train):,} train, {len(first.validation):,} validate,"
        f" {len(first.test):,} are tested"
    )
    drawn = f"{len(splits)} random, seed {facts['seed']}" if "test_share" in facts else "as given"
    return (
        f"{len(pictures.labels):,} pictures, {len(pictures.classes):,} classes, {some}; splits"
        f" {drawn}: {parts}"
    )


def _limited(pictures: LabelledPictures, limit: int) -> LabelledPictures:
    """At most so many pictures a class, of every part, the first by id."""
    counts: Counter[tuple[str, str]] = Counter()
    kept = {}
    for i, names in pictures.labels.items():
        part = pictures.parts[i] if pictures.parts else ""
        keys = [(part, name) for name in names or ("",)]
        if any(counts[key] < limit for key in keys):
            kept[i] = names
            counts.update(keys)
    return replace(pictures, labels=kept)


def _plan(pictures: LabelledPictures, where: Path) -> SplitPlan:
    """How the pictures are split. Raises DatasetError where nothing is there to train on."""
    parts = {pictures.parts[i] for i in pictures.labels} if pictures.parts else set()
    if parts and "train" not in parts:
        there = " and ".join(part for part in PARTS if part in parts)
        raise DatasetError(f"{where}: has pictures of {there}, and none of train to train on.")
    return SplitPlan.of(parts)


def _usable(
    pictures: LabelledPictures, plan: SplitPlan, copies: Collection[str], where: Path
) -> tuple[LabelledPictures, list[str]]:
    """Without classes that cannot be trained and tested; notes on those.

    With several labels a picture none is left out here: the task lists those without a number.
    """
    reasons = {} if pictures.is_multi_label else _unusable(pictures, plan, copies)
    if reasons:
        labels = {i: names for i, names in pictures.labels.items() if names[0] not in reasons}
        pictures = replace(pictures, labels=labels)
    notes = [
        f"classes left out, {reason}: {named([n for n, why in reasons.items() if why == reason])}"
        for reason in dict.fromkeys(reasons.values())
    ]
    if len(pictures.classes) < 2:
        there = f" ({', '.join(pictures.classes)})" if pictures.classes else ""
        raise DatasetError(
            f"{where}: needs two classes or more with two pictures each, one to train on and one to"
            f" test; has {len(pictures.classes)}{there}{''.join(f'; {note}' for note in notes)}."
        )
    return pictures, notes


def _unusable(
    pictures: LabelledPictures, plan: SplitPlan, copies: Collection[str]
) -> dict[str, str]:
    """Class -> why it cannot be trained or tested, of the classes of which that is so."""
    if plan.is_random:
        in_all = Counter(names[0] for names in pictures.labels.values())
        originals = in_all - Counter(pictures.labels[i][0] for i in copies)
        return {
            name: "of one picture" if count == 1 else "of one picture but for copies"
            for name, count in sorted(in_all.items())
            if originals[name] < 2
        }
    counts = Counter((names[0], pictures.parts[i]) for i, names in pictures.labels.items())
    needed = {"train": "no picture to train on", plan.tested: "no picture to test"}
    return {
        name: reason
        for name in pictures.classes
        for part, reason in needed.items()
        if not counts[name, part]
    }


def _among(copies: Mapping[str, str], ids: Sequence[str]) -> dict[str, str]:
    """The copies among these pictures; what they are copies of may not be one of them."""
    first: dict[str, str] = {}
    return {i: j for i in ids if (j := first.setdefault(copies.get(i, i), i)) != i}


def _label_matrix(pictures: LabelledPictures) -> np.ndarray:
    """Which picture has which class, bool [N, K]."""
    place = {name: k for k, name in enumerate(pictures.classes)}
    has_label = np.zeros((len(pictures.labels), len(place)), dtype=bool)
    for row, names in enumerate(pictures.labels.values()):
        has_label[row, [place[name] for name in names]] = True
    return has_label


def _sets(pictures: LabelledPictures) -> dict[str, np.ndarray]:
    """The rows of each of the user's parts, or of all pictures."""
    if pictures.parts is None:
        return {"all": np.arange(len(pictures.labels))}
    part_of = np.array([pictures.parts[i] for i in pictures.labels])
    return {part: np.flatnonzero(part_of == part) for part in PARTS if part in part_of}
