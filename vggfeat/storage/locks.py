"""A lock on a file or folder that only one process at a time should make."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

log = logging.getLogger(__name__)


@contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Hold the lock of `target` in a `with` block; a second process waits until the first is done.

    The first process may have made `target` meanwhile: check inside the block whether it exists.
    The operating system releases the lock of a process that is killed. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.lock")
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        log.info("another process is making %s: waiting for it", target)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # leave no trace in a folder of the user's
        lock.release()
