"""Memory of the machine and of this process in bytes, and sizes as users write them: 8G, 8GiB."""

import re
from numbers import Real
from pathlib import Path

from vggfeat.errors import OptionError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([KMGT]?I?)B?", re.IGNORECASE | re.ASCII)
CGROUPS = Path("/sys/fs/cgroup")


def parse_size(text: str) -> int:
    """The bytes of a size such as 800M, 8G, 1.5GB (thousands) or 8GiB. Raises OptionError."""
    match = SIZE.fullmatch(text.strip())
    unit = match and (UNITS | BINARY).get(match[2].upper())
    size = int(float(match[1]) * unit) if unit else 0
    if not size:
        raise OptionError(f"memory must be a size such as 800M, 8G or 8GiB; got {text!r}.")
    return size


def as_bytes(memory: int | str | None) -> int | None:
    """Memory as Python takes it, in bytes or as text. Raises OptionError."""
    if isinstance(memory, str):
        return parse_size(memory)
    is_number = isinstance(memory, Real) and not isinstance(memory, bool)
    if memory is not None and not (is_number and 0 < memory < 2**80 and memory % 1 == 0):
        raise OptionError(f"memory must be bytes or a size such as '8G'; got {memory!r}.")
    return None if memory is None else int(memory)


def available() -> int | None:
    """Memory that this process can have without others losing theirs; None where nobody says.

    The system's, or less where a control group limits it, as containers and SLURM do.
    """
    free = [_line("/proc/meminfo", "MemAvailable")]
    for group in _own_groups():
        limit, used = _number(group / "memory.max"), _number(group / "memory.current")
        if limit is not None and used is not None:
            free.append(max(0, limit - used))
    return min((number for number in free if number is not None), default=None)


def resident() -> int:
    """Memory that this process has now; 0 where nobody says."""
    return _line("/proc/self/status", "VmRSS") or 0


def _own_groups() -> list[Path]:
    """The folders of this process's control group and of those that it is part of."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    # A container may see its own group as the root, under whatever name the system has for it.
    names = [line[3:].strip("/") for line in lines if line.startswith("0::")]
    folders = [CGROUPS / name for name in names if ".." not in name]
    groups = [CGROUPS, *(group for folder in folders for group in (folder, *folder.parents))]
    return [group for group in dict.fromkeys(groups) if group.is_relative_to(CGROUPS)]


def _line(path: str, name: str) -> int | None:
    """The value of a line such as "MemAvailable:  123 kB", in bytes."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, LookupError):
        pass
    return None  # not Linux


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return None
