"""Prefetching: threads compute results a little before they are needed, in the tasks' order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from vggfeat.processes.launched import processes_here

Task = TypeVar("Task")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    num_threads: int | None = None,
    depth: int | None = None,
) -> Iterator[Result]:
    """Yield function(task) of each task in their order, computed by threads before it is needed.

    num_threads is the number of available cores by default. At most `depth` tasks, one more than
    threads by default, are taken from `tasks` whose results have not been asked for. The first
    error of the function is raised when its turn comes and ends the iteration; a function whose
    errors are to concern their task alone returns them. After an error, or when the iterator is
    closed, tasks that no thread has begun are cancelled and those that have begun are waited for.
    """
    num_threads = num_threads or available_cores()
    depth = depth or num_threads + 1
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            upcoming = iter(tasks)
            pending = deque(pool.submit(function, task) for task in islice(upcoming, depth))
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, task) for task in islice(upcoming, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def available_cores() -> int:
    """The number of cores for this process: its share where torchrun started several of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // processes_here())
