"""What lies in an uncompressed tar, by its headers alone: `entries`; nothing is unpacked.

Python's tarfile reads them. What it passes over in silence is an error here: a damaged header,
behind which it sees no members, a tar that is cut, or zeroed in the middle.
"""

import io
import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vggfeat.plurals import counted

# Of the headers of one member: long names, attributes. Their readers take time by the square of it.
MAX_HEADER_BYTES = 2**15
MAX_GLOBAL_HEADERS = 1000  # keywords that hold for all members
CHUNK = 2**20
# What tarfile raises at damaged headers.
DAMAGED = (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError, RecursionError)
KINDS = {
    tarfile.LNKTYPE: "a link", tarfile.SYMTYPE: "a link", tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe", tarfile.DIRTYPE: "a folder",
}  # fmt: skip


class TarError(Exception):
    """Members that follow cannot be found; the text says why, in the words after "it "."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a tar; problem is why it cannot be read in place, empty if it can."""

    name: str  # bytes that are no UTF-8 are surrogates
    offset: int
    size: int
    problem: str = ""


def entries(path: Path) -> Iterator[Entry]:
    """The members of a tar but for folders, in their order. Raises TarError, OSError."""
    length = path.stat().st_size
    if not length:
        raise TarError("is empty")
    with path.open("rb") as file:
        end = yield from _entries(file, length)
        _check_end(file, end, length)


def first_name(beginning: bytes) -> str:
    """The name of the first member in the beginning of a tar; empty if none can be seen."""
    try:
        return next((e.name for e in _entries(io.BytesIO(beginning), len(beginning))), "")
    except TarError:
        return ""


def _entries(file: BinaryIO, length: int) -> Generator[Entry, None, int]:
    """The members, and at last the byte where their headers end."""
    headers = _Headers(file)
    start = 0  # of the latest member's content
    try:
        tar = tarfile.open(fileobj=headers, mode="r:", encoding="utf-8")
        while (member := _next(tar, headers)) is not None:
            if member.offset_data <= start or member.size < 0:  # a loop without end
                raise tarfile.ReadError("sizes below zero")
            start = member.offset_data
            if not member.isdir():
                yield Entry(member.name, start, member.size, _problem(member, length))
    except DAMAGED as error:
        if not start:
            raise TarError(_no_tar(file)) from error
        reason = str(error) if isinstance(error, tarfile.TarError) else type(error).__name__
        raise TarError(f"has a damaged header after byte {start:,} ({reason})") from error
    return tar.offset


class _Headers:
    """A tar of which tarfile reads headers only; a header that claims to be huge is refused."""

    def __init__(self, file: BinaryIO):
        self.file, self.left = file, MAX_HEADER_BYTES
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise tarfile.ReadError(f"more than {MAX_HEADER_BYTES:,} bytes of headers")
        return self.file.read(size)


def _next(tar: tarfile.TarFile, headers: _Headers) -> tarfile.TarInfo | None:
    """The next member, of which the TarFile keeps nothing."""
    headers.left = MAX_HEADER_BYTES
    if len(tar.pax_headers) > MAX_GLOBAL_HEADERS:
        raise tarfile.ReadError(f"more than {MAX_GLOBAL_HEADERS:,} global headers")
    member = tar.next()
    tar.members.clear()
    return member


def _problem(member: tarfile.TarInfo, length: int) -> str:
    if not member.isreg():
        return f"is {KINDS.get(member.type, 'of a kind that tars do not have')}, and no file"
    if member.issparse():
        return "is stored as a sparse file, which cannot be read in place"
    if member.offset_data + member.size > length:
        return f"is cut: the tar ends after {counted(length, 'byte')}"
    return ""


def _no_tar(file: BinaryIO) -> str:
    file.seek(0)
    beginning = file.read(512).lstrip().lower()
    if beginning.startswith((b"<!doctype", b"<html")):
        return "is a web page, and no tar"
    if beginning.startswith((b"\x1f\x8b", b"bzh", b"\xfd7zxz", b"\x28\xb5\x2f\xfd")):
        return "is compressed; unpack it to a plain .tar, whose pictures can be read in place"
    return "is no tar"


def _check_end(file: BinaryIO, end: int, length: int) -> None:
    """Raise TarError unless the tar ends at this byte: with a block of zeros, and zeros only."""
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise TarError(
            f"ends after {counted(length, 'byte')} without an end mark, so it may be cut"
        )
    if block.strip(b"\0"):
        raise TarError(f"has a damaged header at byte {end:,}")
    while block := file.read(CHUNK):
        if block.strip(b"\0"):
            raise TarError(f"has its end mark at byte {end:,}, and more after it")
