"""The thread that stores: all that is put in, in order, whatever happens meanwhile."""

import threading
import time

import numpy as np
import pytest

from vggfeat.features import storing
from vggfeat.features.storing import MAX_WAITING, StoringThread

VECTORS = np.zeros((1, 1, 2))


class Slow:
    """Stores a batch in a millisecond or more; the one that is named "full" cannot be stored."""

    def __init__(self):
        self.stored, self.threads = [], set()

    def __call__(self, ids, vectors):
        time.sleep(0.001)
        if ids == ["full"]:
            raise OSError("disk full")
        self.stored += ids
        self.threads.add(threading.current_thread())


def test_batches_are_stored_in_order_by_one_other_thread():
    store = Slow()
    with StoringThread(store) as thread:
        for number in range(9):
            thread.put([number], VECTORS)
            assert number + 1 - len(store.stored) <= MAX_WAITING + 1  # so memory is bounded
    assert store.stored == list(range(9))
    assert len(store.threads) == 1 and threading.main_thread() not in store.threads


@pytest.mark.parametrize("number_after", [0, 5])
def test_an_error_of_storing_is_raised_soon_or_at_the_end(number_after):
    with pytest.raises(OSError, match="disk full"), StoringThread(Slow()) as thread:
        thread.put(["full"], VECTORS)
        for _ in range(number_after):
            thread.put(["next"], VECTORS)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_all_is_stored_where_the_block_ends_by_an_error(error):
    store = Slow()
    with pytest.raises(error), StoringThread(store) as thread:
        thread.put(["a"], VECTORS)
        thread.put(["b"], VECTORS)
        raise error
    assert store.stored == ["a", "b"]


def test_an_interrupt_while_the_rest_is_stored_waits_for_it(monkeypatch):
    """Or files would be closed while they are written."""
    store, wait, calls = Slow(), storing.wait, []

    def interrupted(futures):
        calls.append(len(store.stored))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return wait(futures)

    monkeypatch.setattr(storing, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt), StoringThread(store) as thread:
        thread.put(["a"], VECTORS)
        thread.put(["b"], VECTORS)
    assert store.stored == ["a", "b"] and len(calls) == 2
