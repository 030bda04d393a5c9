"""Processes that were started together find each other in a store that outlives them: `met`.

torchrun's agent keeps one store for all its starts, also after restarts, with everything that was
written into it. Which keys are of this start the leading process decides anew: it answers each of
the others by the number that this one has drawn for itself, so nobody takes an old answer.
"""

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from vggfeat.errors import VggfeatError
from vggfeat.processes.launched import Launched

if TYPE_CHECKING:
    import torch.distributed as dist

CONNECT_S = 600.0  # for the leading process, or its agent, to be there
SHORTEST_S, LONGEST_S = 0.02, 1.0  # between two looks for the others


class StoreLost(VggfeatError):
    """The store that the processes share cannot be reached."""


@contextmanager
def store_asked() -> Iterator[None]:
    """A `with` block that asks the store. Raises StoreLost if it does not answer."""
    try:
        yield
    except RuntimeError as error:
        where = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise StoreLost(
            f"the processes' store at {where} is gone: the leading process, or torchrun's agent"
            " beside it, has ended, or its machine cannot be reached. What was done is kept; the"
            " same command goes on from there."
        ) from error


@contextmanager
def met(place: Launched) -> "Iterator[tuple[dist.Store, threading.Event]]":
    """A `with` block with the keys of this start alone, and what is set once all have met.

    The leading process must not leave before that: nobody else answers. Raises StoreLost if nobody
    does.
    """
    import torch.distributed as dist

    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=CONNECT_S)))
    except (RuntimeError, ValueError) as error:
        where = ":".join(os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT"))
        reason = str(error).partition("\n")[0]
        raise StoreLost(
            f"process {place.rank} of {place.size} did not meet the others at {where} ({reason})."
        ) from error
    store = dist.PrefixStore("vggfeat", store)
    if place.rank > 0:
        yield dist.PrefixStore(_answer(store, place.rank), store), threading.Event()
        return
    start, all_met, ended = uuid.uuid4().hex, threading.Event(), threading.Event()
    host = threading.Thread(
        target=_answer_all, args=(store, start, place.size, all_met, ended), daemon=True
    )
    host.start()
    try:
        yield dist.PrefixStore(start, store), all_met
    finally:
        ended.set()
        host.join()


def _answer(store: "dist.Store", rank: int) -> str:
    """The name of this start, as the leading process answers."""
    drawn, waiting = uuid.uuid4().hex, threading.Event()
    pause = SHORTEST_S
    with store_asked():
        store.set(f"here/{rank}", drawn)
        while not store.check([f"answer/{drawn}"]):
            waiting.wait(pause)
            pause = min(pause * 1.5, LONGEST_S)
        start = store.get(f"answer/{drawn}").decode()
        store.set(f"here/{rank}", start)
    return start


def _answer_all(
    store: "dist.Store", start: str, size: int, all_met: threading.Event, ended: threading.Event
) -> None:
    """Answer the others until all have come, or this process ends."""
    missing, pause = set(range(1, size)), SHORTEST_S
    with suppress(RuntimeError):  # the store is gone, which whoever asks it is told
        while missing:
            for rank in sorted(missing):
                if not store.check([f"here/{rank}"]):
                    continue
                drawn = store.get(f"here/{rank}").decode()
                if drawn == start:
                    missing.remove(rank)
                else:
                    store.set(f"answer/{drawn}", start)
            if missing and ended.wait(pause):
                return
            pause = min(pause * 1.5, LONGEST_S)
    all_met.set()
