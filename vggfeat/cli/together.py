"""--gpus N, and commands that several processes run together: one speaks for all."""

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from vggfeat.cli.group import let_leader_speak, set_up_messages
from vggfeat.cli.verbosity import is_verbose
from vggfeat.errors import VggfeatError
from vggfeat.processes.launched import launched
from vggfeat.processes.meeting import StoreLost
from vggfeat.processes.workers import WorkerFailed, workers

NUM_RESTARTS = 3  # of a job whose processes are killed

gpus = click.option(
    "--gpus",
    "num_processes",
    type=click.IntRange(1),
    metavar="N",
    help="Use N GPUs of this machine; with --device cpu, N processes.",
)


def started_by_torchrun() -> bool:
    """Whether an agent of torchrun has started this process, as --gpus has it, too."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def together(command: Callable) -> Callable:
    """Have a command take --gpus, and run it among the processes that were started: `workers`.

    All but the leading one are silent, but for errors that nobody else knows of.
    """

    @functools.wraps(command)
    def run(*arguments: Any, num_processes: int | None, **options: Any) -> Any:
        if num_processes and not started_by_torchrun() and not options.get("dry_run"):
            _start(num_processes, options)
        follows = (place := launched()) is not None and place.rank > 0
        if follows:
            options["quiet"] = True
            logging.disable(logging.NOTSET if is_verbose() else logging.WARNING)
        try:
            with workers() as here:
                return command(*arguments, workers=here, **options)
        except (VggfeatError, click.ClickException) as error:
            if not follows:
                raise
            let_leader_speak()
            is_reported = isinstance(error, WorkerFailed)
            is_reported |= isinstance(error, StoreLost) and place.local_rank > 0
            if is_reported:
                sys.exit(getattr(error, "exit_code", 1))
            raise

    return gpus(run)


def _start(num_processes: int, options: dict[str, Any]) -> NoReturn:
    """Run this command in so many processes, and end with their status."""
    set_up_messages(options["quiet"])
    from vggfeat.processes.launch import check, launch

    check(num_processes, options["device"])
    sys.exit(launch(num_processes, sys.argv[1:], num_restarts=NUM_RESTARTS))
