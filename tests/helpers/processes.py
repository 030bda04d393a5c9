"""Processes of a test that share a store which outlives them, as torchrun's agent keeps it."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch.distributed as dist


class Agent:
    """Keeps the store of a test's processes, as torchrun's agent does, and starts them.

    Without keeps_store the first process has to keep it, as without torchrun.
    """

    def __init__(self, size: int, *, keeps_store: bool = True):
        self.size, self.keeps_store = size, keeps_store
        self.store = dist.TCPStore(
            "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60)
        )
        self.port = self.store.port
        if not keeps_store:
            del self.store
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["helpers.processes", "vggfeat.processes.claims"])

    def start(
        self, function: Callable, *arguments: Any, ranks: Iterable[int] | None = None
    ) -> list:
        """A process for each rank, or for some, which calls the function with its Workers."""
        processes = [
            self.context.Process(
                target=run_as,
                args=(rank, self.size, self.port, self.keeps_store, function, arguments),
            )
            for rank in (range(self.size) if ranks is None else ranks)
        ]
        for process in processes:
            process.start()
        return processes


def run_as(
    rank: int, size: int, port: int, has_agent: bool, function: Callable, arguments: tuple
) -> None:
    """Call the function as the process of this rank."""
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": str(has_agent),
    }  # fmt: skip
    from vggfeat.processes.workers import workers

    with workers() as together:
        function(together, *arguments)
