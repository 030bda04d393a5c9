"""Prefetching: the order of results, how far ahead threads work, and what happens at an error."""

import threading
import time

import pytest

from vggfeat.prefetch import available_cores, prefetch


def test_results_come_in_the_order_of_the_tasks():
    """The first tasks take longest."""

    def square(number: int) -> int:
        time.sleep(0.01 * (5 - number))
        return number**2

    assert list(prefetch(square, range(6), num_threads=4)) == [0, 1, 4, 9, 16, 25]


def test_without_tasks_there_are_no_results():
    assert list(prefetch(str, [])) == []


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_tasks_than_depth_are_taken_before_their_results(depth):
    taken = []

    def tasks():
        for number in range(10):
            taken.append(number)
            yield number

    results = prefetch(abs, tasks(), num_threads=2, depth=depth)
    assert taken == []  # nothing is begun before the first result is asked for
    for number, result in enumerate(results, start=1):
        assert result == number - 1
        assert len(taken) == min(number + depth, 10)


def test_threads_work_while_the_caller_does():
    """The second task can only end if it runs beside the first."""
    both = threading.Barrier(2, timeout=10)
    assert list(prefetch(lambda _: both.wait() >= 0, range(2), num_threads=2)) == [True, True]


def test_an_error_is_raised_in_its_turn_and_what_has_not_begun_is_cancelled():
    begun = []

    def fail_at_one(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError("one")
        time.sleep(0.02)
        return number

    results = prefetch(fail_at_one, range(100), num_threads=1, depth=50)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)
    num_begun = len(begun)
    assert num_begun < 50
    time.sleep(0.05)
    assert len(begun) == num_begun


def test_a_closed_iterator_leaves_no_thread_behind():
    before = threading.active_count()
    results = prefetch(abs, range(100), num_threads=3)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_processes_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = available_cores()
    assert alone >= 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(2 * alone))
    assert available_cores() == 1
