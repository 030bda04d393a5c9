"""How glibc allocates memory during forward passes: freed blocks stay with the process."""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vggfeat.memory import resident

# Of mallopt, as <malloc.h> has them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
MMAP_MAX = 65536  # glibc's default
# Where glibc's rule ends, which moves both with what is freed until somebody sets them.
MMAP_THRESHOLD, TRIM_THRESHOLD = 32 * 2**20, 64 * 2**20
USER_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES")  # in the environment: then nothing is changed
# By how much a process may grow before it hands back what is freed. Pictures of 400 shapes in turn
# need this every 70 batches, and without it grow to 12 GB in 5,000 pictures.
MOST_GROWTH = 2**30

_keeping = 0  # blocks that are open, in whichever threads
_keeping_lock = threading.Lock()


class KeptMemory:
    """The memory of a process that keeps what is freed for what follows."""

    def __init__(self) -> None:
        self._at_first: int | None = (
            None  # bytes after the first batch, and after each handing back
        )

    def batch_done(self) -> None:
        """Hand freed memory back if the process has grown much since this was first called.

        Activations of one shape do not fit into the gaps that those of another have left, so that
        batches of ever new shapes take ever more, of which next to nothing is in use.
        """
        if self._at_first is None:
            self._at_first = resident()
        elif resident() > self._at_first + MOST_GROWTH:
            return_freed_memory()
            self._at_first = None


class _LeftAlone(KeptMemory):
    """Memory that glibc does not manage, or as the user wants it."""

    def batch_done(self) -> None:
        pass


@contextmanager
def kept_memory() -> Iterator[KeptMemory]:
    """A `with` block in which memory that is freed stays with the process for what follows.

    glibc hands large blocks back at once. Each layer would then write its activations to memory
    that is new, and the kernel clears that page by page: of the widest layers this takes longer
    than the convolution itself. Where there is no glibc, or the user has set how it allocates,
    nothing changes. Blocks may be nested; afterwards glibc behaves as it does in a process that has
    freed large blocks before.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "malloc_trim") or any(
        name.startswith(USER_SETTINGS) for name in os.environ
    ):
        yield _LeftAlone()
        return
    _keep(libc, 1)
    try:
        yield KeptMemory()
    finally:
        _keep(libc, -1)


def return_freed_memory() -> None:
    """Hand what is freed, but kept for what follows, back to the system, where glibc allocates."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _keep(libc: ctypes.CDLL, change: int) -> None:
    global _keeping
    with _keeping_lock:
        before, _keeping = _keeping, _keeping + change
        if not before:
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)  # never
        elif not _keeping:
            libc.mallopt(M_MMAP_MAX, MMAP_MAX)
            libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
            libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
            libc.malloc_trim(0)
