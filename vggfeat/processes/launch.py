"""Several processes on this machine, started as torchrun starts them."""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vggfeat.errors import OptionError
from vggfeat.plurals import counted

log = logging.getLogger(__name__)

MOST_A_CORE = 16  # processes; far more would take all memory before anybody could stop them


def check(num_processes: int, device: str) -> None:
    """Raise OptionError unless each process has a GPU, or CPUs were asked for, and not too many."""
    cores = os.cpu_count() or 1
    if device == "cpu" and num_processes > MOST_A_CORE * cores:
        raise OptionError(
            f"--gpus {num_processes}: at most {MOST_A_CORE * cores} processes share the"
            f" {counted(cores, 'core')} of this machine. One a core is usual."
        )
    if device != "cpu" and torch.cuda.device_count() < num_processes:
        raise OptionError(
            f"--gpus {num_processes}: this machine has {torch.cuda.device_count()} GPUs. With"
            f" --device cpu {num_processes} processes share its cores."
        )


def launch(num_processes: int, arguments: Sequence[str], *, num_restarts: int = 0) -> int:
    """Run `vggfeat` with these arguments in so many processes; 0, or the first failure's status.

    Each process prints its own error, which would come again. One that is killed by a signal
    prints nothing: this is reported, the others end, and all are started again, at most
    num_restarts times. After a signal to this process they save, and the status is 128 plus its
    number.
    """
    # As many threads as there are cores in each would get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    for restart in range(num_restarts + 1):
        status, killed = _run(num_processes, arguments)
        if killed is None:
            return status
        again = f"All are started again ({restart + 1} of {num_restarts}) and go on."
        log.warning(
            "process %s of %s was killed by %s%s. %s",
            killed.rank, num_processes, killed.signal,
            ", as Linux does where memory is short" if killed.signal == "SIGKILL" else "",
            again if restart < num_restarts else "What was done is kept.",
        )  # fmt: skip
    return status


@dataclass(frozen=True)
class _Killed:
    """A process that a signal ended which it could not handle."""

    rank: int
    signal: str


def _run(num_processes: int, arguments: Sequence[str]) -> tuple[int, _Killed | None]:
    """The status of one start, and which of its processes was killed first, if that ended it."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",  # this machine's own name may be known to nobody
        max_restarts=0,  # torch would start them again after any error
    )
    logging.disable()  # torch's remarks: the processes speak for themselves
    try:
        elastic_launch(config, sys.executable)("-m", "vggfeat", *arguments)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        if first.exitcode >= 0:
            return first.exitcode, None
        return 128 - first.exitcode, _Killed(rank, signal.Signals(-first.exitcode).name)
    except SignalException as error:
        return 128 + int(error.sigval), None
    finally:
        logging.disable(logging.NOTSET)
    return 0, None
