"""A lock for what only one process at a time should make."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

log = logging.getLogger(__name__)


@contextmanager
def making(target: Path) -> Iterator[None]:
    """A `with` block to make `target` in; a second process waits here until the first has ended.

    Look again inside the block whether `target` is there. The lock is the operating system's, so
    that a process that is killed gives it back. Raises OSError.
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
        path.unlink(missing_ok=True)  # so that no trace is left in a folder of the user's
        lock.release()
