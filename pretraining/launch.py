"""Several processes on this machine, started as torchrun starts them."""

import logging
import sys
import uuid
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def launch(num_processes: int, arguments: Sequence[str]) -> int:
    """Run `vggfeat` with these arguments in so many processes; 0, or the first failure's status.

    Each says itself what went wrong. After a signal they save, and 128 plus its number comes back.
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
    try:
        elastic_launch(config, sys.executable)("-m", "vggfeat", *arguments)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode  # of a signal
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0
