"""What a result was computed with: library versions, hardware, the commit of the code."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from vggfeat.devices import kind, number, untried

LIBRARIES = (
    "vggfeat", "torch", "torchvision", "numpy", "pillow", "h5py", "scikit-learn", "safetensors",
)  # fmt: skip


def library_versions() -> dict[str, str]:
    """Name -> version of Python and of the libraries that numbers can depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def hardware(device: str) -> dict[str, str | int]:
    """The processor's name, its number of cores, the name of an NVIDIA GPU that was used, and
    whether this device was never tried."""
    machine: dict[str, str | int] = {"device": device, "cpu": _cpu(), "cores": os.cpu_count() or 0}
    if kind(device) == "cuda":
        import torch  # 2 s to import, and only needed here if a GPU was used

        machine["gpu"] = torch.cuda.get_device_name(number(device))
    if told := untried(device):
        machine["note"] = told
    return machine


def git_state() -> dict[str, str | bool] | None:
    """The commit of vggfeat's source tree and whether files differ from it; None outside git."""
    here = Path(__file__).resolve().parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
        tracked = _git(here, "ls-files", Path(__file__).name)
    except (OSError, subprocess.CalledProcessError):
        return None
    # An installed copy may lie inside some other project's repository.
    return {"commit": commit, "dirty": bool(changed)} if tracked else None


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
