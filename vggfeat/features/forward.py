"""Passes through a net: the batch that goes in, at which precision, in which memory, how long.

Shapes: B pictures of a batch, h w their sides.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor

from vggfeat.amx import right_convolutions
from vggfeat.images import InputStatistics

# Of mallopt, as <malloc.h> has them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
MMAP_MAX = 65536  # glibc's own
# Where glibc's own rule ends, which moves both with what is freed until somebody sets them.
MMAP_THRESHOLD, TRIM_THRESHOLD = 32 * 2**20, 64 * 2**20
OF_THE_USER = ("MALLOC_", "GLIBC_TUNABLES")  # settings in the environment that are left as they are


def to_input(pictures: np.ndarray, statistics: InputStatistics, device: str) -> Tensor:
    """Pictures [B, h, w, 3] uint8 as a net takes them: [B, 3, h, w] float32 on the device."""
    batch = torch.from_numpy(pictures)
    if device == "cuda":
        batch = batch.pin_memory()  # from there it is copied while Python goes on
    # Rows of B x h x w x 3 seen as [B, 3, h, w] are channels-last, the layout kernels like best.
    batch = batch.to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    mean, std = _on_device(statistics, device)
    return batch.sub_(mean).div_(std)


@cache  # to bring them to a GPU would wait for all that it still has to do
def _on_device(statistics: InputStatistics, device: str) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(v, device=device) for v in (statistics.mean, statistics.std))
    return mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)


@contextmanager
def autocast_for(device: str, precision: str) -> Iterator[None]:
    """A `with` block for passes through a net at this precision.

    bf16 is autocast's, so that each kind of layer is computed as it can be. Weights are cast in the
    first pass and kept until the outermost of nested blocks ends; the net's own stay float32.
    """
    with (
        # Autocast keeps what it casts where gradients are off, but not in inference mode.
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"),
        right_convolutions(device, bf16=precision == "bf16"),
        # Otherwise "fp32" would mean TF32 on a GPU, and other digits than on a CPU.
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        yield


_keeping = 0  # blocks that are open, in whichever threads
_keeping_lock = threading.Lock()


@contextmanager
def kept_memory() -> Iterator[None]:
    """A `with` block in which memory that is freed stays with the process for what follows.

    glibc hands large blocks back at once. Each layer would then write its activations to memory
    that is new, and the kernel clears that page by page: of the widest layers this takes longer
    than the convolution itself. Where there is no glibc, or the user has set how it allocates,
    nothing changes. Blocks may be nested; afterwards glibc behaves as it does in a process that has
    freed large blocks before.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "malloc_trim") or any(name.startswith(OF_THE_USER) for name in os.environ):
        yield
        return
    _keep(libc, 1)
    try:
        yield
    finally:
        _keep(libc, -1)


def _keep(libc: ctypes.CDLL, change: int) -> None:
    global _keeping
    with _keeping_lock:
        before, _keeping = _keeping, _keeping + change
        if not before:
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)  # never
        elif not _keeping:
            libc.mallopt(M_MMAP_MAX, MMAP_MAX)
            libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
            libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
            libc.malloc_trim(0)


class DeviceTimer:
    """A point in the work queued on a device. A GPU reaches it some time after it was queued."""

    def __init__(self, device: str):
        self._event = torch.cuda.Event(enable_timing=True) if device == "cuda" else None
        if self._event:
            self._event.record()
        self._clock = time.monotonic()

    def wait(self) -> None:
        """Until the device has come there."""
        if self._event:
            self._event.synchronize()

    def seconds_since(self, earlier: "DeviceTimer") -> float:
        """Seconds between two timers that the device has passed."""
        if self._event:
            return earlier._event.elapsed_time(self._event) / 1000
        return self._clock - earlier._clock
