"""How threads wait for each other in a command: asleep, so that their cores are free for others."""

import os
import sys

# OpenMP (torch's threads) and OpenBLAS (NumPy's, 2 to this power of a core's cycles), which let
# threads spin while they wait. On a machine with other work these keep the cores from those that
# they wait for.
ASLEEP = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
OF_USERS = (*ASLEEP, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def let_threads_sleep() -> None:
    """Let threads of libraries that are not loaded yet wait asleep, unless the user has chosen.

    The libraries read the environment when they are loaded. In a process that has loaded torch
    already, which is not this program's, nothing is changed.
    """
    if "torch" in sys.modules or any(name in os.environ for name in OF_USERS):
        return
    os.environ.update(ASLEEP)
