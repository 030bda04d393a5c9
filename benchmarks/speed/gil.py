"""How long some work holds Python's interpreter lock (GIL), by what a counting thread loses.

Threads of one process run Python one at a time. However many cores there are, they do such work no
more often than once in the seconds for which it holds the lock.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vggfeat.benchmarks.speed.measuring import one_core

ALONE_S = 0.1  # how long the counting thread runs by itself before the work
SWITCH_S = 1e-4  # for which it keeps the lock while the work wants it; Python's default is 5e-3


class _Counting(threading.Thread):
    """A thread that counts as fast as Python lets it, on other cores than the work's."""

    def __init__(self, cores: set[int]):
        super().__init__(daemon=True)
        self.cores, self.count, self.stopped = cores, 0, False

    def run(self) -> None:
        os.sched_setaffinity(0, self.cores)  # of this thread
        while not self.stopped:
            self.count += 1

    def rate_during(self, work: Callable[[], Any]) -> tuple[float, float]:
        """Counts per second while some work is done, and its seconds."""
        before, began = self.count, time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        return (self.count - before) / seconds, seconds


def seconds_with_gil(work: Callable[[], Any]) -> float | None:
    """Seconds for which `work`, run on one core, holds the lock; None where it cannot be measured.

    That needs a second core, and a system that binds threads to cores, as Linux does. Where the
    work gives the lock away for some 50 microseconds, too short for another thread to wake, this
    counts as held.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(cores) < 2:
        return None
    with one_core(), _short_switches():
        counting = _Counting(cores - os.sched_getaffinity(0))
        counting.start()
        try:
            alone, _ = counting.rate_during(lambda: time.sleep(ALONE_S))
            beside, seconds = counting.rate_during(work)
        finally:
            counting.stopped = True
            counting.join()
    return max(0.0, 1 - beside / alone) * seconds


@contextmanager
def _short_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
