"""Vectors are stored by a thread of their own, so that no device waits for a disk."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np

MAX_WAITING = 2  # batches, before whoever brings another one waits


class StoringThread:
    """A `with` block whose thread calls store(ids, vectors) with one batch after the other.

    All that was put in is stored when the block ends, also by an error or an interrupt. The first
    error of `store` is raised by one of the next calls of `put`, or when the block ends.
    """

    def __init__(self, store: Callable[[list[str], np.ndarray], None]):
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._waiting: deque[Future] = deque()

    def put(self, ids: list[str], vectors: np.ndarray) -> None:
        """Have a batch stored, at once or once fewer than MAX_WAITING others wait for it."""
        while self._waiting and (len(self._waiting) >= MAX_WAITING or self._waiting[0].done()):
            self._waiting[0].result()
            self._waiting.popleft()  # not before: an interrupt may come at any time
        self._waiting.append(self._thread.submit(self._store, ids, vectors))

    def __enter__(self) -> "StoringThread":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        interrupt = None
        while self._thread:
            try:
                wait(self._waiting)
                self._thread.shutdown()
                self._thread = None
            except KeyboardInterrupt as again:  # files must not be closed while they are written
                interrupt = again
        if interrupt:
            raise interrupt
        if error is None:
            for batch in self._waiting:
                batch.result()
