"""Interleaved timing, ratios within a round, and goals, by a clock that the tests move."""

import os

import numpy as np
import pytest
import torch

from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Goal,
    Row,
    Spread,
    Timings,
    children_cpu_s,
    cuda_only_row,
    one_core,
    share_row,
    speed_row,
    time_interleaved,
)


@pytest.fixture
def run_log():
    """The names of contenders in the order they ran, and a clock that only they advance."""

    class RunLog(list):
        now = 0.0

        def contender(self, name: str, *seconds: float, work: float = 1.0) -> Contender:
            waits = iter(seconds)

            def run() -> str:
                self.append(name)
                self.now += next(waits)
                return f"{name} {self.count(name)}"

            return Contender(name, run, work, "pictures/s")

    return RunLog()


def test_contenders_are_interleaved_and_every_other_round_is_reversed(run_log):
    timings = time_interleaved(
        [run_log.contender("a", 9, 1, 2, 3), run_log.contender("b", 9, 4, 5, 6)],
        3,
        clock=lambda: run_log.now,
    )
    assert "".join(run_log) == "ab" + "ba" + "ab" + "ba"
    assert timings["a"].seconds.tolist() == [1, 2, 3]  # without the first run, which warms up
    assert timings["b"].seconds.tolist() == [4, 5, 6]
    assert timings["b"].result == "b 4"


def timings_of(name: str, *seconds: float, work: float = 12.0, unit: str = "pictures/s") -> Timings:
    return Timings(Contender(name, lambda: None, work, unit), np.array(seconds))


def test_a_ratio_is_that_of_speeds_in_the_same_round():
    """The median of ratios, which is not the ratio of medians."""
    row = speed_row(timings_of("ours", 1, 2, 6), "cpu", peer=timings_of("theirs", 4, 6, 12))
    assert row.value == Spread(median=6, min=2, max=12, repeats=3)
    assert row.ratio == Spread(median=3, min=2, max=4, repeats=3)
    assert (row.contender, row.quantity, row.peer) == ("ours", "pictures/s", "theirs")


def test_a_share_of_a_limit_counts_work_as_the_limit_does():
    ours = timings_of("ours", 2, 4)
    limit = timings_of("the copy", 1, 1, work=10, unit="GB/s")
    row = share_row(ours, 4.0, limit, "cpu")
    assert row.value == Spread.of([0.2, 0.1]) and row.quantity == "share of the copy"
    assert ours.in_unit(24, "megapixels/s").speeds.tolist() == [12, 6]


@pytest.mark.parametrize(
    "goal, reached",
    [
        (Goal(4, of="ratio"), "yes"),
        (Goal(4.1, of="ratio"), "no"),
        (Goal(7), "yes"),
        (Goal(7, "at most"), "yes"),
        (Goal(7, "under"), "no"),
        (None, ""),
    ],
)
def test_goals_are_judged_by_medians(goal, reached):
    row = Row(
        contender="ours", quantity="pictures/s", device="cpu", goal=goal,
        value=Spread.of([1, 7, 8]), peer="theirs", ratio=Spread.of([4, 4, 9]),
    )  # fmt: skip
    assert row.reached == reached
    assert Row.from_json(row.to_json()) == row


def test_what_needs_another_device_is_not_measured():
    row = cuda_only_row("ours", "the bf16 matrix product", Goal(0.6))
    assert (row.reached, row.device, row.value) == ("not measured", "cuda", None)
    assert Row.from_json(row.to_json()) == row


def test_one_core_restores_threads_and_cores():
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0)
    with one_core():
        assert torch.get_num_threads() == len(os.sched_getaffinity(0)) == 1
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == (threads, cores)


def test_the_clock_of_children_does_not_count_this_process():
    before = children_cpu_s()
    sum(range(100_000))
    assert children_cpu_s() == before
