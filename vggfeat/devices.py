"""Resolve the options --device and --precision to what this machine has."""

import logging
import re
from functools import cache

from vggfeat.errors import OptionError
from vggfeat.processes.launched import launched, processes_here

# torch takes 2 s to import, and options name devices, too: it is imported inside functions.

log = logging.getLogger(__name__)

NAME = re.compile(r"(cpu|cuda|mps|xpu)(?::(\d{1,3}))?")
NUMBERED = ("cuda", "xpu")  # of which a machine may have several
UNTRIED = {
    "cuda": "no real GPU has run it yet, only a stand-in in the tests",
    "mps": "it was never tried; probes are fitted on the CPU, as mps has no float64",
    "xpu": "it was never tried; probes are fitted on the CPU, as float64 may be missing",
}


def check_name(device: str) -> None:
    """Raise OptionError at a text that names no device."""
    if device != "auto" and not (isinstance(device, str) and NAME.fullmatch(device)):
        raise OptionError(
            f"device must be one of auto, cpu, cuda, cuda:N, mps, xpu, xpu:N; got {device!r}."
        )


def kind(device: str) -> str:
    """The kind of a device, "cuda" of "cuda:1"."""
    return device.partition(":")[0]


def number(device: str) -> int | None:
    """Which of several devices of its kind is named, 1 of "cuda:1"; None where none is."""
    _, colon, text = device.partition(":")
    return int(text) if colon else None


def resolved(device: str) -> str:
    """The device as torch calls it; auto is an NVIDIA GPU where there is one, else "cpu".

    The first use of a device that was never tried is a warning. Raises OptionError at a device that
    is not here.
    """
    check_name(device)
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if kind(device) not in NUMBERED:
        device = kind(device)
    if not _is_here(device):
        listed = ", ".join(f"{name} ({what})" for name, what in found().items())
        reason = "no CUDA device was found" if kind(device) == "cuda" else "not here"
        if kind(device) == "cuda" and torch.cuda.is_available():
            reason = "there is no such GPU"
        raise OptionError(f"device {device}: {reason}. Here: {listed}. Use one of these, or auto.")
    _warn_of(device)
    return device


def of_this_process(device: str) -> str:
    """The GPU of this process, if several were started together: "cuda:1" for "cuda" in the second.

    device is a resolved one. Raises OptionError if there are fewer GPUs than processes, or all of
    them would have the same.
    """
    import torch

    place = launched()
    if place is None or kind(device) != "cuda":
        return device
    if number(device) is not None:
        if processes_here() == 1:
            return device
        raise OptionError(
            f"device {device}: {processes_here()} processes of this machine have a GPU each. Use"
            " --device cuda."
        )
    if place.local_rank >= torch.cuda.device_count():
        raise OptionError(
            f"process {place.local_rank} of this machine has no GPU: there are"
            f" {torch.cuda.device_count()}. Start as many processes as there are GPUs."
        )
    return f"cuda:{place.local_rank}"


def _is_here(device: str) -> bool:
    import torch

    if kind(device) == "cpu":
        return True
    if kind(device) == "mps":
        return torch.backends.mps.is_available()
    library = getattr(torch, kind(device), None)
    if library is None or not library.is_available():
        return False
    return number(device) is None or number(device) < library.device_count()


def found() -> dict[str, str]:
    """The devices of this machine, as --device names them, and what each is."""
    import torch

    devices = {"cpu": "the processor"}
    for name in NUMBERED:
        library = getattr(torch, name, None)
        if library is not None and library.is_available():
            for i in range(library.device_count()):
                devices[f"{name}:{i}"] = library.get_device_name(i)
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple's GPU"
    return devices


def untried(device: str) -> str:
    """Where vggfeat on this device was never tried, that in words; else empty."""
    reason = UNTRIED.get(kind(device), "")
    return f"vggfeat on {kind(device)}: {reason}" if reason else ""


@cache  # once is enough
def _warn_of(device: str) -> None:
    if told := untried(device):
        log.warning("%s. Compare a few numbers with --device cpu.", told)


def for_probes(device: str) -> str:
    """Where probes are fitted if nets run on this device: they need float64."""
    return device if kind(device) == "cuda" else "cpu"


def resolved_precision(precision: str, device: str) -> str:
    """The precision "fp32" or "bf16"; auto is bf16 where the hardware multiplies it.

    device is a resolved one. Elsewhere bf16 would be emulated, and slower than fp32; on devices
    that were never tried auto is fp32.
    """
    if precision != "auto":
        return precision
    if kind(device) == "cpu":
        return "bf16" if _cpu_multiplies_bf16() else "fp32"
    return "bf16" if kind(device) == "cuda" else "fp32"


def cpu_has_amx() -> bool:
    """Whether the processor has AMX for bf16, as Xeons since the fourth generation do."""
    return _cpu_has("amx_bf16")


def _cpu_multiplies_bf16() -> bool:
    return _cpu_has("avx512_bf16", "amx_bf16", "bf16")


def _cpu_has(*names: str) -> bool:
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in names)
