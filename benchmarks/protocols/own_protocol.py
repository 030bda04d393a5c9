"""Pictures of the user's -> a benchmark, by own_splits.py's protocol, whoever reads them."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.leaks import copies_of
from vggfeat.benchmarks.protocols.own_examples import benchmark_fields, plan_of, usable
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError
from vggfeat.layouts.label_list import read_list
from vggfeat.layouts.labelled_folders import read_folders
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.own_pictures import PARTS, LabelledPictures


class OwnProtocol(ABC):
    """How labelled pictures are read that nobody has measured by a protocol of their own."""

    @abstractmethod
    def read(self, root: Path) -> LabelledPictures:
        """The pictures of a dataset in its folder. Raises DatasetError."""

    def place(self, root: Path) -> str:
        """Where the pictures are, as errors name it."""
        return str(root)


@dataclass(frozen=True)
class OwnPictures(OwnProtocol):
    """Where the labels stand: in a CSV file in the dataset's folder, or in its folders' names."""

    label_list: Path | None = None

    def read(self, root: Path) -> LabelledPictures:
        """The pictures of the list, or of the class folders in a folder. Raises DatasetError."""
        return read_list(self.label_list) if self.label_list else read_folders(root)

    def place(self, root: Path) -> str:
        """The list, or else the folder."""
        return str(self.label_list or root)


def own_benchmark(definition: DatasetDefinition, root: Path, options: DataOptions) -> Benchmark:
    """The benchmark of the pictures that an OwnProtocol reads. Raises DatasetError."""
    protocol: OwnProtocol = definition.protocol
    pictures = protocol.read(root)
    notes = list(pictures.warnings)
    if options.limit is not None:
        pictures = _limited(pictures, options.limit)
        notes.append(f"limited to {options.limit} pictures a class")
    try:
        plan = plan_of(pictures, "picture")
        # Copies by another name would be trained on and tested by random splits; others are as
        # given.
        copies = copies_of(pictures.files) if plan.is_random else {}
        pictures, left_out = usable(pictures, plan, "picture", copies=copies)
    except DatasetError as error:
        raise DatasetError(f"{protocol.place(root)}: {error}") from error
    fields = benchmark_fields(pictures, plan, options, copies=copies)
    fields["protocol"] |= pictures.facts
    return Benchmark(
        name=definition.name,
        title=definition.title,
        pictures=pictures.files,
        sets=_sets(pictures),
        scales=definition.scales,
        aggregate=definition.aggregate,
        dataset=pictures.feature_set or definition.feature_set,
        notes=(*notes, *left_out),
        remarks=(_summary(pictures, fields["splits"], fields["protocol"]), *pictures.remarks),
        limited=options.limit is not None,
        **fields,
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


def _sets(pictures: LabelledPictures) -> dict[str, np.ndarray]:
    """The rows of each of the user's parts, or of all pictures."""
    if pictures.parts is None:
        return {"all": np.arange(len(pictures.labels))}
    part_of = np.array([pictures.parts[i] for i in pictures.labels])
    return {part: np.flatnonzero(part_of == part) for part in PARTS if part in part_of}
