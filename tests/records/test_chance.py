"""Chance levels beside measured numbers, against what is known without drawing."""

import numpy as np
import pytest

from vggfeat.records.chance import chance_level
from vggfeat.records.scores import Scores


def scores_of(labels) -> Scores:
    n, k = labels.shape
    return Scores(
        ids=[str(i) for i in range(n)],
        splits=np.zeros(n, np.int32),
        labels=labels,
        scores=np.zeros((n, k)),
        classes=[f"class {i}" for i in range(k)],
    )


def test_of_recalls_it_is_one_by_the_number_of_classes():
    assert chance_level(scores_of(2 * np.eye(8, dtype=np.int8) - 1), "mean_class_recall") == 1 / 8


@pytest.mark.parametrize("rule", ["map_area", "map_step"])
def test_of_average_precision_it_is_the_share_of_positives_where_there_are_many(rule):
    labels = np.where(np.arange(1000)[:, None] % np.array([4, 10]) == 0, 1, -1)
    assert chance_level(scores_of(labels), rule) == pytest.approx((1 / 4 + 1 / 10) / 2, abs=0.03)


def test_of_two_examples_it_is_the_mean_of_both_rankings():
    """The one positive comes first or second: an average precision of 1 or 1/2."""
    labels = np.array([[1], [-1]])
    assert chance_level(scores_of(labels), "map_area") == pytest.approx(0.75, abs=0.1)


def test_difficult_examples_are_no_positives_and_a_class_without_any_is_left_out():
    labels = np.array([[1, 0], [-1, -1], [0, -1]])
    assert chance_level(scores_of(labels), "map_area") == pytest.approx(0.75, abs=0.1)
