"""Which device to compute on, and at which precision."""

from vggfeat.errors import OptionError

# torch takes 2 s to import: it is imported where it is asked, as options name devices, too.

DEVICES = ("auto", "cpu", "cuda")


def resolved(device: str) -> str:
    """ "cpu" or "cuda"; auto is a GPU where there is one. Raises OptionError."""
    if device not in DEVICES:
        raise OptionError(f"device must be one of {', '.join(DEVICES)}; got {device!r}.")
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: no CUDA device was found. Use auto or cpu.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def resolved_precision(precision: str, device: str) -> str:
    """ "fp32" or "bf16"; auto is bf16 wherever the hardware multiplies it.

    device is a resolved one. Elsewhere bf16 would be emulated, and slower than fp32.
    """
    if precision != "auto":
        return precision
    return "bf16" if device == "cuda" or _cpu_multiplies_bf16() else "fp32"


def cpu_has_amx() -> bool:
    """Whether the processor multiplies bf16 by tiles, as Xeons since the fourth generation do."""
    return _cpu_has("amx_bf16")


def _cpu_multiplies_bf16() -> bool:
    return _cpu_has("avx512_bf16", "amx_bf16", "bf16")


def _cpu_has(*names: str) -> bool:
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in names)
