"""How threads of a command wait for each other: asleep, where others keep the cores busy."""

import os
import sys

from vggfeat.busy_cores import busy_cores

# OpenMP (torch's threads) and OpenBLAS (NumPy's, 2 to this power of a core's cycles) let threads
# spin while they wait. On a machine with other work these keep the cores from those that they wait
# for; alone, waking up takes light nets up to a third more time.
ASLEEP = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
OF_USERS = (*ASLEEP, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def let_threads_sleep() -> None:
    """Let threads of libraries that are not loaded yet wait asleep, if half of the cores are busy.

    The libraries read the environment when they are loaded. Where the user has chosen how threads
    wait, or in a process that has loaded torch already, which is not this program's, nothing is
    changed.
    """
    if "torch" in sys.modules or any(name in os.environ for name in OF_USERS):
        return
    if busy_cores() >= max(1, (os.cpu_count() or 1) // 2):
        os.environ.update(ASLEEP)
