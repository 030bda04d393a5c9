"""A GPU that is not there: code for device "cuda" runs, and what it waits for is counted.

torch's FakeTensorMode computes shapes, types and devices of tensors without their values, and
raises where tensors of two devices meet. What it leaves out is added here, as far as vggfeat needs
it:

- there is a driver, as far as anybody asks: `torch.cuda.is_available`, events, pinned memory;
- `nn.Module.to` replaces parameters, as their memory cannot be exchanged;
- the backward pass is one in Python: that of torch asks the driver for its streams;
- a generator belongs to a device, and torch's own draws refuse one of the other;
- what a tensor holds is unknown: numbers that are read are 1, several from 1 to 2, and of a mask
  every other place is set, unless it came from NumPy. So loops that end when nothing is left end.

Everything that makes Python wait for the device is counted in `FakeCuda.waits`, by its name: values
that are read, copies that are not `non_blocking` or whose memory is not pinned, masks as an index,
and events that are waited for: "earlier event" where the device has more to do behind it, and
"event" where it has not and stands still. What CUDA's allocator waits for is not seen.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from helpers.python_backward import backward
from vggfeat.features import forward

if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14):
    pytest.skip("the fake GPU stands on parts of torch 2.14", allow_module_level=True)

aten = torch.ops.aten
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
READS = {aten._local_scalar_dense.default, aten.equal.default}
FREE_BYTES = 2**36
FROM_NUMPY = {aten.lift_fresh.default}
COPIES = {aten._to_copy.default, aten.copy_.default}


class _Values(FakeTensorMode):
    """Tensors without values. torch must not look for a driver, though is_available says yes."""

    avoid_device_init = True


class FakeCuda(TorchDispatchMode):
    """What a GPU would do beyond computing shapes, and how often Python waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.pinned: dict[int, Any] = {}  # storages, which stay alive so that none is taken twice
        self.generators: list[torch.Generator] = []  # those of the GPU
        self.counts: dict[int, tuple[Any, int]] = {}  # places that are set, of masks from NumPy
        self.num_queued = 0  # operations
        self.dtypes: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = dict(kwargs or {})
        if func in READS:
            return self._read(func, *args)
        if func is aten.nonzero.default:
            self.waits["nonzero"] += args[0].is_cuda
            shape = (self._count(args[0]), args[0].ndim)
            return torch.empty(shape, dtype=torch.int64, device=args[0].device)
        if func is aten.masked_select.default:
            self.waits["masked_select"] += args[0].is_cuda
            return args[0].new_empty(self._count(args[1]))
        if func is aten.unique_dim.default:
            self.waits["unique"] += args[0].is_cuda
            count = args[0].new_empty(args[0].shape[args[1]], dtype=torch.int64)
            return args[0].clone(), count, count.clone()
        if func in INDEXED:
            indices = [index for index in args[1] if index is not None]
            self._check_indices(args[0], indices)
            if any(map(_is_mask, indices)):
                return self._masked(func, *args)
        generator = kwargs.get("generator")
        if generator is not None:
            self._check_generator(generator, kwargs.get("device"), args)
        if kwargs.pop("pin_memory", None):
            return self.pin(func(*args, **kwargs))
        source = args[1] if func is aten.copy_.default else args[0] if args else None
        count = self._count(source) if func in FROM_NUMPY | COPIES and _is_mask(source) else None
        result = func(*args, **kwargs)
        if count is not None:
            storage = result.untyped_storage()
            self.counts[storage._cdata] = storage, count
        if func in COPIES:
            self._copy(func, source, result, *args, **kwargs)
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and each.is_cuda:
                self.num_queued += 1
                self.dtypes.setdefault(str(func), set()).add(each.dtype)
        return result

    def pin(self, tensor: Tensor) -> Tensor:
        """The tensor in memory that a GPU copies by itself."""
        copy = torch.empty_like(tensor) if not isinstance(tensor, FakeTensor) else tensor
        storage = copy.untyped_storage()
        self.pinned[storage._cdata] = storage
        return copy

    def is_pinned(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self.pinned

    def generator(self, device: Any = "cpu") -> torch.Generator:
        """torch.Generator, of which this machine has none for a GPU."""
        generator = GENERATOR()
        if torch.device(device).type == "cuda":
            self.generators.append(generator)
        return generator

    def _read(self, func: Any, tensor: Tensor, *rest: Any) -> Any:
        self.waits[func.overloadpacket.__name__] += tensor.is_cuda
        if not isinstance(tensor, FakeTensor):
            return func(tensor, *rest)
        if func is aten.equal.default:
            return True
        return _read_values(tensor).item()

    def _check_indices(self, tensor: Tensor, indices: list[Tensor]) -> None:
        """Count an index that torch itself sends to the GPU; the other way it refuses."""
        far = sum(index.is_cuda != tensor.is_cuda for index in indices)
        if far and not tensor.is_cuda:
            raise RuntimeError("indices should be either on cpu or on the device of the tensor")
        if far and not any(map(_is_mask, indices)):
            self.waits["copy to the GPU"] += far

    def _masked(self, func: Any, tensor: Tensor, indices: list[Tensor | None], *rest: Any) -> Any:
        """Places that masks choose; a mask on the CPU is sent to the GPU first."""
        self.waits["mask as an index"] += tensor.is_cuda
        if func is not aten.index.Tensor:
            values = rest[0]
            if values.device != tensor.device and values.ndim:
                raise RuntimeError(f"index_put: values on {values.device}, not {tensor.device}")
            return tensor if func is aten.index_put_.default else tensor.clone()
        rows: list[Tensor | None] = []
        for index in indices:
            if index is None or not _is_mask(index):
                rows.append(index)
                continue
            place = torch.empty(self._count(index), dtype=torch.int64, device=tensor.device)
            rows += [place] * index.ndim
        return aten.index.Tensor(tensor, rows)

    def _copy(self, func: Any, source: Tensor, result: Tensor, *args: Any, **kwargs: Any) -> None:
        if source.is_cuda == result.is_cuda:
            return
        non_blocking = kwargs.get("non_blocking") or (len(args) > 2 and args[2])
        if func is aten._to_copy.default and non_blocking and source.is_cuda:
            return  # torch then takes pinned memory for the copy
        on_cpu = result if source.is_cuda else source
        if non_blocking and self.is_pinned(on_cpu):
            return
        self.waits["copy to the CPU" if source.is_cuda else "copy to the GPU"] += 1

    def _count(self, mask: Tensor) -> int:
        """How many places of a mask are set."""
        if not isinstance(mask, FakeTensor):
            with _disable_current_modes():  # or its values were lost here already
                return int(mask.sum())
        _, count = self.counts.get(mask.untyped_storage()._cdata, (None, mask.numel() // 2))
        return count

    def _check_generator(self, generator: torch.Generator, device: Any, args: Any) -> None:
        if device is None:
            device = next((t.device for t in tree_leaves(args) if isinstance(t, Tensor)), "cpu")
        kind = "cuda" if any(generator._cdata == each._cdata for each in self.generators) else "cpu"
        if torch.device(device).type != kind:
            raise RuntimeError(f"a generator of {kind} cannot draw numbers on {device}")


GENERATOR, NUMPY, EMPTY = torch.Generator, torch.Tensor.numpy, torch.empty


def _read_values(tensor: Tensor) -> np.ndarray:
    """What is read of a tensor without values: 1, and in floats from there to 2, all different."""
    dtype = np.dtype(str(tensor.dtype).removeprefix("torch."))
    end = 2 if dtype.kind == "f" else 1
    return np.linspace(1, end, tensor.numel()).astype(dtype).reshape(tuple(tensor.shape))


def _moved(
    module: nn.Module, device: Any, *, memory_format: torch.memory_format | None = None
) -> nn.Module:
    """nn.Module.to, with new parameters in place of the old; one that is shared stays so."""
    new: dict[int, Tensor] = {}
    for each in module.modules():
        for tensors in (each._parameters, each._buffers):
            for name, old in tensors.items():
                if old is None:
                    continue
                if id(old) not in new:
                    layout = memory_format if old.ndim == 4 else None
                    with torch.no_grad():
                        moved = old.to(device, memory_format=layout or torch.preserve_format)
                    if isinstance(old, nn.Parameter):
                        moved = nn.Parameter(moved, requires_grad=old.requires_grad)
                    new[id(old)] = moved
                tensors[name] = new[id(old)]
    return module


def _is_mask(index: Tensor) -> bool:
    return index.dtype in (torch.bool, torch.uint8)


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """A `with` block in which there is a GPU whose tensors have no values."""
    gpu = FakeCuda()

    class Event:
        """A point in the GPU's work."""

        def __init__(self, **options: Any):
            self.options = options

        def record(self, stream: Any = None) -> None:
            self.place = gpu.num_queued

        def query(self) -> bool:
            return True

        def synchronize(self) -> None:
            gpu.waits["event" if self.place == gpu.num_queued else "earlier event"] += 1

        def elapsed_time(self, later: "Event") -> float:
            return 1.0

    def numpy(tensor: Tensor) -> np.ndarray:
        if not isinstance(tensor, FakeTensor):
            return NUMPY(tensor)
        if tensor.is_cuda:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return _read_values(tensor)

    def tolist(tensor: FakeTensor) -> Any:
        gpu.waits["tolist"] += tensor.is_cuda
        return _read_values(tensor).tolist()

    def empty(*args: Any, pin_memory: bool = False, **kwargs: Any) -> Tensor:
        tensor = EMPTY(*args, **kwargs)
        return gpu.pin(tensor) if pin_memory else tensor

    _device_constructors()  # is kept, and has to know torch's own empty
    values = _Values(allow_non_fake_inputs=True)  # imports much of torch, before it is changed
    with ExitStack() as stack:
        for target, name, stand_in in (
            (torch.cuda, "is_available", lambda: True),
            (torch.cuda, "is_bf16_supported", lambda *_: True),
            (torch.cuda, "mem_get_info", lambda *_: (FREE_BYTES, FREE_BYTES)),
            (torch.cuda, "memory_reserved", lambda *_: 0),
            (torch.cuda, "memory_allocated", lambda *_: 0),
            (torch.cuda, "empty_cache", lambda: None),
            (torch.cuda, "Event", Event),
            (torch.cuda, "synchronize", lambda *_: gpu.waits.update(["synchronize"])),
            (torch, "Generator", gpu.generator),
            (torch, "empty", empty),  # also in threads that load, where no mode is
            (torch.nn.Module, "to", _moved),
            (torch.Tensor, "backward", backward),
            (torch.Tensor, "numpy", numpy),
            (FakeTensor, "tolist", tolist),
            (torch.Tensor, "pin_memory", lambda tensor, *_: gpu.pin(tensor)),
            (torch.Tensor, "is_pinned", lambda tensor, *_: gpu.is_pinned(tensor)),
        ):
            stack.enter_context(patch.object(target, name, stand_in, create=True))
        forward._on_device.cache_clear()  # what it keeps is of another device
        stack.callback(forward._on_device.cache_clear)
        stack.enter_context(values)
        stack.enter_context(gpu)
        yield gpu
