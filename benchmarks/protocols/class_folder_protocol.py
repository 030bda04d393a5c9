"""A folder of class folders -> a benchmark with random splits, as Caltech's papers draw them.

random_splits.py draws the splits; a class that is too small for the protocol trains with half.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.protocols.random_splits import (
    VALIDATION_SHARE,
    IdsByClass,
    num_trained_on,
    random_split,
)
from vggfeat.benchmarks.single_label import MEAN_CLASS_RECALL, SingleLabel
from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.class_folders import scan_class_folders
from vggfeat.layouts.options import DataOptions

PROTOCOL_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ClassFolderProtocol:
    """How many pictures of a class train and are tested, at most; None tests all the others.

    `background` is the folder that `DataOptions.background` counts as a class or leaves out. Raises
    DatasetError at a number below 1.
    """

    metric: ClassVar[str] = MEAN_CLASS_RECALL
    train_per_class: int
    test_per_class: int | None = None
    background: str | None = None

    def __post_init__(self):
        for name in ("train_per_class", "test_per_class"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise DatasetError(f"{name} must be at least 1; got {number}.")


def class_folder_benchmark(
    definition: DatasetDefinition, root: Path | str, options: DataOptions
) -> Benchmark:
    """The benchmark of the pictures in root/<class>/ by a ClassFolderProtocol.

    Raises DatasetError.
    """
    protocol: ClassFolderProtocol = definition.protocol
    root = Path(root)
    scanned = scan_class_folders(root)
    by_class, notes = _classes_to_use(scanned.pictures, root, options, protocol)
    if scanned.stray:
        notes.insert(0, f"not pictures of a class, ignored: {', '.join(scanned.stray)}")
    ids = [i for members in by_class.values() for i in members]
    class_of = np.repeat(np.arange(len(by_class)), [len(members) for members in by_class.values()])
    return Benchmark(
        name=definition.name,
        title=definition.title,
        version=PROTOCOL_VERSION,
        classes=tuple(by_class),
        pictures={i: root / i for i in ids},
        labels=np.where(class_of[:, None] == np.arange(len(by_class)), 1, -1).astype(np.int8),
        splits=tuple(
            random_split(
                by_class,
                f"{PROTOCOL_VERSION}/{options.seed}/{number}",
                train_per_class=protocol.train_per_class,
                test_per_class=protocol.test_per_class,
            )
            for number in range(options.num_splits)
        ),
        sets={"all": np.arange(len(ids))},
        scales=definition.scales,
        aggregate=definition.aggregate,
        task=SingleLabel(),
        protocol={
            "background": protocol.background in by_class,
            "train_per_class": _trained_on(by_class, protocol),
            "test_per_class": protocol.test_per_class or "all others",
            "validation_share": VALIDATION_SHARE,
            "splits": options.num_splits,
            "seed": options.seed,
            "images": sum(map(len, scanned.pictures.values())),
        },
        notes=tuple(notes),
        limited=options.limit is not None,
    )


def _classes_to_use(
    pictures: IdsByClass, root: Path, options: DataOptions, protocol: ClassFolderProtocol
) -> tuple[dict[str, Sequence[str]], list[str]]:
    """The classes with at least two pictures, and notes on what was left out or is too small."""
    by_class = {
        name: ids[: options.limit]
        for name, ids in pictures.items()
        if options.background or name != protocol.background
    }
    notes = [
        f"class {name!r} was left out: it has {_count(ids)}, and two are needed"
        for name, ids in by_class.items()
        if len(ids) < 2
    ]
    by_class = {name: ids for name, ids in by_class.items() if len(ids) >= 2}
    if len(by_class) < 2:
        raise DatasetError(
            f"{root}: needs at least two class folders with two pictures each"
            f" ({', '.join(PICTURE_SUFFIXES)}); found {len(by_class)}."
        )
    if options.limit is not None:
        notes.append(f"limited to {options.limit} pictures a class")
    notes += [
        f"class {name!r} has {_count(ids)}, too few for {protocol.train_per_class} training"
        f" pictures: {len(ids) // 2} were trained on, the others tested"
        for name, ids in by_class.items()
        if len(ids) <= protocol.train_per_class and len(ids) != options.limit
    ]
    return by_class, notes


def _trained_on(by_class: IdsByClass, protocol: ClassFolderProtocol) -> int | str:
    """Training pictures of a class as they are, not as the protocol would have them."""
    counts = [num_trained_on(ids, protocol.train_per_class) for ids in by_class.values()]
    return counts[0] if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def _count(ids: Sequence[str]) -> str:
    return "1 picture" if len(ids) == 1 else f"{len(ids)} pictures"
