"""Metrics against scikit-learn's, against the devkit's published algorithm, and by hand."""

import math

import numpy as np
import pytest
from helpers.devkit_ap import devkit_aps
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    recall_score,
)

from vggfeat import metrics


@pytest.mark.parametrize("seed", range(5))
def test_recalls_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, 6, (2, 200))
    recalls = metrics.class_recalls(truth, predicted, 6)
    np.testing.assert_allclose(recalls, recall_score(truth, predicted, average=None))
    mean = metrics.mean_class_recall(truth, predicted, 6)
    assert mean == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert metrics.accuracy(truth, predicted) == pytest.approx(accuracy_score(truth, predicted))


def test_each_class_counts_the_same_however_many_pictures_it_has():
    truth = np.array([0] * 98 + [1, 1])
    predicted = np.array([0] * 98 + [0, 1])
    assert metrics.mean_class_recall(truth, predicted, 2) == pytest.approx((1 + 0.5) / 2)


def test_a_class_without_pictures_has_no_recall():
    recalls = metrics.class_recalls(np.array([0, 2]), np.array([0, 1]), 3)
    assert recalls[0] == 1 and np.isnan(recalls[1]) and recalls[2] == 0
    assert metrics.mean_class_recall(np.array([0, 2]), np.array([0, 1]), 3) == 0.5


def test_three_aps_by_hand():
    """Ranked + - + -: precision 1 up to a recall of 1/2, 2/3 up to 1."""
    aps = metrics.average_precisions([1, -1, 1, -1], [4, 3, 2, 1])
    assert aps["map_11pt"] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert aps["map_area"] == pytest.approx((1 + 2 / 3) / 2)
    assert aps["map_step"] == pytest.approx((1 + 2 / 3) / 2)
    # Ranked - + +: precision 0, 1/2, 2/3, of which only map_step takes the lower one.
    aps = metrics.average_precisions([-1, 1, 1], [3, 2, 1])
    assert aps["map_11pt"] == pytest.approx(2 / 3) and aps["map_area"] == pytest.approx(2 / 3)
    assert aps["map_step"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_difficult_pictures_change_nothing_wherever_they_rank():
    signs, scores = [1, -1, 1], [0.9, 0.5, 0.1]
    plain = metrics.average_precisions(signs, scores)
    for difficult in (1.0, 0.7, 0.5, -math.inf):
        assert metrics.average_precisions([*signs, 0], [*scores, difficult]) == plain


def test_ties_keep_the_order_of_the_list_in_the_devkits_rules_and_are_one_step_in_the_third():
    first = metrics.average_precisions([1, -1], [0.5, 0.5])
    second = metrics.average_precisions([-1, 1], [0.5, 0.5])
    assert first["map_area"] == first["map_11pt"] == 1
    assert second["map_area"] == second["map_11pt"] == 0.5
    assert first["map_step"] == second["map_step"] == 0.5


def test_a_picture_without_a_result_ranks_last():
    aps = metrics.average_precisions([1, -1, 1], [-math.inf, 0.2, 0.7])
    assert aps["map_area"] == pytest.approx((1 + 2 / 3) / 2)
    assert all(math.isfinite(ap) for ap in aps.values())


def test_without_positives_there_is_no_ap():
    for signs in ([], [-1, 0]):
        aps = metrics.average_precisions(signs, [0.0] * len(signs))
        assert set(aps) == set(metrics.AP_RULES) and all(map(math.isnan, aps.values()))


@pytest.mark.slow
def test_a_recall_that_meets_a_level_counts_as_in_matlab():
    """Of ten positives six rank first: a recall of 6/10 meets MATLAB's 0.6, not numpy.arange's."""
    signs = [1] * 6 + [-1] * 90 + [1] * 4
    ap = metrics.average_precisions(signs, range(100, 0, -1))["map_11pt"]
    assert ap == pytest.approx((7 * 1 + 4 * 10 / 100) / 11, abs=1e-12)


@pytest.mark.slow
def test_aps_are_the_devkits_and_scikit_learns_on_thousands_of_random_rankings():
    random = np.random.default_rng(0)
    for _ in range(2500):
        count = random.integers(1, 40)
        signs = random.choice([1, 0, -1], count, p=random.dirichlet([1, 1, 1]))
        scores = random.integers(0, random.integers(1, 60), count) / 7  # ties now and then
        scores[random.random(count) < 0.05] = -math.inf
        aps = metrics.average_precisions(signs, scores)
        if not (signs > 0).any():
            assert math.isnan(aps["map_area"])
            continue
        want_11pt, want_area = devkit_aps(signs, scores)
        assert aps["map_11pt"] == pytest.approx(want_11pt, abs=1e-12)
        assert aps["map_area"] == pytest.approx(want_area, abs=1e-12)
        kept = signs != 0
        finite = np.where(np.isinf(scores), -1, scores)[kept]
        want_step = average_precision_score(signs[kept] > 0, finite)
        assert aps["map_step"] == pytest.approx(want_step, abs=1e-12)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        metrics.average_precisions([1, -1], [0.5, math.nan])
    with pytest.raises(ValueError, match="equally long"):
        metrics.average_precisions([1, -1], [0.5])


def naive_rank(scores, truth):
    """Classes in the order of their scores, of equal ones the first class first."""
    ranked = sorted(range(len(scores)), key=lambda k: (-scores[k], k))
    return ranked.index(truth)


def test_ranks_are_those_of_a_sorted_list_on_random_scores_with_ties():
    random = np.random.default_rng(0)
    for num_values in (2, 5, 1000):
        scores = random.integers(0, num_values, (200, 8)) / 7
        truth = random.integers(0, 8, 200)
        expected = [naive_rank(s, t) for s, t in zip(scores.tolist(), truth, strict=True)]
        assert metrics.ranks(scores, truth).tolist() == expected


def test_where_all_scores_are_equal_the_first_five_classes_are_the_top_five():
    ranks = metrics.ranks(np.zeros((8, 8)), np.arange(8))
    assert ranks.tolist() == list(range(8)) and (ranks < 5).sum() == 5


def test_ranks_of_infinite_scores_and_of_none():
    scores = np.array([[math.inf, math.inf, -math.inf, 0]])
    assert [metrics.ranks(scores, np.array([k]))[0] for k in range(4)] == [0, 1, 3, 2]
    assert metrics.ranks(np.zeros((0, 5)), np.zeros(0, int)).shape == (0,)


def test_ranks_refuse_what_is_no_number():
    with pytest.raises(ValueError, match="NaN"):
        metrics.ranks(np.array([[0.0, math.nan]]), np.array([0]))
