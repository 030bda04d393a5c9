"""What extraction asks of the device that a net runs on: pictures to it, vectors back, timers.

A CPU has done its work when a call returns. A GPU has it queued: what comes back is not there
before a timer has passed that was set after it, and what is copied to it must stay as it is until
then. Memory that `staged` gives is used again only once the GPU has read it: torch keeps account.

Shapes: B pictures of a batch, h w their sides.
"""

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from vggfeat.devices import kind, number


class DeviceTimer(ABC):
    """A point in the work queued on a device, which reaches it some time after it was queued."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until the device has come there."""

    @abstractmethod
    def seconds_since(self, earlier: "DeviceTimer") -> float:
        """Seconds between two timers that the device has passed."""


class Device(ABC):
    """What computes forward passes, and how tensors come to it and back."""

    name: str  # as torch calls it: "cpu", "cuda", "cuda:1"
    num_in_flight: int  # batches queued on it and not collected while the next one is awaited

    @abstractmethod
    def staged(self, pictures: np.ndarray) -> Tensor:
        """Pictures [B, h, w, 3] uint8 in memory that `upload` need not wait for; in any thread."""

    @abstractmethod
    def upload(self, pictures: Tensor) -> Tensor:
        """Queue the copy of pictures [B, h, w, 3] to the device: the tensor there."""

    @abstractmethod
    def download(self, values: Tensor) -> Tensor:
        """Queue the copy of a tensor back: on the CPU, valid once a later timer has passed."""

    @abstractmethod
    def timer(self) -> DeviceTimer:
        """A timer behind all that is queued now."""

    def free_bytes(self) -> int | None:
        """Bytes of the device's own memory that are free; None if it has none."""
        return None

    def release_memory(self) -> None:  # noqa: B027
        """Give back memory that is kept for later, so that free_bytes counts it."""


class _Clock(DeviceTimer):
    def __init__(self) -> None:
        self._seconds = time.monotonic()

    def wait(self) -> None:
        pass

    def seconds_since(self, earlier: "_Clock") -> float:
        return self._seconds - earlier._seconds


class _Event(DeviceTimer):
    def __init__(self, device: str) -> None:
        with _current(device):
            self._event = torch.cuda.Event(enable_timing=True)
            self._event.record()

    def wait(self) -> None:
        self._event.synchronize()

    def seconds_since(self, earlier: "_Event") -> float:
        return earlier._event.elapsed_time(self._event) / 1000


class Cpu(Device):
    """The processor, in whose memory everything is already."""

    name, num_in_flight = "cpu", 0

    def staged(self, pictures: np.ndarray) -> Tensor:
        return torch.from_numpy(pictures)

    def upload(self, pictures: Tensor) -> Tensor:
        return pictures

    def download(self, values: Tensor) -> Tensor:
        return values

    def timer(self) -> DeviceTimer:
        return _Clock()


def _current(device: str) -> AbstractContextManager:
    """A `with` block in which a numbered GPU is the current one; without a number as it is."""
    return nullcontext() if number(device) is None else torch.cuda.device(number(device))


class Cuda(Device):
    """An NVIDIA GPU, by default the current one; while it computes a batch, the next one is queued
    behind it."""

    num_in_flight = 1

    def __init__(self, name: str = "cuda"):
        self.name = name

    def staged(self, pictures: np.ndarray) -> Tensor:
        values = torch.from_numpy(pictures)
        with _current(self.name):  # else a thread would begin to use the first GPU
            pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        # NumPy's copy takes one thread; torch's, as of pin_memory, would start some in each thread.
        np.copyto(pinned.numpy(), pictures)
        return pinned

    def upload(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.name, non_blocking=True)

    def download(self, values: Tensor) -> Tensor:
        return values.to("cpu", non_blocking=True)  # to pinned memory

    def timer(self) -> DeviceTimer:
        return _Event(self.name)

    def free_bytes(self) -> int | None:
        free, _ = torch.cuda.mem_get_info(number(self.name))
        return free

    def release_memory(self) -> None:
        torch.cuda.empty_cache()


class Waiting(Device):
    """Any other device of torch's, such as "mps": each copy waits for what was queued before it."""

    num_in_flight = 0

    def __init__(self, name: str):
        self.name = name

    def staged(self, pictures: np.ndarray) -> Tensor:
        return torch.from_numpy(pictures)

    def upload(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.name)

    def download(self, values: Tensor) -> Tensor:
        return values.cpu()

    def timer(self) -> DeviceTimer:
        if kind(self.name) != "cpu":
            getattr(torch, kind(self.name)).synchronize()
        return _Clock()


def device_for(name: str) -> Device:
    """The device that torch calls so."""
    if name == "cpu":
        return Cpu()
    return Cuda(name) if kind(name) == "cuda" else Waiting(name)
