"""The learning rate falls when accuracy stalls."""

import random

import pytest
import torch

from vggfeat.pretraining.schedule import Schedule


def rates(schedule: Schedule, accuracies) -> list[float]:
    """The rate of each epoch, and of the one after the last."""
    rates = [schedule.rate]
    for accuracy in accuracies:
        schedule = schedule.after(accuracy)
        rates.append(schedule.rate)
    return rates


def test_by_hand():
    """Two epochs without a better accuracy are a stall; an equal one is not better."""
    schedule = Schedule(rate=0.01, drops_left=1, patience=2)
    accuracies = [0.1, 0.2, 0.2, 0.15, 0.3, 0.29, 0.31, 0.30, 0.31]
    assert rates(schedule, accuracies) == pytest.approx(
        [0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001]
    )
    for accuracy in accuracies[:-1]:
        schedule = schedule.after(accuracy)
        assert not schedule.over
    assert schedule.after(accuracies[-1]).over


def test_as_torchs_scheduler_does():
    """ReduceLROnPlateau counts an epoch of patience less."""
    draws = random.Random(0)
    for _ in range(20):
        accuracies = [draws.random() for _ in range(30)]
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, mode="max", factor=0.1, patience=2, threshold=0, eps=0, min_lr=1e-5
        )
        expected = [0.01]
        for accuracy in accuracies:
            theirs.step(accuracy)
            expected.append(optimiser.param_groups[0]["lr"])
        ours = rates(Schedule(rate=0.01, drops_left=3, patience=3), accuracies)
        assert ours == pytest.approx(expected)
