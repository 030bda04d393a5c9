"""A `with` block whose products and factorisations take few threads.

Threads that share a small product mostly wait for each other, and spin while they do: alone they
take twice the time of one thread, and on a machine with other work up to fifty times.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

from vggfeat.busy_cores import busy_cores


def one_blas_thread() -> AbstractContextManager[object]:
    """A `with` block in which NumPy's and SciPy's BLAS, of the whole process, take one thread."""
    return _blas().limit(limits=1)


@contextmanager
def at_most_threads(count: int) -> Iterator[None]:
    """A `with` block in which torch and BLAS take no more threads than these."""
    threads = torch.get_num_threads()
    if count >= threads:
        yield
        return
    torch.set_num_threads(count)
    try:
        with _blas().limit(limits=count):
            yield
    finally:
        torch.set_num_threads(threads)


def free_cores() -> int:
    """Cores that other programs do not keep busy at the moment, at least 1."""
    return max(1, (os.cpu_count() or 1) - busy_cores())


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; finding them takes 10 ms."""
    import scipy.linalg  # noqa: F401  # it has a BLAS of its own, which must be loaded by now

    return ThreadpoolController().select(user_api="blas")
