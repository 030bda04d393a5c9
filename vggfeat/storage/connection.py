"""One HTTP connection that fills a partial file from where it ends, and verifies the whole.

Whatever a server says or does not say, only the digest makes a file good.
"""

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

from vggfeat.errors import NO_ROOM, DownloadError
from vggfeat.storage.sources import Source

log = logging.getLogger(__name__)

TIMEOUT_S = 30  # without a byte from the server
CHUNK = 2**20
WEB_PAGE = re.compile(rb"\s*(<!doctype|<html)", re.IGNORECASE)
# What sending a request and reading its response raises.
BROKEN = (OSError, http.client.HTTPException, ValueError)


class TransferError(Exception):
    """An address does not serve the file; the text says why. The next address may."""


class WrongContent(TransferError):
    """All bytes came, but of another file; `start` is the byte where the response started."""

    def __init__(self, text: str, start: int):
        super().__init__(text)
        self.start = start


class ConnectionCut(Exception):
    """The connection ended or broke before the end of the body, at byte `done`."""

    def __init__(self, how: str, extent: "_Extent", done: int):
        total = "" if extent.total is None else f" of {extent.total:,}"
        super().__init__(f"{how} after {done:,}{total} bytes")
        self.extent, self.done = extent, done


class RangeRefused(Exception):
    """The server does not send the bytes that follow those in the partial file."""


@dataclass(frozen=True)
class _Extent:
    """The bytes [start, end) of a response, and the file's length; None where it is not known."""

    start: int
    end: int | None
    total: int | None


def transfer(source: Source, partial: Path) -> Iterator[tuple[int, int]]:
    """Fill a partial file over one connection, from where it ends, and verify it.

    Yields (bytes done, bytes in all or 0 if unknown). Raises TransferError, WrongContent,
    ConnectionCut or RangeRefused, or DownloadError for errors of the disk.
    """
    offset = length_of(partial)
    log.info("fetching %s%s", source.url, f" from byte {offset:,} on" if offset else "")
    with _request(source.url, offset) as response:
        extent = _extent(response, offset, source.size)
        _check_room(partial, (extent.total or 0) - offset)
        for done in _receive(response, partial, extent):
            yield done, extent.total or 0
        if extent.total is not None and done > extent.total:
            raise WrongContent(
                f"it sends more than the {extent.total:,} bytes of the file", extent.start
            )
        problem = _content_error(partial, source)
        if problem and extent.end is not None and _sends_more(response):
            promised = extent.end - extent.start
            problem = f"it sends more than the {promised:,} bytes that it promises"
        if problem:
            raise WrongContent(problem, extent.start)


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTP addresses only, and keeps the last one in `url`."""

    def __init__(self, url: str):
        self.url = url

    def redirect_request(self, request, file, code, message, headers, url):
        if urlsplit(url).scheme not in ("http", "https"):
            message = f"{message} - Redirection to url {url!r} is not allowed"
            raise urllib.error.HTTPError(url, code, message, headers, file)
        self.url = url
        return super().redirect_request(request, file, code, message, headers, url)


def _request(url: str, offset: int) -> http.client.HTTPResponse:
    """The response to a request for all but the first `offset` bytes. Raises TransferError."""
    redirects = _WebRedirects(url)
    request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        return urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and offset:
            return error  # it is a response as well
        error.close()
        raise TransferError(" ".join(str(error).split())) from error
    except BROKEN as error:
        host = urlsplit(redirects.url).netloc.rpartition("@")[2]
        raise TransferError(f"{host} does not answer ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """An error of the network in words for a user; Python's messages are about its objects."""
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
        case ConnectionError():  # RemoteDisconnected is one
            return "the connection was closed"
        case http.client.HTTPException():
            return "what came is not what a web server says"
        case OSError(strerror=str(words)):
            return words[:1].lower() + words[1:]
    return " ".join(str(reason).split())


def _extent(response: http.client.HTTPResponse, offset: int, size: int | None) -> _Extent:
    """The extent that a response's head promises; size is the file's length, if known.

    Raises TransferError or RangeRefused; the partial file stays as it is.
    """
    span = response.headers.get("Content-Range", "")
    if response.status == 416:
        # The partial file may be whole already, if the run that filled it was killed just then.
        if span != f"bytes */{offset}":
            raise RangeRefused
        start = end = total = offset
    elif response.status == 206:
        match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", span)
        if not match or int(match[1]) != offset or int(match[2]) < offset:
            if offset:
                raise RangeRefused
            raise TransferError("it sends a part of the file without being asked to")
        start, end = offset, int(match[2]) + 1
        total = size or end if match[3] == "*" else int(match[3])
    elif response.status == 200:
        # No file here is a web page. One that asks for a login must not replace a partial file.
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


def _receive(response: http.client.HTTPResponse, partial: Path, extent: _Extent) -> Iterator[int]:
    """Append the body to the partial file; yields the bytes that the file has then.

    A body is not read past its end, or more than CHUNK past the file's length. Raises
    ConnectionCut, or DownloadError for errors of the disk; what came is kept in either case.
    """
    # http.client reads as far as the promised length only, and would not show that there is more.
    response.length = None
    start, end, total = extent.start, extent.end, extent.total
    done = start
    yield done
    with disk_errors(partial.parent), partial.open("ab" if start else "wb") as file:
        while done != end and (total is None or done <= total):
            limit = CHUNK if end is None else min(CHUNK, end - done)
            # read1 returns what is there; read would lose it if the connection broke meanwhile.
            try:
                chunk = response.read1(limit)
            except http.client.IncompleteRead as error:
                raise ConnectionCut("the connection ended", extent, done) from error
            except BROKEN as error:
                raise ConnectionCut(_reason(error), extent, done) from error
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


def _content_error(partial: Path, source: Source) -> str | None:
    """What is wrong with the content of a partial file that should be whole; None if nothing."""
    with disk_errors(partial.parent):
        digest = source.digest_of(partial)
    if digest.startswith(source.digest):
        return None
    return f"wrong content: {source.algorithm} {digest}, not {source.digest}"


def _check_room(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise DownloadError(
            f"{partial.parent}: the download needs {needed:,} bytes, and {free:,} are free."
            " Make room, or choose another folder."
        )


def length_of(partial: Path) -> int:
    """Bytes of a partial file; 0 if there is none."""
    return partial.stat().st_size if partial.is_file() else 0


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk into DownloadError: another address would not help."""
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
