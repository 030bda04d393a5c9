"""One HTTP connection that fills a partial file from where it ends, and verifies the whole.

Whatever a server says or does not say, only the digest makes a file good.
"""

import errno
import http.client
import logging
import os
import re
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vggfeat.errors import DownloadError
from vggfeat.storage.sources import Source

log = logging.getLogger(__name__)

TIMEOUT_S = 30  # without a byte from the server
CHUNK = 2**20
WEB_PAGE = re.compile(rb"\s*(<!doctype|<html)", re.IGNORECASE)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What asking a server and reading its answer raises.
BROKEN = (OSError, http.client.HTTPException, ValueError)


class TransferError(Exception):
    """An address does not give the file; the text says why. The next one may."""


class WrongContent(TransferError):
    """All of the file came, but it is another. `start` is the byte where the answer started."""

    def __init__(self, text: str, start: int):
        super().__init__(text)
        self.start = start


class ConnectionCut(Exception):
    """The connection ended or broke before the body did."""

    def __init__(self, how: str, extent: "_Extent", done: int):
        total = "" if extent.total is None else f" of {extent.total:,}"
        super().__init__(f"{how} after {done:,}{total} bytes")
        self.extent, self.done = extent, done


class RangeRefused(Exception):
    """The server does not send the bytes that follow those in the part."""


@dataclass(frozen=True)
class _Extent:
    """The byte where an answer starts, the one before which it should end, the file's length.

    None where nobody says.
    """

    start: int
    end: int | None
    total: int | None


def transfer(source: Source, part: Path) -> Iterator[tuple[int, int]]:
    """Fill a partial file over one connection, from where it ends, and verify it.

    Yields (bytes done, bytes in all or 0 if unknown). Raises TransferError, WrongContent,
    ConnectionCut or RangeRefused, or DownloadError for errors of the disk.
    """
    have = length_of(part)
    log.info("fetching %s%s", source.url, f" from byte {have:,} on" if have else "")
    with _ask(source.url, have) as response:
        extent = _extent(response, have, source.size)
        _check_room(part, (extent.total or 0) - have)
        for done in _received(response, part, extent):
            yield done, extent.total or 0
        if extent.total is not None and done > extent.total:
            raise WrongContent(
                f"it sends more than the {extent.total:,} bytes of the file", extent.start
            )
        wrong = _wrong(part, source)
        if wrong and extent.end is not None and _sends_more(response):
            promised = extent.end - extent.start
            wrong = f"it sends more than the {promised:,} bytes that it promises"
        if wrong:
            raise WrongContent(wrong, extent.start)


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
    """The answer to being asked for all but the first `have` bytes. Raises TransferError."""
    redirects = _WebRedirects(url)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            return error  # it is an answer as well
        error.close()
        raise TransferError(" ".join(str(error).split())) from error
    except BROKEN as error:
        host = urlsplit(redirects.url).netloc.rpartition("@")[2]
        raise TransferError(f"{host} does not answer ({_in_words(error)})") from error


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
    """What the head of an answer promises; size is the file's length, if known.

    Raises TransferError or RangeRefused; the partial file stays as it is.
    """
    span = response.headers.get("Content-Range", "")
    if response.status == 416:
        # The part may be the whole file already, if the run that made it was killed just then.
        if span != f"bytes */{have}":
            raise RangeRefused
        start = end = total = have
    elif response.status == 206:
        found = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", span)
        if not found or int(found[1]) != have or int(found[2]) < have:
            if have:
                raise RangeRefused
            raise TransferError("it sends a part of the file without being asked to")
        start, end = have, int(found[2]) + 1
        total = size or end if found[3] == "*" else int(found[3])
    elif response.status == 200:
        # No file here is a web page. One that asks for a login must not take a part's place.
        if WEB_PAGE.match(_beginning(response)):
            raise TransferError("wrong content: a web page instead of the file")
        length = response.headers.get("Content-Length", "")
        chunked = "Transfer-Encoding" in response.headers  # then a length means nothing
        start, end = 0, int(length) if length.isdecimal() and not chunked else None
        total = size if end is None else end
    else:
        raise TransferError(f"HTTP status {response.status} instead of the file")
    if size is not None and total != size:
        raise TransferError(f"it promises {total:,} bytes, but the file has {size:,}")
    return _Extent(start, end if end is None else min(end, total), total)


def _beginning(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.peek(512)
    except BROKEN:
        return b""  # reading it will say so


def _received(response: http.client.HTTPResponse, part: Path, extent: _Extent) -> Iterator[int]:
    """Write the body to the part; yields how far it has come.

    A body is not read past its end, or more than CHUNK past the file's length. Raises
    ConnectionCut, or DownloadError for errors of the disk; what came is kept in either case.
    """
    # http.client reads as far as the promised length only, and would not tell that there is more.
    response.length = None
    start, end, total = extent.start, extent.end, extent.total
    done = start
    yield done
    with disk_errors(part.parent), part.open("ab" if start else "wb") as file:
        while done != end and (total is None or done <= total):
            limit = CHUNK if end is None else min(CHUNK, end - done)
            # read1 gives what is there; read would lose it if the connection broke meanwhile.
            try:
                chunk = response.read1(limit)
            except http.client.IncompleteRead as error:
                raise ConnectionCut("the connection ended", extent, done) from error
            except BROKEN as error:
                raise ConnectionCut(_in_words(error), extent, done) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            yield done
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionCut("the connection ended", extent, done)


def _sends_more(response: http.client.HTTPResponse) -> bool:
    try:
        return bool(response.read1(1))
    except BROKEN:
        return False


def _wrong(part: Path, source: Source) -> str | None:
    """What is wrong with the content of a part that should be whole."""
    with disk_errors(part.parent):
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


def length_of(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
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
