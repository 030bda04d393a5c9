"""Parts of a job, handed out to processes one by one: `handed_out`.

A part that a process has taken is its own as long as the process says so every few seconds: its
lease. One that falls silent, as a dead or stuck process does, loses the part to another.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vggfeat.processes.workers import Workers

LEASE_S = 60.0  # of silence, after which a part goes to another process


@dataclass(frozen=True)
class Claim:
    """A part that this process has taken; token names what it writes meanwhile."""

    part: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])


def handed_out(
    workers: Workers,
    job: str,
    num_parts: int,
    *,
    is_done: Callable[[int], bool],
    lease_s: float = LEASE_S,
) -> Iterator[Claim]:
    """The parts 0 to num_parts - 1 of a job that this process shall do, in their order.

    A part counts as done when the next one is asked for, and not after an error. `is_done` says
    whether the disk has it already, from an earlier run. The iterator ends when all parts are done,
    whoever did them. All processes must ask for the same jobs by the same names.
    """
    for part in range(num_parts):
        if not is_done(part):
            yield Claim(part)
