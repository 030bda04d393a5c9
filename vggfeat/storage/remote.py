"""Files elsewhere, by URL: a copy of one in a `with` block, `fetched`; fsspec does the talking.

Messages never hold what may be secret in a URL: the user, the password, the query.
"""

import logging
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from vggfeat.errors import DownloadError, reason_of
from vggfeat.plurals import counted
from vggfeat.storage.connection import TIMEOUT_S, disk_errors
from vggfeat.storage.locks import exclusive, if_free
from vggfeat.storage.urls import shown

log = logging.getLogger(__name__)

CHUNK = 2**23  # bytes of a request
NUM_TRIES = 5  # connections one after the other that bring nothing
NUM_FIRST_TRIES = 3  # of the first look, as an address may be mistyped
PAUSE_S = 2.0  # before the second; twice that before the third
INSTALL = "pip install 'vggfeat[remote]'"
MAX_NAME = 50  # letters of a copy's name, which may have 255 bytes in all
LEFT = ".*.part"  # copies, by their names; a process that was killed leaves its


class NotThere(DownloadError):
    """An address at which there is no file."""


class _Passing(Exception):
    """What may go well at another try; the text says what went wrong."""


class _NoRanges(_Passing):
    """The server sends whole files only."""


def listed(pattern: str) -> list[str]:
    """The URLs that a pattern with * stands for, sorted. Raises DownloadError."""
    with _judging(pattern):
        system, path = _file_system(pattern)
        return sorted(map(system.unstrip_protocol, system.glob(path)))


def beginning(url: str, num_bytes: int) -> bytes:
    """The first bytes of a remote file. Raises NotThere and DownloadError."""
    for number in range(NUM_FIRST_TRIES):
        try:
            system, path = _file_system(url)
            with system.open(path, "rb", block_size=num_bytes, cache_type="none") as remote:
                return remote.read(num_bytes)
        except Exception as error:
            kind, reason = _judged(error, url)
            if not issubclass(kind, _Passing):
                raise kind(f"{shown(url)}: {reason}") from None
        if number + 1 < NUM_FIRST_TRIES:
            log.info("%s: %s; trying again", shown(url), reason)
            time.sleep(PAUSE_S * 2**number)
    raise DownloadError(f"{shown(url)}: {reason}, {NUM_FIRST_TRIES} times. Try again.")


@contextmanager
def fetched(url: str, folder: Path) -> Iterator[Path]:
    """A copy of a remote file in `folder`, which is removed when the `with` block ends.

    A transfer that breaks is continued where the server allows it. Copies that killed processes
    left in the folder are removed. Raises NotThere, or DownloadError.
    """
    name = PurePosixPath(urlsplit(url).path).name
    copy = folder / f".{name[-MAX_NAME:]}.{uuid.uuid4().hex[:8]}.part"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_left(folder)
    with exclusive(copy):
        try:
            _copy(url, copy)
            yield copy
        finally:
            copy.unlink(missing_ok=True)


def _remove_left(folder: Path) -> None:
    for copy in folder.glob(LEFT):
        with if_free(copy) as is_free:
            if is_free:
                copy.unlink(missing_ok=True)


def _copy(url: str, copy: Path) -> None:
    started = time.monotonic()
    furthest, failures, in_ranges = -1, 0, True
    with disk_errors(copy.parent):
        file = copy.open("wb")
    with file:
        while True:
            try:
                _receive(url, file, in_ranges=in_ranges)
                break
            except _Passing as error:
                in_ranges = in_ranges and not isinstance(error, _NoRanges)
                failures = failures + 1 if file.tell() <= furthest else 1
                furthest = max(furthest, file.tell())
                if failures == NUM_TRIES:
                    raise DownloadError(
                        f"{shown(url)}: {error}, {NUM_TRIES} times one after the other. Try again;"
                        " what is extracted stays so."
                    ) from None
                log.info("%s: %s; trying again", shown(url), error)
                if not isinstance(error, _NoRanges):
                    time.sleep(PAUSE_S * 2 ** (failures - 1))
        size = counted(file.tell(), "byte")
    log.info("fetched %s, %s in %.1f s", shown(url), size, time.monotonic() - started)


def _receive(url: str, file: BinaryIO, *, in_ranges: bool) -> None:
    """Fill a file from where it ends, or from its beginning where the server allows no other.

    Raises _Passing, NotThere or DownloadError.
    """
    try:
        system, path = _file_system(url)
        size = system.info(path).get("size")
        _check_room(Path(file.name), (size or 0) - file.tell())
        with system.open(path, "rb", block_size=CHUNK * in_ranges, cache_type="none") as remote:
            if in_ranges:
                remote.seek(file.tell())
            else:
                file.seek(0)
                file.truncate()
            while chunk := remote.read(CHUNK):
                with disk_errors(Path(file.name).parent):
                    file.write(chunk)
    except DownloadError:
        raise
    except Exception as error:  # of aiohttp, botocore and others, which need not be installed
        kind, reason = _judged(error, url)
        raise kind(reason if issubclass(kind, _Passing) else f"{shown(url)}: {reason}") from None
    with disk_errors(Path(file.name).parent):
        file.flush()
    if size is not None and file.tell() < size:
        raise _Passing(f"the transfer ended after {file.tell():,} of {size:,} bytes")


def _file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it. Raises whatever it does."""
    import fsspec

    options = {}
    if urlsplit(url).scheme.lower() in ("http", "https"):
        import aiohttp

        # Its own limit is five minutes for a whole transfer.
        limit = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S)
        options["client_kwargs"] = {"timeout": limit}
    return fsspec.core.url_to_fs(url, **options)


@contextmanager
def _judging(url: str) -> Iterator[None]:
    """A `with` block whose errors become DownloadError, without secrets."""
    try:
        yield
    except Exception as error:
        kind, reason = _judged(error, url)
        kind = DownloadError if issubclass(kind, _Passing) else kind
        raise kind(f"{shown(url)}: {reason}") from None


def _judged(error: Exception, url: str) -> tuple[type[Exception], str]:
    """Which error to raise, and why, in words without secrets."""
    if isinstance(error, ImportError):
        return DownloadError, f"needs a package ({reason_of(error)}). {INSTALL}"
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    status = getattr(cause or error, "status", None)  # of HTTP
    if isinstance(error, FileNotFoundError) and (cause is None or status in (404, 410)):
        return NotThere, "no such file"
    if isinstance(error, PermissionError) or status in (401, 403):
        return DownloadError, "access is refused. Check the credentials."
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429):
        return DownloadError, f"HTTP status {status}"
    if status == 0:  # aiohttp's, of an address that leads to itself
        return DownloadError, "leads from one address to another without end"
    if isinstance(status, int):
        return _Passing, f"HTTP status {status}"
    reason = _without_secrets(reason_of(cause or error), url)
    if isinstance(error, TimeoutError):
        return _Passing, f"nothing came for {TIMEOUT_S:.0f} seconds"
    if isinstance(error, ValueError) and "range" in str(error) and "://" not in str(error):
        return _NoRanges, reason
    if isinstance(cause or error, ValueError):  # of an address, or of a protocol that is not known
        return DownloadError, f"is no address that can be fetched ({reason})"
    return _Passing, reason


def _without_secrets(text: str, url: str) -> str:
    parts = urlsplit(url)
    for secret in (parts.netloc.rpartition("@")[0], parts.query, parts.password):
        text = text.replace(secret, "...") if secret else text
    text = re.sub(r"(://)[^\s/@'\"]*@", r"\1", text)
    return re.sub(r"\?[^\s'\")>]*", "?...", text)


def _check_room(copy: Path, needed: int) -> None:
    free = shutil.disk_usage(copy.parent).free
    if needed > free:
        raise DownloadError(
            f"{copy.parent}: a copy of a tar needs {needed:,} bytes, and {free:,} are free. Make"
            " room, or choose another --cache-dir."
        )
