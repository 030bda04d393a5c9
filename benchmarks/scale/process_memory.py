"""Memory of running processes, as Linux counts it: resident, and its fair share of shared pages."""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """MiB of a process: all that it holds, and with shared pages divided among their users."""

    rss: float
    pss: float


def memory_of(pid: int) -> Memory | None:
    """The memory of a process; None once it has ended."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    kib = {words[0]: int(words[1]) for words in map(str.split, lines[1:])}
    if "Rss:" not in kib:  # ended, though nobody has asked how
        return None
    return Memory(kib["Rss:"] / 1024, kib["Pss:"] / 1024)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that are there still."""
    children = []
    for task in (PROC / str(pid) / "task").glob("*/children"):
        try:
            children += map(int, task.read_text().split())
        except OSError:  # a thread that has ended
            continue
    return children


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; nothing once it has ended."""
    try:
        entries = (PROC / str(pid) / "environ").read_text().split("\0")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
