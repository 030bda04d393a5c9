"""The cost of exchanging gradients between processes: measured when they begin, and predicted.

In an all-reduce around a ring of n devices each sends and receives 2 (n - 1) / n times the
gradients' bytes. It goes on while the backward pass still works on earlier layers; the FC layers,
nine tenths of these nets' weights, come first there, so that most of it can be hidden.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from vggfeat.plurals import counted
from vggfeat.processes.world import World

NUM_TIMINGS = 3
BACKWARD_SHARE = 2 / 3  # of a step: two matrix products a layer, against one forward


@dataclass(frozen=True)
class Communication:
    """Seconds of a forward and backward pass, of an all-reduce, and of both together."""

    gradient_bytes: int
    compute_s: float
    all_reduce_s: float
    together_s: float

    @property
    def overlap(self) -> float:
        """The share of the all-reduce that is hidden behind the backward pass."""
        exposed = self.together_s - self.compute_s
        return min(max(1 - exposed / self.all_reduce_s, 0.0), 1.0)

    def summary(self, num_processes: int, micro_batch_size: int) -> str:
        """One line for the log."""
        sent = ring_bytes(self.gradient_bytes, num_processes) / 1e6
        return (
            f"{num_processes} processes: each sends {sent:.3g} MB of gradients an update in"
            f" {self.all_reduce_s:.2f} s, {self.overlap:.0%} of it during the backward pass of"
            f" {counted(micro_batch_size, 'picture')} (forward and backward:"
            f" {self.compute_s:.2f} s)"
        )


def measure(
    model: DistributedDataParallel, backward: Callable[[], None], world: World, device: torch.device
) -> Communication:
    """Time `backward`, a forward and backward pass of the model, in all processes together."""
    gradients = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    buffer = torch.zeros(gradients, dtype=torch.uint8, device=device).view(torch.float32)

    def without_exchange() -> None:
        with model.no_sync():
            backward()

    def timed(action: Callable[[], object]) -> float:
        times = []
        for _ in range(NUM_TIMINGS + 1):
            world.barrier()
            began = time.monotonic()
            action()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.monotonic() - began)
        return statistics.median(times[1:])  # the first warms up

    together = timed(backward)
    compute = timed(without_exchange)
    all_reduce = timed(lambda: dist.all_reduce(buffer))
    times = world.all_reduce([compute, all_reduce, together], device)
    return Communication(gradients, *(seconds / world.size for seconds in times))


def ring_bytes(gradient_bytes: int, num_devices: int) -> float:
    """The bytes that each device sends in one all-reduce."""
    return 2 * (num_devices - 1) / num_devices * gradient_bytes


def predicted_speed_up(
    step_s: float,
    num_devices: int,
    gradient_bytes: int,
    link_bytes_per_s: float,
    *,
    overlap: bool = True,
) -> float:
    """The speed-up of dividing a batch over devices, against one that takes step_s for it.

    Without overlap the all-reduce comes on top; with overlap only what of it does not fit beside
    the backward pass.
    """
    compute = step_s / num_devices
    travel = ring_bytes(gradient_bytes, num_devices) / link_bytes_per_s
    hidden = BACKWARD_SHARE * compute if overlap else 0.0
    return step_s / (compute + max(0.0, travel - hidden))
