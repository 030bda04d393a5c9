"""Find test pictures that are training pictures, too: equal files or vectors of different names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.splits import Split
from vggfeat.dataset_rows import DatasetRow
from vggfeat.images import Whole, digest, picture_bytes
from vggfeat.storage.files import sha256_of

NUM_NAMED = 3  # pictures that a note names
BLOCK = 4096  # bytes that are compared before whole files are


@dataclass(frozen=True)
class Leak:
    """A test picture with the content of a training or validation picture."""

    split: int
    test: str
    train: str


def find_leaks(
    files: Mapping[str, Whole],
    splits: tuple[Split, ...],
    contents: Mapping[str, object] | None = None,
) -> list[Leak]:
    """The leaks of each split; files maps id -> file in the order of the splits' row numbers.

    contents are the files' by `contents_of`, where they are known already. A picture that several
    examples show counts once. Only files of the same size as another are read, and in full only
    those that are alike in the middle, too. A file that cannot be read has no equal.
    """
    ids = list(files)
    contents = contents_of(files) if contents is None else contents
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


def contents_of(files: Mapping[str, Whole]) -> dict[str, object]:
    """id -> a value that is equal for equal files.

    It is as much of size, a block from the middle and digest as no other file has; in place of what
    cannot be read stands the file itself.
    """
    content_of: dict[Whole, object] = {}
    undecided = [list(dict.fromkeys(files.values()))]
    for look in (_size, _middle, _digest):
        groups: list[list[Whole]] = []
        for alike in undecided:
            same: dict[object, list[Whole]] = {}
            for file in alike:
                content_of[file] = content = (content_of.get(file), _or_itself(look, file))
                same.setdefault(content, []).append(file)
            groups += [group for group in same.values() if len(group) > 1]
        undecided = groups
    return {i: content_of[file] for i, file in files.items()}


def copies_of(files: Mapping[str, Whole]) -> dict[str, str]:
    """id -> the first id with an equal file, of every file that is equal to an earlier one."""
    first: dict[object, str] = {}
    contents = contents_of(files)
    return {i: j for i, content in contents.items() if (j := first.setdefault(content, i)) != i}


def _size(file: Whole) -> int:
    if isinstance(file, DatasetRow):  # to know its size takes as long as to read it
        return 0
    return file.stat().st_size if isinstance(file, Path) else picture_bytes(file)


def _middle(file: Whole) -> bytes:
    """A block from the middle of a file; the first bytes of many pictures are the same."""
    if not isinstance(file, Path):  # its size has shown all of it
        return b""
    with file.open("rb") as opened:
        opened.seek(file.stat().st_size // 2)
        return opened.read(BLOCK)


def _digest(file: Whole) -> object:
    return sha256_of(file) if isinstance(file, Path) else digest(file) or str(file)


def _or_itself(look: Callable[[Whole], object], file: Whole) -> object:
    try:
        return look(file)
    except OSError:
        return file
