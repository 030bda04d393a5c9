"""Options of a training process: device, precision, pictures a pass, unreadable pictures."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from vggfeat import devices
from vggfeat.amx import right_convolutions
from vggfeat.errors import OptionError
from vggfeat.pretraining.recipe import Recipe
from vggfeat.processes.world import World

VALUES_PER_PIXEL = 900  # that a pass of the full-width 19-layer net keeps for the backward pass
CPU_PASS_BYTES = 2**32
CUDA_PASS_SHARE = 0.7  # of the free memory


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """Options that change neither the recipe nor, but for rounding, what is learned.

    With on_error "skip" unreadable pictures are left out of their batches. Raises OptionError at a
    device that is not there.
    """

    device: str = "auto"
    precision: str = "auto"
    pass_size: int | None = None  # pictures that go through the net at once; None: what fits
    on_error: str = "stop"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if devices.kind(self._resolved) not in ("cpu", "cuda"):
            raise OptionError(
                f"device {self.device}: nets are trained on cpu or cuda. Training adds up in"
                " float64, which other devices may lack, and was never tried on them."
            )

    @property
    def _resolved(self) -> str:
        return devices.resolved(self.device)

    @property
    def device_type(self) -> str:
        """The kind of device to compute on, "cpu" or "cuda"."""
        return devices.kind(self._resolved)

    @property
    def resolved_precision(self) -> str:
        """The precision of passes, "fp32" or "bf16"; auto is bf16 where hardware multiplies it."""
        return devices.resolved_precision(self.precision, self.device_type)

    def torch_device(self, world: World) -> torch.device:
        """The device of this process. Raises OptionError where several would have the same."""
        if self.device_type == "cpu":
            return torch.device("cpu")
        stated = devices.number(self._resolved)
        if stated is not None and world.size > 1:
            raise OptionError(
                f"device {self.device}: {world.size} processes have a GPU each. Use --device cuda."
            )
        return torch.device("cuda", world.local_rank if stated is None else stated)

    def micro_batch_size(self, recipe: Recipe, world: World) -> int:
        """Pictures that go through the net at once: pass_size, or what fits into memory."""
        share = -(-recipe.batch_size // world.size)
        if self.pass_size is not None:
            return min(self.pass_size, share)
        room = CPU_PASS_BYTES
        if self.device_type == "cuda":
            # What torch keeps of an earlier stage counts as free.
            gpu = devices.number(self._resolved)
            cached = torch.cuda.memory_reserved(gpu) - torch.cuda.memory_allocated(gpu)
            room = int((torch.cuda.mem_get_info(gpu)[0] + cached) * CUDA_PASS_SHARE)
        value_bytes = 2 if self.resolved_precision == "bf16" else 4
        picture = recipe.input_size**2 * VALUES_PER_PIXEL * recipe.width * value_bytes
        return max(1, min(share, int(room / picture)))


@dataclass(frozen=True)
class Precision:
    """The precision of forward and backward passes; weights and gradients stay float32."""

    device_type: str
    bf16: bool

    @contextmanager
    def forward(self) -> Iterator[None]:
        """A `with` block for a forward pass."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.bf16), self.backward():
            yield

    def backward(self) -> AbstractContextManager:
        """A `with` block for a backward pass, which autocast does not cover."""
        return right_convolutions(self.device_type, bf16=self.bf16)
