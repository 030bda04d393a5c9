"""Several processes on this machine, started as torchrun starts them."""

import logging
import os
import sys
import uuid
from collections.abc import Sequence

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vggfeat.errors import OptionError


def check(num_processes: int, device: str) -> None:
    """Raise OptionError unless each process has a GPU, or CPUs were asked for."""
    if device != "cpu" and torch.cuda.device_count() < num_processes:
        raise OptionError(
            f"--gpus {num_processes}: this machine has {torch.cuda.device_count()} GPUs. With"
            f" --device cpu {num_processes} processes share its cores."
        )


def launch(num_processes: int, arguments: Sequence[str]) -> int:
    """Run `vggfeat` with these arguments in so many processes; 0, or the first failure's status.

    Each process prints its own error. After a signal they save, and the
    status is 128 plus its number.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    logging.disable()  # the processes speak for themselves
    # As many threads as there are cores in each would get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    try:
        elastic_launch(config, sys.executable)("-m", "vggfeat", *arguments)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode  # of a signal
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0
