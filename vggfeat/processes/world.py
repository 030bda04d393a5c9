"""The processes that work together: torch.distributed as torchrun sets it up."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from vggfeat.errors import OptionError
from vggfeat.processes.launched import launched

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """This process among all that work together, on one machine or several."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and prints."""
        return self.rank == 0

    def all_reduce(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The sums of each value over all processes."""
        if self.size == 1:
            return [float(value) for value in values]
        sums = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(sums)
        return sums.tolist()

    def gather_set(self, values: Iterable[str]) -> set[str]:
        """The union of all processes' values."""
        if self.size == 1:
            return set(values)
        gathered: list[list[str]] = [[]] * self.size
        dist.all_gather_object(gathered, sorted(values))
        return {value for of_process in gathered for value in of_process}

    def broadcast(self, value: Value) -> Value:
        """The leading process's value, returned in all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def process_group(device: str) -> Iterator[World]:
    """A `with` block in the world that torchrun started this process in, or in one of one process.

    Tensors travel by NCCL between GPUs, by gloo between CPUs. Raises OptionError at a process
    without a GPU of its own, where the environment says too little, or if the processes do not
    meet.
    """
    place = launched()
    if place is None:
        yield World()
        return
    local_rank, gpu = place.local_rank, None
    if device == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise OptionError(
                f"process {local_rank} of this machine has no GPU: there are"
                f" {torch.cuda.device_count()}. Start as many processes as there are GPUs."
            )
        torch.cuda.set_device(local_rank)
        gpu = torch.device("cuda", local_rank)
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo", device_id=gpu)
    except (RuntimeError, ValueError) as error:
        where = ":".join(os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise OptionError(
            f"process {place.rank} of {place.size} did not meet the others at {where}"
            f" ({str(error).partition(chr(10))[0]})."
        ) from error
    try:
        yield World(place.rank, place.size, local_rank)
    finally:
        dist.destroy_process_group()
