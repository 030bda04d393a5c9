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
import logging
import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from vggfeat.errors import DatasetError, printable
from vggfeat.images import PICTURE_SUFFIXES, Member
from vggfeat.layouts.own_pictures import CLUTTER
from vggfeat.layouts.picture_parts import Part, PictureParts
from vggfeat.layouts.tar_headers import TarError, entries, first_name
from vggfeat.storage.remote import NotThere, beginning, fetched
from vggfeat.storage.urls import is_url, shown

log = logging.getLogger(__name__)

FIRST_BYTES = 2**16  # of a tar, with the header of its first member
MAX_NAME_BYTES = 4096  # of a member, as of paths


class TarShards(PictureParts):
    """The pictures of tars, a part each, in the tars' order.

    The digest is of the tars' names below the folder that they share and of their sizes, or of
    their URLs without what may be secret in them.
    """

    def __init__(self, tars: Sequence[str], copies: Path):
        """tars are paths or URLs; remote ones are copied into a folder, one at a time.

        Raises DatasetError at local ones that are missing, and DownloadError.
        """
        self.tars, self.num_parts, self.copies = tars, len(tars), copies
        places = [_place(tar) for tar in tars]
        folder = os.path.commonpath([os.path.dirname(place) for place in places])
        names = [os.path.relpath(place, folder) for place in places]
        facts = [
            (shown(tar), None) if is_url(tar) else (name, _size(tar))
            for tar, name in zip(tars, names, strict=True)
        ]
        self._stems: list[str] | None = None  # stand before ids, where keys are no ids
        if len(tars) > 1 and (first := _first_key(tars[0])) and first == _first_key(tars[1]):
            self._stems = [f"{name.removesuffix('.tar')}/" for name in names]
            facts.append(("ids", "tar/key"))
            for tar, stem in zip(tars, self._stems, strict=True):
                if not _is_text(stem):
                    raise DatasetError(
                        f"{tar}: its name stands in ids, and is no text in UTF-8. Rename it."
                    )
            log.warning(
                "the first two tars both begin with the key %s: ids are names of tars and keys,"
                " such as %s%s", first, self._stems[0], first,
            )  # fmt: skip
        self.digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        self.name = f"tars-{self.digest[:12]}"

    @contextmanager
    def opened(self, part: int) -> Iterator[Part]:
        """A `with` block in which the pictures of a tar can be read.

        A remote one that is not there is broken. Raises DatasetError and DownloadError.
        """
        tar, stem = self.tars[part], self._stems[part] if self._stems else ""
        if not is_url(tar):
            yield part_of(Path(tar), tar, stem)
            return
        with ExitStack() as copies:
            try:
                copy = copies.enter_context(fetched(tar, self.copies))
            except NotThere:
                found = Part({}, {shown(tar): "no such file"})
            else:
                found = part_of(copy, shown(tar), stem)
            yield found


class Members(Mapping[str, Member]):
    """The pictures of a tar by id, in the tar's order, each in some 200 bytes of memory."""

    def __init__(self, path: Path, archive: str, stem: str = ""):
        self.path, self.archive, self.stem = path, archive, stem
        self._rows: dict[str, int] = {}
        self._offsets, self._sizes = array("q"), array("q")
        self._suffixes: list[str] = []

    def add(self, key: str, suffix: str, offset: int, size: int) -> None:
        """Add a picture, whose id is the stem and the key; raises ValueError if there is one."""
        if self._rows.setdefault(self.stem + key, len(self._sizes)) != len(self._sizes):
            raise ValueError(f"is a second picture of the key {key}")
        self._offsets.append(offset)
        self._sizes.append(size)
        self._suffixes.append(sys.intern(suffix))

    def __getitem__(self, picture_id: str) -> Member:
        row = self._rows[picture_id]
        name = picture_id.removeprefix(self.stem) + self._suffixes[row]
        return Member(self.path, self._offsets[row], self._sizes[row], name, self.archive)

    def __contains__(self, picture_id: object) -> bool:
        return picture_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def part_of(path: Path, archive: str, stem: str = "") -> Part:
    """The pictures of a tar, and what in it is none.

    archive is how messages call the tar, the stem stands before every key. Raises DatasetError
    where the file cannot be read.
    """
    members = Members(path, archive, stem)
    broken: dict[str, str] = {}
    try:
        for entry in entries(path):
            try:
                named = split_name(entry.name)
                if named is None:
                    continue
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


def _is_text(name: str) -> bool:
    """Whether a name of a file can be written in UTF-8."""
    try:
        return name.encode() is not None
    except UnicodeEncodeError:
        return False


def _place(tar: str) -> str:
    """Where a tar is, as an absolute path: URLs begin with the host there."""
    if is_url(tar):
        parts = urlsplit(shown(tar))
        return os.path.normpath(f"/{parts.netloc}/{parts.path}")
    return os.path.abspath(tar)


def _first_key(tar: str) -> str:
    """What the first member of a tar is called without its extensions; empty if nobody can see."""
    try:
        if is_url(tar):
            name = first_name(beginning(tar, FIRST_BYTES))
        else:
            with open(tar, "rb") as file:
                name = first_name(file.read(FIRST_BYTES))
    except (OSError, NotThere):
        return ""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _size(tar: str) -> int:
    try:
        return os.path.getsize(tar)
    except OSError as error:
        raise DatasetError(f"{tar}: cannot be read ({error.strerror or error}).") from error
