"""Resolve the options --device and --precision to what this machine has."""

from vggfeat.errors import OptionError

# torch takes 2 s to import, and options name devices, too: it is imported inside functions.

DEVICES = ("auto", "cpu", "cuda")


def resolved(device: str) -> str:
    """The device "cpu" or "cuda"; auto is a GPU where there is one. Raises OptionError."""
    if device not in DEVICES:
        raise OptionError(f"device must be one of {', '.join(DEVICES)}; got {device!r}.")
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: no CUDA device was found. Use auto or cpu.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def resolved_precision(precision: str, device: str) -> str:
    """The precision "fp32" or "bf16"; auto is bf16 where the hardware multiplies it.

    device is "cpu" or "cuda". Elsewhere bf16 would be emulated, and slower than fp32.
    """
    if precision != "auto":
        return precision
    return "bf16" if device == "cuda" or _cpu_multiplies_bf16() else "fp32"


def cpu_has_amx() -> bool:
    """Whether the processor has AMX for bf16, as Xeons since the fourth generation do."""
    return _cpu_has("amx_bf16")


def _cpu_multiplies_bf16() -> bool:
    return _cpu_has("avx512_bf16", "amx_bf16", "bf16")


def _cpu_has(*names: str) -> bool:
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in names)
