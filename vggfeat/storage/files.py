"""Files and folders that appear under their name whole, or not at all, and their digests."""

import errno
import glob
import hashlib
import io
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vggfeat.errors import NO_ROOM
from vggfeat.storage.disk_file import DiskFile


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """Write `target` in a `with` block; a crash or an error inside leaves the old file alone.

    Raises OSError where the disk is at fault, whatever the block's writer makes of it.
    """
    with (
        new_path(target) as temporary,
        DiskFile(temporary, "x", target) as disk,
        io.BufferedWriter(disk) as file,
    ):
        yield file


@contextmanager
def new_path(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its name when the block ends without an error.

    For writers that open files themselves, as HDF5 does. Raises OSError, and FileExistsError where
    the name is a device's or a pipe's: renaming would put a file in its place, for everybody.
    """
    if target.absolute().parent == Path("/dev") or (target.exists() and not target.is_file()):
        raise FileExistsError(errno.EEXIST, "not a usual file", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with full_disk_names(target):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
            _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when the block ends without an error.

    A `target` that another process has made meanwhile stays. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    temporary.mkdir()
    try:
        with full_disk_names(target):
            yield temporary
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_parts(target: Path, age_s: float = 0.0) -> None:
    """Remove what processes that were killed had begun of a file or folder, so long ago.

    Whoever calls it holds the lock of `target`, or knows that nobody is at it for as long.
    """
    for part in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        if age_s and time.time() < _last_written(part) + age_s:
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _last_written(path: Path) -> float:
    """When a file, or one in a folder, was written last; now where it goes at this moment."""
    try:
        inside = path.iterdir() if path.is_dir() else ()
        return max(each.stat().st_mtime for each in (path, *inside))
    except FileNotFoundError:  # as it has got its name
        return time.time()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder: Path) -> None:
    """Create a folder, and raise OSError unless files can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    with full_disk_names(folder), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def full_disk_names(target: Path) -> Iterator[None]:
    """A `with` block whose full disk names `target`: Python's own error names none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:
            error.filename = str(target)
        raise


def _flush(folder: Path) -> None:
    """Make a renaming in this folder survive a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
