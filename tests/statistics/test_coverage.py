"""95 % intervals hold the true value in 95 % of simulated test sets, for one split and for three.

The long form prints what it finds:

    python -m pytest -m slow -s tests/statistics/test_coverage.py
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from vggfeat.statistics import bootstrap
from vggfeat.statistics.weighted_metrics import AveragePrecisions, ClassShares, Rows

METRICS = ("accuracy", "mean_class_recall", "map_area")
PROBE_NOISE = 0.5  # of what each split's probe makes of a picture, beside its difficulty


def rows_of_splits(rng, num_pictures: int, num_splits: int) -> Rows:
    """All pictures in one split, or six of ten at random in each of several."""
    share = num_pictures if num_splits == 1 else num_pictures * 6 // 10
    tests = [rng.permutation(num_pictures)[:share] for _ in range(num_splits)]
    # Numbered without gaps, as a picture that is in no split is not known.
    pictures = np.unique(np.concatenate(tests), return_inverse=True)[1]
    return Rows(pictures=pictures, splits=np.repeat(np.arange(num_splits), share))


def two_of(rng, rows: Rows, shape: tuple[int, ...] = ()):
    """What two nets find difficult in each row, correlated between nets and between splits."""
    size = (rows.num_pictures, *shape)
    common, *others = (rng.normal(size=size) for _ in range(3))
    noises = (PROBE_NOISE * rng.normal(size=(len(rows.pictures), *shape)) for _ in range(2))
    return [
        (0.8 * common + 0.6 * o)[rows.pictures] + n for o, n in zip(others, noises, strict=True)
    ]


def single_labels(rng, metric: str, num_pictures: int, num_splits: int):
    """Two nets' metric on classes of different size and difficulty, and the true values."""
    abilities = np.linspace(0.2, 1.6, 8)
    shares = np.linspace(1, 3, 8) / np.linspace(1, 3, 8).sum()
    rows = rows_of_splits(rng, num_pictures, num_splits)
    truth = rng.choice(8, size=rows.num_pictures, p=shares)[rows.pictures]
    is_mean = metric == "mean_class_recall"
    nets, true_values = [], []
    for difficulty, gain in zip(two_of(rng, rows), (0, 0.15), strict=True):
        right = (abilities + gain)[truth] + difficulty > 0
        nets.append(ClassShares(rows, truth, right, 8, mean_of_classes=is_mean))
        recalls = norm.cdf((abilities + gain) / np.hypot(1, PROBE_NOISE))
        true_values.append(recalls.mean() if is_mean else recalls @ shares)
    return nets, rows.num_pictures, true_values


def several_labels(rng, metric: str, num_pictures: int, num_splits: int, num_classes: int = 6):
    """Two nets' mean average precision; classes differ in how many pictures have them."""
    rows = rows_of_splits(rng, num_pictures, num_splits)
    shares = np.linspace(0.1, 0.4, num_classes)
    signs = np.where(rng.random((rows.num_pictures, num_classes)) < shares, 1, -1)[rows.pictures]
    scored = np.ones((rows.num_splits, num_classes), dtype=bool)
    nets = [
        AveragePrecisions(rows, signs, gain * (signs > 0) + difficulty, scored, rule=metric)
        for difficulty, gain in zip(
            two_of(rng, rows, (num_classes,)), (1.8, 2.0), strict=True
        )
    ]  # fmt: skip
    return nets, rows.num_pictures, None


def simulation(metric: str) -> Callable:
    return several_labels if metric == "map_area" else single_labels


def value(net, num_pictures: int) -> float:
    return float(bootstrap.mean_over_splits(net, np.ones((num_pictures, 1)))[0])


def true_values_of(metric: str, num_pictures: int, num_splits: int, repeats: int) -> list[float]:
    """What the metric is on average: of average precision, on so many pictures."""
    simulate = simulation(metric)
    _, _, exact = simulate(np.random.default_rng(0), metric, 50, 1)
    if exact is not None:
        return exact
    rng = np.random.default_rng(1)
    simulated = [simulate(rng, metric, num_pictures, num_splits) for _ in range(repeats)]
    return np.mean([[value(net, count) for net in nets] for nets, count, _ in simulated], axis=0)


def coverage(metric: str, num_pictures: int, num_splits: int, repeats: int, num_draws: int):
    """The share of intervals that hold the true difference, and of the first net's true value."""
    rng = np.random.default_rng(2)
    truth_a, truth_b = true_values_of(metric, num_pictures, num_splits, min(repeats, 600))
    held = np.zeros((repeats, 2), dtype=bool)
    for repeat in range(repeats):
        nets, count, _ = simulation(metric)(rng, metric, num_pictures, num_splits)
        a, b = bootstrap.draws(nets, count, num_draws=num_draws, seed=repeat)
        of_difference = bootstrap.interval_of_difference(a - b)
        of_value = bootstrap.interval_of_value(a, value(nets[0], count), count)
        held[repeat] = not of_difference.excludes(truth_a - truth_b), not of_value.excludes(truth_a)
    return held.mean(axis=0)


@pytest.mark.parametrize("num_splits", [1, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_intervals_hold_the_truth_about_as_often_as_they_say(metric, num_splits):
    shares = coverage(metric, 200, num_splits, repeats=80, num_draws=200)
    assert (shares >= 0.87).all(), shares  # 80 repeats: 0.95 - 3 standard errors of 0.024


@pytest.mark.slow
@pytest.mark.parametrize("num_splits", [1, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_coverage_of_95_percent_is_93_to_97(metric, num_splits):
    of_difference, of_value = coverage(metric, 1000, num_splits, repeats=1000, num_draws=1000)
    print(f"\n{metric}, {num_splits} splits: {of_difference:.1%} difference, {of_value:.1%} value")
    assert 0.93 <= of_difference <= 0.97 and 0.93 <= of_value <= 0.97
