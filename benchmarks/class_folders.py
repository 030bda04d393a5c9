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

from vggfeat.benchmarks.evaluation import Split
from vggfeat.benchmarks.protocol import Benchmark
from vggfeat.errors import DatasetError, OptionError

PROTOCOL_VERSION = 1
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_SPLITS = 1000
VALIDATION_SHARE = 0.2  # of the training pictures (paper, appendix B)


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """What a user may change in the splits."""

    num_splits: int = 3
    seed: int = 0
    background: bool = True  # whether the background or clutter class counts as a class
    limit: int | None = None  # pictures a class at most

    def __post_init__(self):
        if not 1 <= self.num_splits <= MAX_SPLITS:
            raise OptionError(f"splits must be from 1 to {MAX_SPLITS}; got {self.num_splits}.")
        if self.limit is not None and self.limit < 2:
            raise OptionError(
                f"limit must be at least 2, one picture to train and one to test; got {self.limit}."
            )


@dataclass(frozen=True, kw_only=True)
class ClassFolderProtocol:
    """What a dataset's protocol fixes."""

    name: str
    title: str
    train_per_class: int
    test_per_class: int  # at most
    scales: tuple[int, ...]
    aggregate: str
    background: str | None = None  # the folder that `SplitOptions.background` is about


def class_folder_benchmark(
    root: Path, protocol: ClassFolderProtocol, options: SplitOptions
) -> Benchmark:
    """The benchmark of the pictures in root/<class>/. Raises DatasetError."""
    by_class = _pictures_by_class(root)
    num_images = sum(map(len, by_class.values()))
    if not options.background:
        by_class.pop(protocol.background, None)
    if options.limit is not None:
        by_class = {name: ids[: options.limit] for name, ids in by_class.items()}
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
        scales=protocol.scales,
        aggregate=protocol.aggregate,
        protocol={
            "classes": len(by_class),
            "background": protocol.background in by_class,
            "train_per_class": _trained_on(by_class, protocol),
            "test_per_class": protocol.test_per_class,
            "validation_share": VALIDATION_SHARE,
            "splits": options.num_splits,
            "seed": options.seed,
            "images": num_images,
        },
        notes=tuple(notes),
        limited=options.limit is not None,
    )


def _pictures_by_class(root: Path) -> dict[str, list[str]]:
    """Class name -> sorted picture ids, which are paths relative to the root."""
    by_class = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if not folder.name.startswith("."):
            names = sorted(path.name for path in folder.iterdir() if _is_picture(path))
            by_class[folder.name] = [f"{folder.name}/{name}" for name in names]
    return by_class


def _is_picture(path: Path) -> bool:
    """By its name, but never a hidden file, as macOS leaves beside pictures, or a folder."""
    if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
        return False
    if path.exists() and not path.is_file():  # a folder or a pipe; a dangling link is told later
        return False
    try:
        str(path).encode()
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
        parts["test"] += rows[num_train : num_train + protocol.test_per_class]
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
