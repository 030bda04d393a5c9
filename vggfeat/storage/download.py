"""Downloads that go on where they ended, and are verified before they count.

Bytes go to a hidden part file beside the target, named after the file and its digest, so that a
later run, or another mirror of the same file, goes on with it. The file gets its name only once
length and digest fit. Whatever a server says or does not say, only the digest makes a file good.
"""

import errno
import hashlib
import http.client
import logging
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from vggfeat.errors import DownloadError
from vggfeat.storage.locks import exclusive

log = logging.getLogger(__name__)

TIMEOUT_S = 30  # without a byte from the server
NUM_TRIES = 5  # at one address, as long as each of them brings bytes
PAUSE_S = 2.0  # before a connection that was cut is made again
CHUNK = 2**20
WEB_PAGE = re.compile(rb"\s*(<!doctype|<html)", re.IGNORECASE)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What asking a server and reading its answer raises.
BROKEN = (OSError, http.client.HTTPException, ValueError)

Progress = Callable[[str, int, int], None]  # label, bytes done, bytes in all or 0 if unknown


@dataclass(frozen=True)
class Source:
    """An address that serves a file, how that file's digest starts, and its length if known.

    Raises ValueError if the address is not one of the web, names no file, or the digest is none.
    """

    url: str
    algorithm: Literal["md5", "sha1", "sha256"]
    digest: str
    size: int | None = None  # bytes

    def __post_init__(self):
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"{self.url!r}: an address starts with http:// or https://")
        if self.name in ("", ".", ".."):
            raise ValueError(f"{self.url!r}: an address ends with the name of a file")
        if not re.fullmatch("[0-9a-f]+", self.digest):
            raise ValueError(f"{self.digest!r}: a digest has the digits 0 to 9 and a to f")

    @property
    def name(self) -> str:
        """What the file is called here."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]

    def matches(self, path: Path) -> bool:
        """Whether a file is this one, to the last byte. Raises OSError."""
        if self.size is not None and path.stat().st_size != self.size:
            return False
        return self.digest_of(path).startswith(self.digest)

    def digest_of(self, path: Path) -> str:
        """A file's digest by the source's algorithm. Raises OSError."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest()

    def part(self, folder: Path) -> Path:
        """Where its bytes gather. The same for every mirror of the file."""
        return folder / f".{self.name}.{self.digest[:8]}.part"


class _Failed(Exception):
    """An address does not give the file; the text says why. The next one may."""


class _Wrong(_Failed):
    """All of the file came, but it is another. `start` is the byte where the answer started."""

    def __init__(self, text: str, start: int):
        super().__init__(text)
        self.start = start


class _Cut(Exception):
    """The connection ended or broke before the body did."""

    def __init__(self, how: str, extent: "_Extent", done: int):
        total = "" if extent.total is None else f" of {extent.total:,}"
        super().__init__(f"{how} after {done:,}{total} bytes")
        self.extent, self.done = extent, done


class _OtherRange(Exception):
    """The server does not send the bytes that follow those in the part."""


@dataclass(frozen=True)
class _Extent:
    """The byte where an answer starts, the one before which it should end, the file's length.

    None where nobody says.
    """

    start: int
    end: int | None
    total: int | None


def download(
    sources: Sequence[Source],
    folder: Path,
    *,
    offline: bool = False,
    progress: Progress = lambda label, done, total: None,
) -> Path:
    """The path in `folder` of the first source's file that is there or can be fetched whole.

    A file that is there is taken as it is: it was verified before it got its name, or was put
    there by hand. What an earlier run has left in a part file is not fetched again. Of two
    processes the second waits for the first and takes its file. Raises DownloadError.
    """
    if found := _present(sources, folder):
        return found
    # Mirrors often have the same file.
    wanted = dict.fromkeys(f"{s.name} ({s.algorithm} {s.digest})" for s in sources)
    by_hand = " or ".join(wanted)
    if offline:
        raise DownloadError(
            f"{folder} lacks the file, and nothing may be fetched (--offline or --dry-run)."
            f" Put there by hand: {by_hand}."
        )
    reasons = []
    with ExitStack() as locks:
        with _disk_errors(folder):
            for name in sorted({source.name for source in sources}):
                locks.enter_context(exclusive(folder / name))
        if found := _present(sources, folder):  # by the process that we have waited for
            return found
        for source in sources:
            part = source.part(folder)
            try:
                for done, total in _fetch(source, part):
                    progress(f"fetching {source.name}", done, total)
            except _Failed as failed:
                reasons.append(f"{source.url}: {failed}")
                continue
            with _disk_errors(folder):
                os.replace(part, folder / source.name)
                for other in sources:
                    other.part(folder).unlink(missing_ok=True)
            return folder / source.name
        kept = max((_length(source.part(folder)) for source in sources), default=0)
        again = f"Try again ({kept:,} bytes came and are kept)" if kept else "Try again"
        raise DownloadError(
            f"Nothing could be fetched ({'; '.join(reasons)})."
            f" {again}, or put into {folder} by hand: {by_hand}."
        )


def _present(sources: Sequence[Source], folder: Path) -> Path | None:
    paths = (folder / source.name for source in sources)
    return next((path for path in paths if path.is_file()), None)


def _fetch(source: Source, part: Path) -> Iterator[tuple[int, int]]:
    """Fill the part from one address until it is on disk whole and verified.

    Yields (bytes done, bytes in all or 0). Raises _Failed, or DownloadError if the disk is at fault
    and no other address would do better.
    """
    inherited = _length(part) > 0  # from an earlier run or another mirror
    ended_at = None
    for number in range(1, NUM_TRIES + 1):
        try:
            yield from _attempt(source, part)
            return
        except _OtherRange:
            _remove(part)
        except _Wrong as wrong:
            _remove(part)
            # The bytes that were there before may be the wrong ones.
            if not (inherited and wrong.start) or number == NUM_TRIES:
                raise
            inherited = False
            log.info("%s: %s; starting again without what was there", source.url, wrong)
        except _Cut as cut:
            if cut.done == ended_at:  # it will do no better a third time
                raise _Failed(f"{cut} each time: more is promised than sent") from cut
            if cut.done == cut.extent.start or number == NUM_TRIES:
                raise _Failed(str(cut)) from cut
            ended_at = cut.done
            log.info("%s: %s; trying again", source.url, cut)
            time.sleep(PAUSE_S)
    raise _Failed("it does not go on from where it is asked to")


def _attempt(source: Source, part: Path) -> Iterator[tuple[int, int]]:
    """One connection's worth of `_fetch`. Raises _Failed, _Wrong, _Cut or _OtherRange as well."""
    have = _length(part)
    log.info("fetching %s%s", source.url, f" from byte {have:,} on" if have else "")
    with _ask(source.url, have) as response:
        extent = _extent(response, have, source.size)
        _check_room(part, (extent.total or 0) - have)
        for done in _received(response, part, extent):
            yield done, extent.total or 0
        if extent.total is not None and done > extent.total:
            raise _Wrong(f"it sends more than the {extent.total:,} bytes of the file", extent.start)
        wrong = _wrong(part, source)
        if wrong and extent.end is not None and _sends_more(response):
            promised = extent.end - extent.start
            wrong = f"it sends more than the {promised:,} bytes that it promises"
        if wrong:
            raise _Wrong(wrong, extent.start)


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the web only, and knows whom it asked last. (file: is refused above.)"""

    def __init__(self, url: str):
        self.url = url

    def redirect_request(self, request, file, code, message, headers, url):
        if urlsplit(url).scheme not in ("http", "https"):
            message = f"{message} - Redirection to url {url!r} is not allowed"
            raise urllib.error.HTTPError(url, code, message, headers, file)
        self.url = url
        return super().redirect_request(request, file, code, message, headers, url)


def _ask(url: str, have: int) -> http.client.HTTPResponse:
    """The answer to being asked for all but the first `have` bytes. Raises _Failed."""
    redirects = _WebRedirects(url)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            return error  # it is an answer as well
        error.close()
        raise _Failed(" ".join(str(error).split())) from error
    except BROKEN as error:
        host = urlsplit(redirects.url).netloc.rpartition("@")[2]
        raise _Failed(f"{host} does not answer ({_in_words(error)})") from error


def _in_words(error: Exception) -> str:
    """What a user can make of an error of the network; Python's own words are about its parts."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    match reason:
        case TimeoutError():
            return f"nothing came for {TIMEOUT_S} s"
        case socket.gaierror():
            return "unknown host, or no network"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {reason.verify_message}"
        case ssl.SSLError():
            return "no secure connection could be made"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():  # RemoteDisconnected among them
            return "the connection was closed"
        case http.client.HTTPException():
            return "what came is not what a web server says"
        case OSError(strerror=str(words)):
            return words[:1].lower() + words[1:]
    return " ".join(str(reason).split())


def _extent(response: http.client.HTTPResponse, have: int, size: int | None) -> _Extent:
    """What the head of an answer promises. Raises _Failed or _OtherRange; the part stays as it is.

    size is the file's length, if known.
    """
    span = response.headers.get("Content-Range", "")
    if response.status == 416:
        # The part may be the whole file already, if the run that made it was killed just then.
        if span != f"bytes */{have}":
            raise _OtherRange
        start = end = total = have
    elif response.status == 206:
        found = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", span)
        if not found or int(found[1]) != have or int(found[2]) < have:
            if have:
                raise _OtherRange
            raise _Failed("it sends a part of the file without being asked to")
        start, end = have, int(found[2]) + 1
        total = size or end if found[3] == "*" else int(found[3])
    elif response.status == 200:
        # No file here is a web page. One that asks for a login must not take a part's place.
        if WEB_PAGE.match(_beginning(response)):
            raise _Failed("wrong content: a web page instead of the file")
        length = response.headers.get("Content-Length", "")
        chunked = "Transfer-Encoding" in response.headers  # then a length means nothing
        start, end = 0, int(length) if length.isdecimal() and not chunked else None
        total = size if end is None else end
    else:
        raise _Failed(f"HTTP status {response.status} instead of the file")
    if size is not None and total != size:
        raise _Failed(f"it promises {total:,} bytes, but the file has {size:,}")
    return _Extent(start, end if end is None else min(end, total), total)


def _beginning(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.peek(512)
    except BROKEN:
        return b""  # reading it will say so


def _received(response: http.client.HTTPResponse, part: Path, extent: _Extent) -> Iterator[int]:
    """Write the body to the part; yields how far it has come.

    A body is not read past its end, or more than CHUNK past the file's length. Raises _Cut, or
    DownloadError for errors of the disk; what came is kept in either case.
    """
    # http.client reads as far as the promised length only, and would not tell that there is more.
    response.length = None
    start, end, total = extent.start, extent.end, extent.total
    done = start
    yield done
    with _disk_errors(part.parent), part.open("ab" if start else "wb") as file:
        while done != end and (total is None or done <= total):
            limit = CHUNK if end is None else min(CHUNK, end - done)
            # read1 gives what is there; read would lose it if the connection broke meanwhile.
            try:
                chunk = response.read1(limit)
            except http.client.IncompleteRead as error:
                raise _Cut("the connection ended", extent, done) from error
            except BROKEN as error:
                raise _Cut(_in_words(error), extent, done) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            yield done
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Cut("the connection ended", extent, done)


def _sends_more(response: http.client.HTTPResponse) -> bool:
    try:
        return bool(response.read1(1))
    except BROKEN:
        return False


def _wrong(part: Path, source: Source) -> str | None:
    """What is wrong with the content of a part that should be whole."""
    with _disk_errors(part.parent):
        digest = source.digest_of(part)
    if digest.startswith(source.digest):
        return None
    return f"wrong content: {source.algorithm} {digest}, not {source.digest}"


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise DownloadError(
            f"{part.parent}: the download needs {needed:,} bytes, and {free:,} are free."
            " Make room, or choose another folder."
        )


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _remove(part: Path) -> None:
    with _disk_errors(part.parent):
        part.unlink(missing_ok=True)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Errors of the disk told as DownloadError: another address would not help."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DownloadError(
                f"{folder}: the disk is full. Make room; what came is kept, and the same command"
                " goes on from there."
            ) from error
        raise DownloadError(
            f"{folder}: cannot be written to ({error.strerror or error}). Choose another folder."
        ) from error
