"""Find test pictures that are training pictures, too: equal files or vectors of different names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.splits import Split
from vggfeat.storage.files import sha256_of

NUM_NAMED = 3  # pictures that a note names


@dataclass(frozen=True)
class Leak:
    """A test picture with the content of a training or validation picture."""

    split: int
    test: str
    train: str


def find_leaks(files: Mapping[str, Path], splits: tuple[Split, ...]) -> list[Leak]:
    """The leaks of each split; files maps id -> file in the order of the splits' row numbers.

    A picture that several examples show counts once. Only files of the same size as another are
    read. A file that cannot be read has no equal.
    """
    ids = list(files)
    contents = _contents(files)
    leaks = []
    for number, split in enumerate(splits):
        train = {}
        for row in np.concatenate([split.train, split.validation]).tolist():
            train.setdefault(contents[ids[row]], ids[row])
        test = {files[ids[row]]: ids[row] for row in reversed(split.test.tolist())}
        leaks += [
            Leak(number, i, train[contents[i]])
            for i in reversed(test.values())
            if contents[i] in train
        ]
    return leaks


def equal_vectors(
    digests: Mapping[int, bytes], ids: Sequence[str], splits: Sequence[Split]
) -> list[Leak]:
    """Test examples with the vector of a training example; digests maps row -> the vector's digest.

    An empty digest, of a vector that is zero, is equal to no other.
    """
    leaks = []
    for number, split in enumerate(splits):
        train: dict[bytes, int] = {}
        for row in np.concatenate([split.train, split.validation]).tolist():
            train.setdefault(digests[row], row)
        train.pop(b"", None)
        leaks += [
            Leak(number, ids[row], ids[train[digests[row]]])
            for row in split.test.tolist()
            if digests[row] in train
        ]
    return leaks


def leak_notes(leaks: Sequence[Leak], what: str = "pictures") -> list[str]:
    """One sentence for each split that has leaks, for the notes of a record; what names them."""
    notes = []
    for number in sorted({leak.split for leak in leaks}):
        of_split = [leak for leak in leaks if leak.split == number]
        named = ", ".join(f"{leak.test} is {leak.train}" for leak in of_split[:NUM_NAMED])
        more = f", and {len(of_split) - NUM_NAMED} more" if len(of_split) > NUM_NAMED else ""
        notes.append(
            f"split {number}: {len(of_split)} test {what} are training {what} too, byte for byte:"
            f" {named}{more}"
        )
    return notes


def _contents(files: Mapping[str, Path]) -> dict[str, object]:
    """id -> a value that is equal for equal files: size if it is unique, digest, path on errors."""
    by_path: dict[Path, object] = {}
    by_size: dict[int, list[Path]] = {}
    for path in dict.fromkeys(files.values()):
        try:
            by_size.setdefault(path.stat().st_size, []).append(path)
        except OSError:
            by_path[path] = path
    for size, paths in by_size.items():
        for path in paths:
            by_path[path] = size if len(paths) == 1 else _sha256_or_path(path)
    return {i: by_path[path] for i, path in files.items()}


def _sha256_or_path(path: Path) -> object:
    try:
        return sha256_of(path)
    except OSError:
        return path
