"""Metrics against scikit-learn's and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

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
