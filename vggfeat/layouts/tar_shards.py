"""Pictures in tar shards, as WebDataset lays them out: `TarShards`.

    train-000017.tar    a part of its own
      a/0001.jpg        a picture; its id is a/0001, the key that the files of a sample share
      a/0001.cls        labels, texts, metadata: left alone

An id is a member's name without the picture's extension: what WebDataset calls the key, and with it
whatever stands between the key and the extension, so that 1.left.jpg and 1.right.jpg differ. Keys
that begin anew in every tar get the tar's name before them. Pictures are read where they lie.
"""

import hashlib
import json
import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vggfeat.errors import DatasetError, printable
from vggfeat.images import PICTURE_SUFFIXES, Member
from vggfeat.layouts.own_pictures import CLUTTER
from vggfeat.layouts.picture_parts import Part, PictureParts
from vggfeat.layouts.tar_headers import TarError, entries

MAX_NAME_BYTES = 4096  # of a member, as of paths


class TarShards(PictureParts):
    """The pictures of tars, a part each, in the tars' order.

    The digest is of the tars' names below the folder that they share, and of their sizes.
    """

    def __init__(self, tars: Sequence[str]):
        """Raises DatasetError at missing ones."""
        self.tars, self.num_parts = tars, len(tars)
        folder = os.path.commonpath([os.path.dirname(os.path.abspath(tar)) for tar in tars])
        facts = [(os.path.relpath(tar, folder), _size(Path(tar))) for tar in tars]
        self.digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        self.name = f"tars-{self.digest[:12]}"

    @contextmanager
    def opened(self, part: int) -> Iterator[Part]:
        """A `with` block in which the pictures of a tar can be read. Raises DatasetError."""
        yield part_of(Path(self.tars[part]), self.tars[part])


class Members(Mapping[str, Member]):
    """The pictures of a tar by id, in the tar's order, each in some 200 bytes of memory."""

    def __init__(self, path: Path, archive: str):
        self.path, self.archive = path, archive
        self._rows: dict[str, int] = {}
        self._offsets, self._sizes = array("q"), array("q")
        self._suffixes: list[str] = []

    def add(self, picture_id: str, suffix: str, offset: int, size: int) -> None:
        """Add a picture whose id is new."""
        self._rows[picture_id] = len(self._rows)
        self._offsets.append(offset)
        self._sizes.append(size)
        self._suffixes.append(sys.intern(suffix))

    def __getitem__(self, picture_id: str) -> Member:
        row = self._rows[picture_id]
        name = picture_id + self._suffixes[row]
        return Member(self.path, self._offsets[row], self._sizes[row], name, self.archive)

    def __contains__(self, picture_id: object) -> bool:
        return picture_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def part_of(path: Path, archive: str) -> Part:
    """The pictures of a tar, and what in it is none; archive is how messages call it.

    Raises DatasetError where the file cannot be read.
    """
    members = Members(path, archive)
    broken: dict[str, str] = {}
    try:
        for entry in entries(path):
            try:
                named = split_name(entry.name)
                if named is None:
                    continue
                if named[0] in members:
                    raise ValueError(f"is a second picture of the key {named[0]}")
                if entry.problem:
                    raise ValueError(entry.problem)
                members.add(*named, entry.offset, entry.size)
            except ValueError as error:
                broken[f"{archive}, member {_shown(entry.name)}"] = str(error)
    except TarError as error:
        broken[archive] = str(error)
    except OSError as error:
        raise DatasetError(f"{archive}: cannot be read ({error.strerror or error}).") from error
    return Part(members, broken)


def split_name(name: str) -> tuple[str, str] | None:
    """The id and the extension of a member; None if its name is no picture's, or a hidden one.

    Raises ValueError, which says why, if it is a picture's name and can be no id.
    """
    if not name.lower().endswith(PICTURE_SUFFIXES):
        return None
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise ValueError("leads out of the tar by '..'")
    if any(step[0] == "." or step.lower() in CLUTTER for step in steps):
        return None
    try:
        num_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError("has a name that is no text in UTF-8") from None
    if "\0" in name:
        raise ValueError("has a name with a NUL character")
    if num_bytes > MAX_NAME_BYTES:
        raise ValueError(f"has a name of {num_bytes:,} bytes, and {MAX_NAME_BYTES:,} are allowed")
    key, dot, extension = "/".join(steps).rpartition(".")
    return key, dot + extension


def _shown(name: str) -> str:
    """A member's name in a message, whatever it holds."""
    return printable(name if len(name) < 200 else f"{name[:100]}...{name[-50:]}", one_line=True)


def _size(tar: Path) -> int:
    try:
        return tar.stat().st_size
    except OSError as error:
        raise DatasetError(f"{tar}: cannot be read ({error.strerror or error}).") from error
