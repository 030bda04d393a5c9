"""How many cores other programs keep busy at the moment, as Linux counts."""

import os
import time
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
SAMPLES, SECONDS_BETWEEN = 3, 0.002


def busy_cores() -> int:
    """Threads of other programs that run or wait for a core, at most all cores; else 0.

    The median of a few samples. Systems without /proc, which do not tell, count as idle.
    """
    others = []
    with suppress(OSError, ValueError, IndexError):
        for _ in range(SAMPLES):
            running = int((PROC / "loadavg").read_text().split()[3].partition("/")[0])
            others.append(running - _own_threads())
            time.sleep(SECONDS_BETWEEN)
    count = sorted(others)[len(others) // 2] if others else 0
    return min(max(0, count), os.cpu_count() or 1)


def _own_threads() -> int:
    """Threads of this process that run: also those that spin while they wait."""
    stats = (path.read_text() for path in (PROC / "self" / "task").glob("*/stat"))
    return sum(stat.rpartition(")")[2].split()[0] == "R" for stat in stats)
