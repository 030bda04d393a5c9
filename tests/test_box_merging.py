"""Greedy merging of boxes, on boxes whose matches are known."""

import numpy as np
import pytest

from vggfeat.box_merging import match, merge
from vggfeat.boxes import iou


def square(x: float, y: float = 0.0, side: float = 10.0) -> list[float]:
    return [x, y, x + side, y + side]


def merged(boxes, scores=None, threshold=0.0):
    merged_boxes, sums = merge(
        np.array(boxes, float), np.array(scores or [1.0] * len(boxes)), threshold
    )
    return merged_boxes.tolist(), sums.tolist()


def test_a_match_by_hand():
    """2 pixels apart: 0.2 of a side, less 8 of 12 columns in common; sides of 10 and 20 mean 15."""
    assert match(np.array(square(0)), np.array(square(2))) == pytest.approx(0.2 - 8 / 12)
    concentric = match(np.array(square(0)), np.array(square(-5, -5, 20)))
    assert concentric == pytest.approx(-0.25)
    apart = match(np.array(square(0)), np.array(square(30, 40, 20)))
    assert apart == pytest.approx(np.hypot(35, 45) / 15)


def test_equal_boxes_match_best():
    assert match(np.array(square(3)), np.array(square(3))) == -1


def test_two_that_overlap_become_their_mean_and_scores_are_added():
    assert merged([square(0), square(2)], [0.25, 0.5]) == ([[1, 0, 11, 10]], [0.75])


def test_distant_ones_stay():
    boxes = [square(0), square(50)]
    assert merged(boxes, [0.25, 0.5]) == (boxes, [0.25, 0.5])


def test_of_a_chain_the_best_match_is_merged_first():
    """b and c are 1 apart, a and b 2: (b + c) / 2 begins at 2.5, with a at 1.25.

    Were a and b merged first it would be 2, and a mean over all three 5 / 3.
    """
    assert merged([square(0), square(2), square(3)], [1, 2, 4]) == ([[1.25, 0, 11.25, 10]], [7])


def test_a_chain_ends_where_the_mean_is_too_far():
    """a to b is 0.3 - 7/13, b to c 0.3 - 7/13: a and b come first; their mean is 4.5 from c."""
    merged_boxes, scores = merged([square(0), square(3), square(6)], [1, 2, 4])
    assert merged_boxes == [[1.5, 0, 11.5, 10], [6, 0, 16, 10]] and scores == [3, 4]


def test_the_threshold_itself_is_good_enough():
    """0.5 apart and a third in common."""
    at = match(np.array(square(0)), np.array(square(5)))
    assert len(merged([square(0), square(5)], threshold=at)[0]) == 1
    assert len(merged([square(0), square(5)], threshold=np.nextafter(at, -1))[0]) == 2


def test_of_any_threshold_the_extremes():
    boxes = [square(0), square(0), square(70), square(900)]
    assert len(merged(boxes, threshold=-2.0)[0]) == 4
    merged_boxes, scores = merged(boxes, threshold=1e9)
    assert len(merged_boxes) == 1 and scores == [4]


def test_equal_boxes_are_one():
    assert merged([square(7)] * 3, [1, 2, 3]) == ([square(7)], [6])


def test_without_boxes_there_are_none():
    merged_boxes, scores = merge(np.empty((0, 4)), np.empty(0))
    assert merged_boxes.shape == (0, 4) and scores.shape == (0,)


def test_boxes_without_an_area_are_left_out():
    empty = [[5, 5, 5, 9], [9, 0, 1, 10], [9, 9, 1, 1], [np.nan] * 4]
    assert merged([*empty, square(0)], [8, 8, 8, 8, 1]) == ([square(0)], [1])


def test_what_is_given_is_not_changed():
    boxes, scores = np.array([square(0), square(1)]), np.array([1.0, 2.0])
    merge(boxes, scores)
    assert boxes.tolist() == [square(0), square(1)] and scores.tolist() == [1, 2]


def naive(boxes: list, scores: list, threshold: float) -> tuple[list, list]:
    """As it is described, with no matrix kept."""
    boxes, scores = [np.array(box) for box in boxes], list(scores)
    while len(boxes) > 1:
        worst = []
        for i in range(len(boxes)):
            for j in range(i + 1, len(boxes)):
                a, b = boxes[i], boxes[j]
                away = np.hypot(*((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2))
                sides = sum(np.sqrt((c[2] - c[0]) * (c[3] - c[1])) for c in (a, b)) / 2
                worst.append((away / sides - iou(a, b), i, j))
        score, i, j = min(worst)
        if score > threshold:
            break
        boxes[i], scores[i] = (boxes[i] + boxes[j]) / 2, scores[i] + scores[j]
        del boxes[j], scores[j]
    return boxes, scores


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.7])
def test_random_boxes_are_merged_as_by_the_naive_loop(threshold):
    random = np.random.default_rng(0)
    corners, sides = random.uniform(0, 60, (25, 2)), random.uniform(20, 50, (25, 2))
    boxes, scores = np.concatenate([corners, corners + sides], axis=1), random.random(25)
    merged_boxes, sums = merge(boxes, scores, threshold)
    expected, expected_sums = naive(boxes.tolist(), scores.tolist(), threshold)
    assert 1 <= len(expected) < 25
    np.testing.assert_allclose(merged_boxes, expected)
    np.testing.assert_allclose(sums, expected_sums)
