"""Which device to compute on."""

import torch

from vggfeat.errors import OptionError

DEVICES = ("auto", "cpu", "cuda")


def resolved(device: str) -> str:
    """ "cpu" or "cuda"; auto is a GPU where there is one. Raises OptionError."""
    if device not in DEVICES:
        raise OptionError(f"device must be one of {', '.join(DEVICES)}; got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: no CUDA device was found. Use auto or cpu.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
