"""The processes that train together: torch.distributed as torchrun sets it up."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from vggfeat.errors import OptionError

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """This process among all that train together, on one machine or several."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def total(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The sums of each value over all processes."""
        if self.size == 1:
            return [float(value) for value in values]
        sums = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(sums)
        return sums.tolist()

    def union(self, values: Iterable[str]) -> set[str]:
        """What any of the processes has."""
        if self.size == 1:
            return set(values)
        found: list[list[str]] = [[]] * self.size
        dist.all_gather_object(found, sorted(values))
        return {value for of_one in found for value in of_one}

    def from_leader(self, value: Value) -> Value:
        """The leading process's value, in all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun started this process in, or a world of one process.

    Gradients travel by NCCL between GPUs, by gloo between CPUs.
    """
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield World()
        return
    rank, size, local_rank = (int(os.environ[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    gpu = None
    if device == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise OptionError(
                f"process {local_rank} of this machine has no GPU: there are"
                f" {torch.cuda.device_count()}. Start as many processes as there are GPUs."
            )
        torch.cuda.set_device(local_rank)
        gpu = torch.device("cuda", local_rank)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", device_id=gpu)
    try:
        yield World(rank, size, local_rank)
    finally:
        dist.destroy_process_group()
