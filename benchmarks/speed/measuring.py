"""Who is how fast: contenders run in turns, and what is told of them.

A speed by itself says little on a machine that others use too. Contenders, and the limits of the
machine among them, therefore run one after the other in each round, in the opposite order in the
next; what is claimed are the ratios within a round.

Shapes: R rounds.
"""

import logging
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """Something that does a certain work; `run` returns when all of it is done.

    `work` is how much that is, so that `work` per second is a speed in `unit`.
    """

    name: str
    run: Callable[[], Any]
    work: float
    unit: str


@dataclass(frozen=True)
class Timed:
    """A contender with the seconds of each of its runs, and what the last one returned."""

    contender: Contender
    seconds: np.ndarray  # [R]
    result: Any = None

    @property
    def speeds(self) -> np.ndarray:  # [R], in the contender's unit
        return self.contender.work / self.seconds

    def counted(self, work: float, unit: str) -> "Timed":
        """The same runs, their work told in another unit."""
        return replace(self, contender=replace(self.contender, work=work, unit=unit))


@dataclass(frozen=True)
class Asked:
    """How to measure. The folder is empty, for whatever has to be on disk."""

    folder: Path
    device: str = "cpu"
    repeats: int = 5


@dataclass(frozen=True)
class Spread:
    """What is told of repeated measurements."""

    median: float
    min: float
    max: float
    repeats: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> "Spread":
        low, middle, high = (float(f(values)) for f in (np.min, np.median, np.max))
        return cls(middle, low, high, len(values))


@dataclass(frozen=True)
class Goal:
    """A bound for the median of a row's value, or of its ratio to the peer."""

    bound: float
    kind: Literal["at least", "at most", "under"] = "at least"
    of: Literal["value", "ratio"] = "value"

    def is_reached_by(self, value: float) -> bool:
        match self.kind:
            case "at least":
                return value >= self.bound
            case "at most":
                return value <= self.bound
        return value < self.bound


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a record: a quantity of a contender, perhaps beside its peer and a goal.

    The ratio is of speeds: how many times as fast as the peer, round by round.
    """

    contender: str
    quantity: str
    device: str
    value: Spread | None  # None: not measured
    peer: str = ""
    ratio: Spread | None = None
    goal: Goal | None = None
    note: str = ""  # why it was not measured

    @property
    def reached(self) -> str:
        """Whether the goal is: "yes", "no" or "not measured"; empty without one."""
        if self.goal is None:
            return ""
        judged = self.ratio if self.goal.of == "ratio" else self.value
        if judged is None:
            return "not measured"
        return "yes" if self.goal.is_reached_by(judged.median) else "no"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Row":
        """Raises TypeError or AttributeError if the values are not what `to_json` gives."""
        kinds = {"value": Spread, "ratio": Spread, "goal": Goal}
        parts = {name: kind(**values[name]) for name, kind in kinds.items() if values.get(name)}
        for part in parts.values():
            numbers = vars(part).values() if isinstance(part, Spread) else [part.bound]
            if not all(isinstance(number, int | float) for number in numbers):
                raise TypeError(f"{part} holds what is no number")
        rest = {name: value for name, value in values.items() if name != "reached"}
        return cls(**(rest | parts))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a benchmark found."""

    settings: dict[str, Any]  # plain JSON
    rows: list[Row]
    limits: list[Row] = field(default_factory=list)  # what the machine can do
    notes: list[str] = field(default_factory=list)


def in_turns(
    contenders: Sequence[Contender],
    repeats: int,
    *,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timed]:
    """Run each once to warm up, unless not asked for, then all in each of `repeats` rounds.

    By name.
    """
    seconds: dict[str, list[float]] = {one.name: [] for one in contenders}
    results = {}
    for number in range(0 if warm_up else 1, repeats + 1):
        log.info("round %d of %d: %s", number, repeats, "; ".join(seconds))
        for one in reversed(contenders) if number % 2 else contenders:
            began = clock()
            results[one.name] = one.run()
            if number:
                seconds[one.name].append(clock() - began)
    return {one.name: Timed(one, np.array(seconds[one.name]), results[one.name])
            for one in contenders}  # fmt: skip


def children_cpu_s() -> float:
    """A clock: seconds of CPU that processes have taken which this one started and saw end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def speed_row(
    timed: Timed, device: str, *, peer: Timed | None = None, goal: Goal | None = None
) -> Row:
    """A contender's speed, beside its peer's."""
    return Row(
        contender=timed.contender.name,
        quantity=timed.contender.unit,
        device=device,
        value=Spread.of(timed.speeds),
        peer=peer.contender.name if peer else "",
        ratio=Spread.of(timed.speeds / peer.speeds) if peer else None,
        goal=goal,
    )


def share_row(
    timed: Timed, work: float, limit: Timed, device: str, *, goal: Goal | None = None
) -> Row:
    """How much of a limit a contender reaches; `work` is its own in what the limit counts."""
    return Row(
        contender=timed.contender.name,
        quantity=_share(limit.contender.name),
        device=device,
        value=Spread.of(work / timed.seconds / limit.speeds),
        goal=goal,
    )


def on_cuda(contender: str, limit: str, goal: Goal) -> Row:
    """A goal for such a share that only a GPU can reach."""
    return Row(
        contender=contender,
        quantity=_share(limit),
        device="cuda",
        value=None,
        goal=goal,
        note="needs --device cuda",
    )


def _share(limit: str) -> str:
    return f"share of {limit}"


def peak_bytes() -> int | None:
    """The most memory that this process has had; None where the system does not tell."""
    # Not ru_maxrss, which a process has from the one that started it.
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


@contextmanager
def one_core() -> Iterator[None]:
    """A `with` block that has one core to compute on."""
    threads = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    torch.set_num_threads(1)
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, cores)
