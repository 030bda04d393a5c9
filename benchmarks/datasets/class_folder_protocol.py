"""A folder of class folders -> a benchmark with random splits, as Caltech's papers draw them.

Splits are a pure function of protocol version, seed and picture ids: the pictures of a class are
ordered by the SHA-256 of "version/seed/split/id"; the first `train_per_class` train, the next ones
are tested. No other picture, class or library version changes the draw.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.single_label import SingleLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.options import DataOptions

PROTOCOL_VERSION = 1
VALIDATION_SHARE = 0.2  # of the training pictures (paper, appendix B)


@dataclass(frozen=True, kw_only=True)
class ClassFolderProtocol:
    """What a dataset's protocol fixes."""

    name: str
    title: str
    train_per_class: int
    test_per_class: int | None  # at most; None: all the others
    scales: tuple[int, ...]
    aggregate: str
    background: str | None = None  # the folder that `DataOptions.background` is about


def class_folder_benchmark(
    root: Path, options: DataOptions, protocol: ClassFolderProtocol
) -> Benchmark:
    """The benchmark of the pictures in root/<class>/. Raises DatasetError."""
    by_class, stray = _pictures_by_class(root)
    num_images = sum(map(len, by_class.values()))
    if not options.background:
        by_class.pop(protocol.background, None)
    if options.limit is not None:
        by_class = {name: ids[: options.limit] for name, ids in by_class.items()}
    notes = [f"not pictures of a class, ignored: {', '.join(stray)}"] if stray else []
    notes += [
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
    ids = [i for members in by_class.values() for i in members]
    row_of = {i: row for row, i in enumerate(ids)}
    class_of = np.repeat(np.arange(len(by_class)), [len(members) for members in by_class.values()])
    return Benchmark(
        name=protocol.name,
        title=protocol.title,
        version=PROTOCOL_VERSION,
        classes=tuple(by_class),
        pictures={i: root / i for i in ids},
        labels=np.where(class_of[:, None] == np.arange(len(by_class)), 1, -1).astype(np.int8),
        splits=tuple(
            _split(by_class, row_of, protocol, f"{PROTOCOL_VERSION}/{options.seed}/{number}")
            for number in range(options.num_splits)
        ),
        sets={"all": np.arange(len(ids))},
        scales=protocol.scales,
        aggregate=protocol.aggregate,
        task=SingleLabel(),
        protocol={
            "background": protocol.background in by_class,
            "train_per_class": _trained_on(by_class, protocol),
            "test_per_class": protocol.test_per_class or "all others",
            "validation_share": VALIDATION_SHARE,
            "splits": options.num_splits,
            "seed": options.seed,
            "images": num_images,
        },
        notes=tuple(notes),
        limited=options.limit is not None,
    )


def _pictures_by_class(root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Class name -> sorted picture ids, which are paths relative to the root; and stray items.

    Caltech-256 as distributed holds 056.dog/greg/ and 198.spider/RENAME2.
    """
    by_class, stray = {}, []
    for item in sorted(root.iterdir()):
        if item.name.startswith("."):
            continue
        if not item.is_dir():
            stray.append(item.name)
            continue
        inside = {path.name: _is_picture(path) for path in sorted(item.iterdir())}
        by_class[item.name] = [f"{item.name}/{name}" for name, is_one in inside.items() if is_one]
        stray += [
            f"{item.name}/{name}"
            for name, is_one in inside.items()
            if not is_one and not name.startswith(".")
        ]
    return by_class, stray


def _is_picture(path: Path) -> bool:
    """By its name, but never a hidden file, as macOS leaves beside pictures, or a folder."""
    if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
        return False
    if not path.is_file() and path.exists():  # a folder or a pipe; a dangling link is told later
        return False
    try:
        f"{path.parent.name}/{path.name}".encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"{str(path)!r}: the name is not UTF-8. Rename the file.") from error
    return True


def _split(
    by_class: Mapping[str, Sequence[str]],
    row_of: Mapping[str, int],
    protocol: ClassFolderProtocol,
    draw: str,
) -> Split:
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for ids in by_class.values():
        shuffled = sorted(ids, key=lambda i: hashlib.sha256(f"{draw}/{i}".encode()).digest())
        num_train = _num_train(ids, protocol)
        # At least one validates and one trains; a class with one training picture does both.
        num_validation = max(1, round(VALIDATION_SHARE * num_train))
        rows = [row_of[i] for i in shuffled]
        parts["train"] += rows[: max(1, num_train - num_validation)]
        parts["validation"] += rows[max(0, num_train - num_validation) : num_train]
        num_test = protocol.test_per_class or len(rows)
        parts["test"] += rows[num_train : num_train + num_test]
    return Split(**{name: np.array(rows) for name, rows in parts.items()})


def _trained_on(by_class: Mapping[str, Sequence[str]], protocol: ClassFolderProtocol) -> int | str:
    """Training pictures of a class as they are, not as the protocol would have them."""
    counts = [_num_train(ids, protocol) for ids in by_class.values()]
    return counts[0] if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def _num_train(ids: Sequence[str], protocol: ClassFolderProtocol) -> int:
    """A class too small for the protocol gives half of its pictures to either side."""
    enough = len(ids) > protocol.train_per_class
    return protocol.train_per_class if enough else len(ids) // 2


def _count(ids: Sequence[str]) -> str:
    return "1 picture" if len(ids) == 1 else f"{len(ids)} pictures"
