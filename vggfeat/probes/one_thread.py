"""A `with` block whose matrix products by NumPy and SciPy take one thread.

Threads that share a small product mostly wait for each other, and OpenBLAS's spin while they do: on
a machine with other work a factorisation of 0.1 ms can take 20.
"""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """A `with` block in which BLAS, of the whole process, computes with one thread."""
    return _blas().limit(limits=1)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; finding them takes 10 ms."""
    import scipy.linalg  # noqa: F401  # it has a BLAS of its own, which must be loaded by now

    return ThreadpoolController().select(user_api="blas")
