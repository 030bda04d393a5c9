"""Metrics under weights are those of the pictures repeated so often, computed in other ways."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score

from vggfeat import metrics
from vggfeat.statistics.weighted_metrics import AveragePrecisions, ClassShares, Rows


def weights_and_lists(rng, num_pictures: int, count: int = 5):
    """Weights [U, count], and the lists of pictures that they stand for."""
    lists = [np.sort(rng.integers(0, num_pictures, num_pictures)) for _ in range(count)]
    counts = [np.bincount(drawn, minlength=num_pictures) for drawn in lists]
    return np.stack(counts, axis=1).astype(float), lists


def one_split(num_pictures: int) -> Rows:
    return Rows(pictures=np.arange(num_pictures), splits=np.zeros(num_pictures, dtype=int))


@pytest.mark.parametrize("decimals", [8, 1, 0])  # few decimals give ties
@pytest.mark.parametrize("rule", metrics.AP_RULES)
def test_average_precision_of_repeated_pictures(rule, decimals):
    rng = np.random.default_rng(decimals)
    for size in (3, 10, 60):
        signs = rng.choice([1, 0, -1, -1], (size, 3))
        signs[0] = 1
        scores = rng.normal(size=(size, 3)).round(decimals)
        scores[-1] = -np.inf  # a picture that could not be read
        weights, lists = weights_and_lists(rng, size)
        ap = AveragePrecisions(
            one_split(size), signs, scores, np.ones((1, 3), dtype=bool), rule=rule
        ).of_classes(weights)
        for draw, drawn in enumerate(lists):
            for k in range(3):
                expected = metrics.average_precisions(signs[drawn, k], scores[drawn, k])[rule]
                np.testing.assert_allclose(ap[0, k, draw], expected, atol=1e-12)


def test_average_precision_by_steps_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    signs = rng.choice([1, -1], (40, 2))
    scores = rng.normal(size=(40, 2)).round(1)
    weights, lists = weights_and_lists(rng, 40)
    scored = np.ones((1, 2), dtype=bool)
    metric = AveragePrecisions(one_split(40), signs, scores, scored, rule="map_step")
    expected = [
        np.mean([average_precision_score(signs[i, k] > 0, scores[i, k]) for k in range(2)])
        for i in lists
    ]
    np.testing.assert_allclose(metric.of_splits(weights)[0], expected)


def test_shares_of_repeated_pictures_in_splits_that_share_them():
    rng = np.random.default_rng(2)
    class_of = rng.integers(0, 4, 50)
    in_split = [np.sort(rng.permutation(50)[:30]) for _ in range(3)]
    predicted = [rng.integers(0, 4, 30) for _ in range(3)]
    pictures = np.concatenate(in_split)
    rows = Rows(pictures=pictures, splits=np.repeat(np.arange(3), 30))
    truth, right = class_of[pictures], class_of[pictures] == np.concatenate(predicted)
    weights, lists = weights_and_lists(rng, 50)
    for is_mean, expected in ((True, balanced_accuracy_score), (False, accuracy_score)):
        values = ClassShares(rows, truth, right, 4, mean_of_classes=is_mean).of_splits(weights)
        for draw, drawn in enumerate(lists):
            for split in range(3):
                place = {picture: n for n, picture in enumerate(in_split[split])}
                chosen = [place[picture] for picture in drawn if picture in place]
                of_split = class_of[in_split[split]][chosen], predicted[split][chosen]
                assert values[split, draw] == pytest.approx(expected(*of_split))


def test_a_class_without_a_picture_or_positive_has_no_value_and_leaves_the_mean():
    rows = one_split(3)
    shares = ClassShares(
        rows, np.array([0, 0, 1]), np.array([True, False, True]), 3, mean_of_classes=True
    )
    weights = np.array([[1, 1, 1], [1, 1, 0]], dtype=float).T
    np.testing.assert_allclose(shares.of_classes(weights)[0, 1:, 1], np.nan)
    np.testing.assert_allclose(shares.of_splits(weights), [[0.75, 0.5]])
    signs = np.array([[1, -1], [-1, -1], [-1, 1]])
    scores = np.array([[3, 1], [2, 2], [1, 3.0]])
    for rule in metrics.AP_RULES:
        ap = AveragePrecisions(rows, signs, scores, np.ones((1, 2), dtype=bool), rule=rule)
        without_last = ap.of_classes(weights)[0, :, 1]
        assert without_last[0] == 1 and np.isnan(without_last[1])
        untrained = AveragePrecisions(rows, signs, scores, np.array([[True, False]]), rule=rule)
        assert np.isnan(untrained.of_classes(weights)[0, 1]).all()
