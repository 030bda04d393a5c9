"""A lock on a file or folder that only one process at a time should make."""

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import filelock

log = logging.getLogger(__name__)

# What locking raises on NFS without a lock daemon, Lustre without -o flock, some FUSE.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_told: set[int] = set()  # whether it was said that there are no locks: once is enough


@contextmanager
def exclusive(target: Path, lock_path: Path | None = None) -> Iterator[None]:
    """Hold the lock of `target` in a `with` block; a second process waits until the first is done.

    The first process may have made `target` meanwhile: check inside the block whether it exists.
    The operating system releases the lock of a process that is killed. lock_path is a lock file
    that stays; without it a hidden one beside `target` leaves no trace. On a file system without
    locks the existence of a file stands for one, which names its process. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = lock_path or target.with_name(f".{target.name}.lock")
    with ExitStack() as held:
        try:
            _enter(held, filelock.FileLock(path, fallback_to_soft=False), target)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            path.unlink(missing_ok=True)  # nobody can lock it
            _enter(held, _existing_file(path, target, error), target)
        else:
            if lock_path is None:  # leave no trace in a folder of the user's
                held.callback(path.unlink, missing_ok=True)
        yield


@contextmanager
def if_free(target: Path, lock_path: Path | None = None) -> Iterator[bool]:
    """Whether nobody holds the lock of `target`, which is then held in the `with` block.

    Nobody is waited for; lock_path is as of `exclusive`. Raises OSError.
    """
    path = lock_path or target.with_name(f".{target.name}.lock")
    held = path.with_name(f"{path.name}.held")
    if held.exists():
        yield False
        return
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        path.unlink(missing_ok=True)
        yield True  # nobody can lock it, and no file stands for a lock
        return
    try:
        yield True
    finally:
        if lock_path is None:
            path.unlink(missing_ok=True)
        lock.release()


def _enter(held: ExitStack, lock: filelock.BaseFileLock, target: Path) -> None:
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        log.info("another process is making %s: waiting for it", target)
        lock.acquire()
    held.callback(lock.release)


def _existing_file(path: Path, target: Path, error: OSError) -> filelock.SoftFileLock:
    # By another name: lock files without content are left behind where there are locks.
    held = path.with_name(f"{path.name}.held")
    log.log(
        logging.DEBUG if _told else logging.WARNING,
        "%s: its file system has no locks (%s); %s stands for one. Should a machine stop"
        " meanwhile, remove that file.",
        target, error.strerror, held,
    )  # fmt: skip
    _told.add(error.errno)
    return filelock.SoftFileLock(held)
