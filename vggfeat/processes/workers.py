"""Processes that share work through a store of keys: `Workers`; no tensors travel between them.

Extraction needs no collectives, and a process that waits for the leading one, maybe for hours of
measuring, must not run into the time limit of one. What they share goes through torch.distributed's
store, which torchrun's agent keeps for them; without an agent the leading process does.
"""

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vggfeat.errors import VggfeatError, in_one_line
from vggfeat.processes.launched import launched
from vggfeat.processes.meeting import CONNECT_S, StoreLost, met, store_asked

if TYPE_CHECKING:  # torch takes 2 s to import, and most commands work alone
    import torch.distributed as dist

SHORTEST_S, LONGEST_S = 0.01, 0.5  # between two looks at what another process announces
FAREWELL_S = 10.0  # for the others to see that all is over, where the store ends with this process
REPORTED_S = 5.0  # for the leading process to report another one's error
FAILED, REPORTED, FINISHED, LEFT = "failed", "reported", "finished", "left"


class WorkerFailed(VggfeatError):
    """Another of the processes failed; raised in all others, and reported by the leading one."""


@dataclass(frozen=True)
class Workers:
    """This process among all that share the work, on one machine or several.

    What is asked of the others raises WorkerFailed if one of them failed, and StoreLost if the
    store is gone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine
    store: "dist.Store | None" = None  # None: this process works alone
    _all_met: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)
    _times: Counter = field(default_factory=Counter, compare=False)  # how often names were used

    @property
    def leads(self) -> bool:
        """Whether this is the one process that joins, measures and prints."""
        return self.rank == 0

    def announce(self, name: str, value: Any = None) -> None:
        """Tell the others a value that JSON can hold."""
        if self.store is not None:
            with store_asked():
                self.store.set(f"said/{name}", json.dumps(value))

    def announced(self, name: str) -> bool:
        """Whether a value was announced by this name."""
        if self.store is None:
            return False
        with store_asked():
            return self.store.check([f"said/{name}"])

    def wait_for(self, name: str) -> Any:
        """The value that another process announces by this name, however long that takes."""
        if self.store is None:
            raise ValueError(f"one process that works alone would wait for {name!r} forever")
        for _ in self.looks():
            if self.announced(name):
                with store_asked():
                    return json.loads(self.store.get(f"said/{name}"))

    def looks(self) -> Iterator[None]:
        """Moments to look whether something has happened; a signal may come between them."""
        pause = SHORTEST_S
        while True:
            self.check()
            yield
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_S)

    @contextmanager
    def leader_first(self, name: str) -> Iterator[None]:
        """A `with` block that the leading process runs first, as it fetches or unpacks; then all.

        If it fails there, the others raise WorkerFailed instead of trying. All processes must come
        to blocks of one name in the same order.
        """
        name = f"first/{self.numbered(name)}"
        if self.leads:
            try:
                yield
            except BaseException:
                self.announce(name, False)
                raise
            self.announce(name, True)
            return
        if not self.wait_for(name):
            raise WorkerFailed(f"the leading process failed at this first: {name}.")
        yield

    def numbered(self, name: str) -> str:
        """The name with how often it was used, so that nothing said is taken twice."""
        self._times[name] += 1
        return f"{name}#{self._times[name]}"

    def check(self) -> None:
        """Raise WorkerFailed if another process failed, StoreLost if the store is gone."""
        if self.store is None:
            return
        with store_asked():
            if not self.store.check([FAILED]):
                return
            failed = json.loads(self.store.get(FAILED))
        if failed["rank"] != self.rank:
            raise WorkerFailed(f"process {failed['rank']} on {failed['host']}: {failed['line']}")

    def fail(self, error: BaseException) -> bool:
        """Let the others know that this process ends with an error; whether one of them reports it.

        The leading process reports whichever came first, if it can within some seconds.
        """
        if self.store is None or isinstance(error, StoreLost):
            return False
        line = in_one_line(error) if isinstance(error, Exception) else type(error).__name__
        mine = json.dumps({"rank": self.rank, "host": socket.gethostname(), "line": line})
        is_reported = False
        with suppress(StoreLost), store_asked():
            first = self.store.compare_set(FAILED, "", mine).decode()
            if self.leads:
                self.announce(REPORTED)
                self._all_met.wait(FAREWELL_S)
            else:
                ends = time.monotonic() + REPORTED_S
                while not (is_reported := self.announced(REPORTED)) and time.monotonic() < ends:
                    time.sleep(SHORTEST_S)
                is_reported |= first != mine
            self.store.add(LEFT, 1)
            self._see_off()
        return is_reported

    def part(self) -> None:
        """Come to the end together: nobody takes the store, or a machine's agent, from the others.

        The others wait for the leading process, which may measure for hours: an agent whose own
        processes are done leaves after some minutes, and maybe the store with it.
        """
        if self.leads:
            self.announce(FINISHED)
            self._all_met.wait(CONNECT_S)  # some start late, and look for it
        else:
            self.wait_for(FINISHED)
        with store_asked():
            self.store.add(LEFT, 1)
        self._see_off()

    def _see_off(self) -> None:
        """If the store ends with this process, wait until the others have left, but not long."""
        if not self.leads or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            return
        ends = time.monotonic() + FAREWELL_S
        while self.store.add(LEFT, 0) < self.size and time.monotonic() < ends:
            time.sleep(SHORTEST_S)


ALONE = Workers()


@contextmanager
def workers() -> Iterator[Workers]:
    """A `with` block among the processes that torchrun started together, or alone.

    Raises OptionError where the environment says too little, StoreLost if they do not meet.
    """
    place = launched()
    if place is None:
        yield ALONE
        return
    with met(place) as (store, all_met):
        here = Workers(place.rank, place.size, place.local_rank, store, all_met)
        try:
            yield here
        except Exception as error:
            if here.fail(error):
                raise WorkerFailed("the leading process reports what failed.") from error
            raise
        except BaseException as error:
            if here.leads:  # the others do without one that a signal ends
                here.fail(error)
            raise
        here.part()
