"""Processes that share work, as threads of a test with a store in memory."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch.distributed as dist

from vggfeat.features.inference import for_inference, layer_by_layer
from vggfeat.processes.workers import Workers


def run_together(size: int, process: Callable[[Workers], Any]) -> list:
    """What process(workers) returns in each of `size` threads; the first error is raised."""
    kept, returned, errors = dist.HashStore(), {}, []

    def run(rank: int) -> None:
        try:
            returned[rank] = process(Workers(rank, size, rank, kept))
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(rank,), name=f"process {rank}") for rank in range(size)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]
    return [returned[rank] for rank in range(size)]


def run_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run nets as they are: while torch.fx traces one, calls of all threads' nets are its own."""

    def as_it_is(*arguments):
        with layer_by_layer():
            return for_inference(*arguments)

    for module in ("parallel", "pipeline"):
        monkeypatch.setattr(f"vggfeat.features.{module}.for_inference", as_it_is)
