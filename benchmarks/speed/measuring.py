"""Interleaved timing of contenders, and the rows of a record: medians, ratios, goals.

A speed by itself says little on a machine that others use too. Contenders, and the limits of the
machine among them, therefore run one after the other in each round, in the opposite order in the
next; ratios are taken within a round.

Shapes: R rounds.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from vggfeat.errors import OptionError

try:
    import resource
except ImportError:  # Windows
    resource = None

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """A way to do some work; `run` returns when all of it is done.

    `work` is its amount, so that `work` per second is a speed in `unit`.
    """

    name: str
    run: Callable[[], Any]
    work: float
    unit: str


@dataclass(frozen=True)
class Timings:
    """The seconds of a contender in each round, and what its last run returned."""

    contender: Contender
    seconds: np.ndarray  # [R]
    result: Any = None

    @property
    def speeds(self) -> np.ndarray:
        """Speeds [R], in the contender's unit."""
        return self.contender.work / self.seconds

    def in_unit(self, work: float, unit: str) -> "Timings":
        """The same seconds, with the amount of work in another unit."""
        return replace(self, contender=replace(self.contender, work=work, unit=unit))


@dataclass(frozen=True)
class Setup:
    """How to measure: a folder, which is empty, for files; the device; the number of rounds."""

    folder: Path
    device: str = "cpu"
    repeats: int = 5


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of repeated measurements."""

    median: float
    min: float
    max: float
    repeats: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> "Spread":
        """The spread of `values` [R]."""
        low, middle, high = (float(f(values)) for f in (np.min, np.median, np.max))
        return cls(middle, low, high, len(values))


def is_number(value: Any) -> bool:
    """Whether it is a finite number that tables can show."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


@dataclass(frozen=True)
class Goal:
    """A bound on the median of a row's value, or of its ratio to the peer."""

    bound: float
    kind: Literal["at least", "at most", "under"] = "at least"
    of: Literal["value", "ratio"] = "value"

    def is_reached_by(self, value: float) -> bool:
        """Whether a median is within the bound."""
        match self.kind:
            case "at least":
                return value >= self.bound
            case "at most":
                return value <= self.bound
        return value < self.bound


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a record: a quantity of a contender, maybe with a peer and a goal.

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
        """Whether the goal is reached: "yes", "no" or "not measured"; empty without a goal."""
        if self.goal is None:
            return ""
        spread = self.ratio if self.goal.of == "ratio" else self.value
        if spread is None:
            return "not measured"
        return "yes" if self.goal.is_reached_by(spread.median) else "no"

    def to_json(self) -> dict[str, Any]:
        """The fields and `reached`, as plain JSON."""
        return asdict(self) | {"reached": self.reached}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Row":
        """The row of what `to_json` returned. Raises TypeError or AttributeError otherwise."""
        kinds = {"value": Spread, "ratio": Spread, "goal": Goal}
        nested = {n: kind(**values[n]) for n, kind in kinds.items() if values.get(n) is not None}
        for value in nested.values():
            numbers = vars(value).values() if isinstance(value, Spread) else [value.bound]
            if not all(map(is_number, numbers)):
                raise TypeError(f"{value} holds what is no number")
        plain = {name: value for name, value in values.items() if name != "reached"}
        if odd := [v for name, v in plain.items() if name not in kinds and not isinstance(v, str)]:
            raise TypeError(f"{odd[0]!r} is no text")
        return cls(**(plain | nested))


@dataclass(frozen=True, kw_only=True)
class SpeedResult:
    """What a benchmark measured, and with which settings."""

    settings: dict[str, Any]  # plain JSON
    rows: list[Row]
    limits: list[Row] = field(default_factory=list)  # what the machine can do
    notes: list[str] = field(default_factory=list)


def time_interleaved(
    contenders: Sequence[Contender],
    repeats: int,
    *,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timings]:
    """Time contenders in `repeats` rounds, each of which runs all, and return name -> timings.

    A round before them warms up and is not timed, unless warm_up=False. Every other round has the
    opposite order.
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    results = {}
    for number in range(0 if warm_up else 1, repeats + 1):
        log.info("round %d of %d: %s", number, repeats, "; ".join(seconds))
        for contender in reversed(contenders) if number % 2 else contenders:
            began = clock()
            results[contender.name] = contender.run()
            if number:
                seconds[contender.name].append(clock() - began)
    return {
        contender.name: Timings(
            contender, np.array(seconds[contender.name]), results[contender.name]
        )
        for contender in contenders
    }


def children_cpu_s() -> float:
    """CPU seconds of finished child processes; a clock for `time_interleaved`.

    Raises OptionError on systems that do not count them.
    """
    if resource is None:
        raise OptionError(
            "startup: this system does not count the CPU seconds of other processes. Name the other"
            " benchmarks of speed instead."
        )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def speed_row(
    timings: Timings, device: str, *, peer: Timings | None = None, goal: Goal | None = None
) -> Row:
    """The row of a contender's speed, with the ratio to its peer's."""
    return Row(
        contender=timings.contender.name,
        quantity=timings.contender.unit,
        device=device,
        value=Spread.of(timings.speeds),
        peer=peer.contender.name if peer else "",
        ratio=Spread.of(timings.speeds / peer.speeds) if peer else None,
        goal=goal,
    )


def share_row(
    timings: Timings, work: float, limit: Timings, device: str, *, goal: Goal | None = None
) -> Row:
    """The row of the share of a limit that a contender reaches; `work` is in the limit's unit."""
    return Row(
        contender=timings.contender.name,
        quantity=_share(limit.contender.name),
        device=device,
        value=Spread.of(work / timings.seconds / limit.speeds),
        goal=goal,
    )


def cuda_only_row(contender: str, limit: str, goal: Goal) -> Row:
    """The row of a share with a goal for GPUs, not measured on this device."""
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
    """Peak memory of this process in bytes; None on systems without /proc, which report none."""
    # Not ru_maxrss, which a process inherits from its parent.
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


@contextmanager
def one_core() -> Iterator[None]:
    """A `with` block that computes on one core, with one thread."""
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
