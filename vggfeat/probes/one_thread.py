"""A `with` block whose products and factorisations take one thread.

Threads that share a small product mostly wait for each other, and spin while they do: alone they
take twice the time of one thread, and on a machine with other work fifty times.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """A `with` block in which NumPy's and SciPy's BLAS, of the whole process, take one thread."""
    return _blas().limit(limits=1)


@contextmanager
def one_thread() -> Iterator[None]:
    """A `with` block in which torch takes one thread, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_blas_thread():
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; finding them takes 10 ms."""
    import scipy.linalg  # noqa: F401  # it has a BLAS of its own, which must be loaded by now

    return ThreadpoolController().select(user_api="blas")
