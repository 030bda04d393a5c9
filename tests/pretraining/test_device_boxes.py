"""Boxes as tensors against the same of arrays, which tests/test_boxes.py has by hand."""

import numpy as np
import torch

from vggfeat import boxes
from vggfeat.pretraining import device_boxes

NAN = float("nan")
SIDE = 224


def some_boxes(count, seed):
    """Boxes anywhere about a window; some the wrong way round, one empty, one that is none."""
    corners = np.random.default_rng(seed).uniform(-20, SIDE + 20, (count, 2, 2))
    corners[5:] = np.sort(corners[5:], axis=1)
    corners = corners.reshape(count, 4)
    corners[0], corners[1] = NAN, (5, 5, 5, 9)
    return corners


def test_encoding_and_decoding():
    values = some_boxes(50, seed=0)
    for name in ("encode", "decode"):
        expected = getattr(boxes, name)(values, SIDE)
        actual = getattr(device_boxes, name)(torch.from_numpy(values), SIDE)
        np.testing.assert_array_equal(actual.numpy(), expected)


def test_overlaps_of_all_pairs():
    some, others = some_boxes(50, seed=1), some_boxes(40, seed=2)
    expected = boxes.iou(some[:, None], others)
    actual = device_boxes.iou(torch.from_numpy(some)[:, None], torch.from_numpy(others))
    np.testing.assert_array_equal(actual.numpy(), expected)
    assert 0.1 < (expected > 0).mean() < 0.9 and expected.max() > boxes.MIN_IOU
