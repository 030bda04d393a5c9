"""Busy neighbours: processes that multiply matrices while something else is measured."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

NEIGHBOURS = 2
# A neighbour says when it begins, and ends with the process that started it, however that ends.
WORK = """
import os
import numpy as np
parent, a = os.getppid(), np.ones((400, 400))
print(flush=True)
while os.getppid() == parent:
    a @ a
"""


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """A `with` block beside which `count` processes compute, each with one thread."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    processes = []
    try:
        for _ in range(count):
            processes.append(subprocess.Popen(
                [sys.executable, "-c", WORK], env=os.environ | one_thread, stdout=subprocess.PIPE
            ))  # fmt: skip
        for process in processes:
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
