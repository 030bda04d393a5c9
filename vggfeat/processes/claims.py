"""Parts of a job, handed out to processes one by one: `handed_out`.

A counter in the processes' store gives out fresh parts. A process that has one open says so in a
slot of its own, with a number that a thread raises every few seconds. When no fresh parts are left,
idle processes watch the slots: a part whose number stood still for the lease, as its process died,
is taken over, and one that takes far longer than others is done a second time beside it. Nobody
compares clocks of two machines. Two processes may so be at one part, each with a token of its own;
both make the same.

The store has a counter, a slot for each process, and a mark for each part that was done: four
requests a part, whatever the number of parts and processes.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vggfeat.processes.meeting import StoreLost, store_asked
from vggfeat.processes.workers import Workers

LEASE_S = 60.0  # of silence, after which a part goes to another process
BEATS = 10  # of a slot in this time, and looks at all slots by idle processes
SLOW = 3.0  # times as long as other parts, which is so slow that another process does it, too
FREE, TAKEN = "-", "taken"  # what a slot holds that has no open part
LEFT = "left"  # in the place of the number, of a part that a process gave up


@dataclass(frozen=True)
class Claim:
    """A part that this process has taken; token names what it writes meanwhile."""

    part: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _lost: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def lost(self) -> bool:
        """Whether another process has the part meanwhile: what this one still does is in vain."""
        return self._lost.is_set()


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
    whoever did them. All processes must ask for the same jobs by the same names, and for those of
    one name in the same order. Raises WorkerFailed if another process failed, StoreLost if the
    store is gone.
    """
    if workers.store is None:
        for part in range(num_parts):
            if not is_done(part):
                yield Claim(part)
        return
    with _Job(workers, workers.numbered(job), num_parts, is_done, lease_s) as handing:
        while (claim := handing.fresh() or handing.left_over()) is not None:
            yield claim
            handing.finish(claim)


class _Job:
    """The parts of a job as the store knows them, and the slot of this process."""

    def __init__(
        self,
        workers: Workers,
        name: str,
        num_parts: int,
        is_done: Callable[[int], bool],
        lease_s: float,
    ):
        self.workers, self.num_parts, self.is_done, self.lease_s = (
            workers, num_parts, is_done, lease_s,
        )  # fmt: skip
        from torch.distributed import PrefixStore

        self.store = PrefixStore(f"job/{name}", workers.store)
        self.slot = f"slot/{workers.rank}"
        self.lock = threading.Lock()  # of what is open, and of the slot
        self.open: Claim | None = None
        self.written, self.num_beats, self.opened_at = FREE, 0, 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.seconds: list[float] = []  # that parts took here
        self.has_fresh = True
        self.slots_seen: dict[int, _Slot] = {}

    def __enter__(self) -> "_Job":
        self.thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        """Beat no more: what is open after an error or a signal goes to another process."""
        self.ended.set()
        self.thread.join()
        if kind is not None and self.open is not None and not self.open.lost:
            left = f"{self.open.part} {self.open.token} {LEFT}"
            with suppress(StoreLost):
                self._ask("compare_set", self.slot, self.written, left)

    def fresh(self) -> Claim | None:
        """The next part that nobody has had yet, if there is one."""
        while self.has_fresh:
            self.workers.check()
            part = self._ask("add", "next", 1) - 1
            self.has_fresh = part < self.num_parts
            if not self.has_fresh:
                return None
            if self.is_done(part):
                self._ask("add", "done", 1)
                continue
            claim = Claim(part)
            self._open(claim)
            return claim
        return None

    def finish(self, claim: Claim) -> None:
        """Count a part as done, once, whoever else has done it."""
        self.seconds.append(time.monotonic() - self.opened_at)
        if self._ask("add", f"done/{claim.part}", 1) == 1:
            self._ask("add", "done", 1)
        self._close()

    def left_over(self) -> Claim | None:
        """A part that another process does not get done, once there is one; None when all are."""
        looked_at = idle_since = time.monotonic()
        for _ in self.workers.looks():
            if self._ask("add", "done", 0) >= self.num_parts:
                return None
            now = time.monotonic()
            if now < looked_at + self.lease_s / BEATS:
                continue
            looked_at, slots = now, self._slots(now)
            if slots:
                idle_since = now
            for slot in slots:
                if claim := self._taken_over(slot, now):
                    return claim
            if now > idle_since + self.lease_s:  # a process died between two requests
                part = self._unheard_of()
                claim = None if part is None else self._reopened(part)
                if part is None or claim is not None:
                    return claim
        return None

    def _slots(self, now: float) -> "list[_Slot]":
        """The slots of others with an open part, those that stand still for longest first."""
        others = [rank for rank in range(self.workers.size) if rank != self.workers.rank]
        known = [
            rank
            for rank in others
            if rank in self.slots_seen or self._ask("check", [f"slot/{rank}"])
        ]
        texts = self._ask("multi_get", [f"slot/{rank}" for rank in known]) if known else []
        for rank, text in zip(known, texts, strict=True):
            old = self.slots_seen.get(rank)
            self.slots_seen[rank] = _Slot.seen(rank, text.decode(), old, now)
        is_open = [slot for slot in self.slots_seen.values() if slot.part is not None]
        return sorted(is_open, key=lambda slot: slot.silent_since)

    def _taken_over(self, slot: "_Slot", now: float) -> Claim | None:
        """The part of another's slot, if that is silent, or slow and not done twice already."""
        if slot.is_left or now >= slot.silent_since + self.lease_s:
            claim = Claim(slot.part)
            self._open(claim)  # before: a part that somebody has open cannot be forgotten
            taken = f"{TAKEN} {claim.token}"
            if self._ask("compare_set", f"slot/{slot.rank}", slot.text, taken).decode() != taken:
                self._close()
                return None
            return self._unless_done(claim)
        typical = sum(self.seconds) / len(self.seconds) if self.seconds else 0.0
        if now >= slot.open_since + max(SLOW * typical, self.lease_s):
            return self._reopened(slot.part)
        return None

    def _reopened(self, part: int) -> Claim | None:
        """A part that this process opens beside whoever has it, unless another one did so."""
        claim = Claim(part)
        self._open(claim)
        if self._ask("add", f"again/{part}", 1) == 1:
            return self._unless_done(claim)
        self._close()
        return None

    def _unless_done(self, claim: Claim) -> Claim | None:
        """The claim, unless the disk has its part: then it is counted as done."""
        if not self.is_done(claim.part):
            return claim
        self.finish(claim)
        return None

    def _unheard_of(self) -> int | None:
        """A part that was given out, and neither is done nor open; None if all are done."""
        for part in range(self.num_parts):
            if not self._ask("check", [f"done/{part}"]) and not self.is_done(part):
                return part
        return None

    def _open(self, claim: Claim) -> None:
        with self.lock:
            self.open, self.num_beats, self.opened_at = claim, 0, time.monotonic()
            self.written = f"{claim.part} {claim.token} 0"
            self._ask("set", self.slot, self.written)

    def _close(self) -> None:
        with self.lock:
            self.open, self.written = None, FREE
            self._ask("set", self.slot, FREE)

    def _beat(self) -> None:
        """Raise the number in the slot now and then, until another process has taken the part."""
        while not self.ended.wait(self.lease_s / BEATS):
            with self.lock:
                if self.open is None or self.open.lost:
                    continue
                self.num_beats += 1
                text = f"{self.open.part} {self.open.token} {self.num_beats}"
                try:
                    found = self._ask("compare_set", self.slot, self.written, text).decode()
                    is_lost = found != text or self._ask("check", [f"done/{self.open.part}"])
                except StoreLost:
                    return  # the main thread meets it, too
                self.written = text
                if is_lost:
                    self.open._lost.set()

    def _ask(self, request: str, *arguments: Any) -> Any:
        with store_asked():
            return getattr(self.store, request)(*arguments)


@dataclass(frozen=True)
class _Slot:
    """The slot of another process, and since when it holds what it holds."""

    rank: int
    text: str
    part: int | None  # None: it has none open
    open_since: float
    silent_since: float

    @property
    def is_left(self) -> bool:
        """Whether the process said that it will not go on with its part."""
        return self.text.endswith(f" {LEFT}")

    @classmethod
    def seen(cls, rank: int, text: str, old: "_Slot | None", now: float) -> "_Slot":
        """The slot at this moment, after what was seen of it before."""
        part, _, rest = text.partition(" ")
        token = rest.partition(" ")[0]
        is_same = old is not None and old.text.split(" ")[:2] == [part, token]
        return cls(
            rank=rank,
            text=text,
            part=int(part) if part not in (FREE, TAKEN) else None,
            open_since=old.open_since if is_same else now,
            silent_since=old.silent_since if is_same and old.text == text else now,
        )
