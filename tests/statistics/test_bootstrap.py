"""Intervals of differences against a bootstrap written another way, and what p-values say."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from vggfeat.statistics import bootstrap
from vggfeat.statistics.significance import holm
from vggfeat.statistics.weighted_metrics import AveragePrecisions, ClassShares, Rows


def two_nets(rng, num_pictures: int):
    """True classes, and the predictions of a net that is right more often than another."""
    truth = rng.integers(0, 3, num_pictures)
    predictions = [
        np.where(rng.random(num_pictures) < right, truth, rng.integers(0, 3, num_pictures))
        for right in (0.7, 0.6)
    ]
    return truth, predictions


def plain_bootstrap(statistic, num_pictures: int, count: int = 4000) -> np.ndarray:
    """Ends of the interval by lists of drawn pictures, one after the other."""
    rng = np.random.default_rng(11)
    values = [statistic(rng.choice(num_pictures, num_pictures)) for _ in range(count)]
    return np.percentile(values, [2.5, 97.5])


def plain_ap(positive, scores) -> float:
    """The mean, over positives, of precision among the examples that score as much or more."""
    not_below = scores[None] >= scores[positive][:, None]
    return float(((not_below & positive).sum(axis=1) / not_below.sum(axis=1)).mean())


def test_the_interval_of_a_difference_of_mean_class_recalls():
    rng = np.random.default_rng(0)
    truth, (a, b) = two_nets(rng, 150)
    rows = Rows(pictures=np.arange(150), splits=np.zeros(150, dtype=int))
    nets = [ClassShares(rows, truth, truth == p, 3, mean_of_classes=True) for p in (a, b)]
    of_a, of_b = bootstrap.draws(nets, 150)

    def difference(drawn):
        recall_a, recall_b = (
            np.mean([(p[drawn] == k)[truth[drawn] == k].mean() for k in range(3)]) for p in (a, b)
        )
        return recall_a - recall_b

    expected = plain_bootstrap(difference, 150, 1500)
    assert bootstrap.interval_of_difference(of_a - of_b) == pytest.approx(expected, abs=0.012)
    measured = bootstrap.mean_over_splits(nets[0], np.ones((150, 1)))[0]
    assert measured == pytest.approx(balanced_accuracy_score(truth, a))


def test_the_interval_of_a_difference_of_average_precisions_over_splits_that_share_pictures():
    """Pictures are drawn with all their rows, so both splits see the same draw."""
    rng = np.random.default_rng(1)
    sign_of = rng.choice([1, -1, -1], 60)
    tests = [np.sort(rng.permutation(60)[:40]) for _ in range(2)]
    pictures = np.concatenate(tests)
    rows = Rows(pictures=pictures, splits=np.repeat([0, 1], 40))
    signs = sign_of[pictures][:, None]
    scores = [gain * (signs > 0) + rng.normal(size=signs.shape) for gain in (2, 1)]
    scored = np.ones((2, 1), dtype=bool)
    nets = [AveragePrecisions(rows, signs, s, scored, rule="map_step") for s in scores]
    of_a, of_b = bootstrap.draws(nets, 60, num_draws=4000)

    def difference(drawn):
        differences = []
        for start in (0, 40):
            place = {picture: start + n for n, picture in enumerate(tests[start // 40])}
            chosen = [place[picture] for picture in drawn if picture in place]
            of_a, of_b = (plain_ap(signs[chosen, 0] > 0, s[chosen, 0]) for s in scores)
            differences.append(of_a - of_b)
        return np.mean(differences)

    assert plain_ap(signs[:, 0] > 0, scores[0][:, 0]) == pytest.approx(
        average_precision_score(signs[:, 0] > 0, scores[0][:, 0])
    )
    expected = plain_bootstrap(difference, 60, 1500)
    assert bootstrap.interval_of_difference(of_a - of_b) == pytest.approx(expected, abs=0.02)


def test_draws_follow_from_the_seed_whatever_is_drawn_beside():
    truth, (a, b) = two_nets(np.random.default_rng(2), 40)
    rows = Rows(pictures=np.arange(40), splits=np.zeros(40, dtype=int))
    nets = [ClassShares(rows, truth, truth == p, 3, mean_of_classes=False) for p in (a, b)]
    both = bootstrap.draws(nets, 40, num_draws=50)
    np.testing.assert_array_equal(bootstrap.draws(nets[1:], 40, num_draws=50)[0], both[1])
    assert not np.array_equal(both, bootstrap.draws(nets, 40, num_draws=50, seed=1))


def test_one_picture_says_next_to_nothing():
    rows = Rows(pictures=np.zeros(1, dtype=int), splits=np.zeros(1, dtype=int))
    net = ClassShares(rows, np.array([0]), np.array([True]), 1, mean_of_classes=False)
    values = bootstrap.draws([net], 1, num_draws=20)[0]
    assert bootstrap.interval_of_value(values, 1.0, 1) == pytest.approx((0.025, 1))


def test_where_all_pictures_are_right_the_interval_is_that_of_a_share():
    """With 60 of 60 right, 94 % is not refuted: 0.94 ** 60 is 0.025."""
    low, high = bootstrap.interval_of_value(np.ones(100), 1.0, 60)
    assert low**60 == pytest.approx(0.025) and high == 1
    low, high = bootstrap.interval_of_value(np.zeros(100), 0.0, 60)
    assert low == 0 and (1 - high) ** 60 == pytest.approx(0.025)


def test_the_interval_of_a_value_is_moved_back_by_the_lift_of_repeated_pictures():
    values = np.linspace(0.5, 0.7, 1001)  # of mean 0.6
    low, high = bootstrap.interval_of_value(values, 0.55, 60)
    assert (low, high) == pytest.approx((0.455, 0.645))


def test_the_p_value_counts_draws_on_the_other_side_of_0():
    p = bootstrap.bootstrap_p
    assert p(np.ones(999)) == pytest.approx(2 / 1000)  # never 0, if no draw differs
    assert p(np.array([-1.0] * 9 + [1] * 990)) == pytest.approx(2 * 10 / 1000)
    assert p(-np.array([-1.0] * 9 + [1] * 990)) == pytest.approx(2 * 10 / 1000)
    assert p(np.zeros(99)) == 1
    assert p(np.array([np.nan, 1, 1, 1])) == pytest.approx(2 / 4)  # a draw without a value


def test_a_p_value_beyond_the_draws_is_that_of_a_normal_distribution():
    """Else the least of 10,000 draws would be 0.0002, and Holm's of 300 pairs above 0.05."""
    draws = np.random.default_rng(4).normal(6, 1, 10_000)
    p = bootstrap.bootstrap_p(draws)
    assert p == pytest.approx(2 * norm.sf(6), rel=0.3)
    assert holm([p] * 300).max() < 1e-6
    assert bootstrap.bootstrap_p(-draws) == p
    near = np.random.default_rng(4).normal(2, 1, 10_000)
    assert bootstrap.bootstrap_p(near) == pytest.approx(2 * norm.sf(2), abs=0.005)


@pytest.mark.filterwarnings("error")
def test_a_net_that_is_always_right_has_an_interval_and_no_warning():
    rows = Rows(pictures=np.arange(5), splits=np.zeros(5, dtype=int))
    truth, right = np.array([0, 0, 1, 1, 1]), np.ones(5, dtype=bool)
    net = ClassShares(rows, truth, right, 2, mean_of_classes=False)
    (values,) = bootstrap.draws([net], 5, num_draws=50)
    assert bootstrap.interval_of_value(values, 1.0, 10) == (pytest.approx(0.025**0.1), 1)
