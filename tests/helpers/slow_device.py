"""A device whose work is done later, in order, by a thread of its own, as a GPU does it.

Tensors on it are `Queued`: whatever torch computes with them is queued, and Python goes on with
their shapes alone. Memory that is uploaded is read only when its turn comes. What comes back is NaN
until then.
"""

import queue
import threading
import time
from collections import defaultdict

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from vggfeat.features.device import Device, DeviceTimer

aten = torch.ops.aten
WAITING = {aten._local_scalar_dense.default, aten.nonzero.default}  # a GPU is waited for


class Queued(Tensor):
    """A tensor of a slow device: known by its shape, its values are computed later."""

    @staticmethod
    def __new__(cls, shape: Tensor, device: "SlowDevice"):
        """shape is a tensor of device "meta"."""
        tensor = Tensor._make_wrapper_subclass(
            cls, shape.shape, strides=shape.stride(), dtype=shape.dtype
        )
        tensor.shape_only, tensor.slow, tensor.values = shape, device, None
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Queue an operation; in-place ones return the tensor that they change."""
        kwargs, inputs = kwargs or {}, {}

        def shape_of(value):
            if isinstance(value, Queued):
                inputs[id(value.shape_only)] = value
                return value.shape_only
            return value.to("meta") if isinstance(value, Tensor) else value

        shapes = func(*tree_map(shape_of, args), **tree_map(shape_of, kwargs))
        device = next(iter(inputs.values())).slow
        assert func not in WAITING, f"{func} waits for the device"

        def result_of(shape):
            known = not isinstance(shape, Tensor) or id(shape) in inputs
            return inputs.get(id(shape), shape) if known else Queued(shape, device)

        results = tree_map(result_of, shapes)

        def compute():
            computed = func(*tree_map(values_of, args), **tree_map(values_of, kwargs))
            tree_map(keep, results, computed)

        device.queue(compute)
        return results


def values_of(value):
    return value.values if isinstance(value, Queued) else value


def keep(result, computed) -> None:
    if isinstance(result, Queued):
        result.values = computed


class Timer(DeviceTimer):
    def __init__(self, device: "SlowDevice"):
        self.device, self.passed, self.upload = device, threading.Event(), device.num_uploads
        device.queue(self.passes)

    def passes(self) -> None:
        self.at = time.monotonic()
        self.passed.set()

    def wait(self) -> None:
        self.device.queued_behind.append(self.device.num_uploads - self.upload)
        self.passed.wait()

    def seconds_since(self, earlier: "Timer") -> float:
        assert self.passed.is_set() and earlier.passed.is_set(), "read before it has passed"
        return self.at - earlier.at


class SlowDevice(Device):
    """A slow device; a `with` block, at whose end its thread is done. It takes CPU tensors.

    queued_behind has, for each timer that was waited for, how many uploads were queued behind it;
    num_buffers is how many buffers for uploads there were. seconds is what an upload takes.
    """

    name, num_in_flight = "cpu", 1

    def __init__(self, seconds: float = 0.002):
        self.seconds, self.num_uploads, self.num_buffers = seconds, 0, 0
        self.queued_behind: list[int] = []
        self._free: dict[torch.Size, list[Tensor]] = defaultdict(list)
        self._lock = threading.Lock()
        self._work: queue.Queue = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SlowDevice":
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._work.put(None)
        self._thread.join()

    def queue(self, work) -> None:
        self._work.put(work)

    def _run(self) -> None:
        with torch.no_grad():
            while work := self._work.get():
                work()

    def staged(self, pictures) -> Tensor:
        """In a buffer that is used again once it was read, as torch's pinned memory is."""
        pictures = torch.from_numpy(pictures)
        with self._lock:
            free = self._free[pictures.shape]
            self.num_buffers += not free
            buffer = free.pop() if free else torch.empty_like(pictures)
        return buffer.copy_(pictures)

    def upload(self, pictures: Tensor) -> Tensor:
        there = Queued(pictures.to("meta"), self)

        def copy() -> None:
            time.sleep(self.seconds)
            there.values = pictures.clone()
            self.release(pictures)

        self.queue(copy)
        self.num_uploads += 1
        return there

    def release(self, buffer: Tensor) -> None:
        with self._lock:
            self._free[buffer.shape].append(buffer)

    def download(self, values: Tensor) -> Tensor:
        back = torch.full(values.shape, torch.nan)
        self.queue(lambda: back.copy_(values.values))
        return back

    def timer(self) -> DeviceTimer:
        return Timer(self)
