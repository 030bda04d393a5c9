"""Processes that share work through a store of keys: `Workers`; no tensors travel between them.

Extraction needs no collectives, and a process that waits for the leading one, maybe for hours of
measuring, must not run into the time limit of one. What they share goes through torch.distributed's
store, which torchrun's agent keeps for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch.distributed as dist

from vggfeat.processes.launched import launched


@dataclass(frozen=True)
class Workers:
    """This process among all that share the work, on one machine or several."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine
    store: dist.Store | None = None  # None: this process works alone

    @property
    def leads(self) -> bool:
        """Whether this is the one process that joins, measures and prints."""
        return self.rank == 0


ALONE = Workers()


@contextmanager
def workers() -> Iterator[Workers]:
    """A `with` block among the processes that torchrun started together, or alone."""
    if launched() is None:
        yield ALONE
        return
    raise NotImplementedError
