"""Boxes: overlap, what a net tells of them, and where they lie in a crop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.boxed import rectangle
from torchvision.ops import box_iou

from vggfeat.boxes import MIN_IOU, area, check, decode, encode, in_crop, in_picture, iou, visible
from vggfeat.errors import PictureError
from vggfeat.pretraining import augmentation

UNIT = np.array([0.0, 0.0, 10.0, 10.0])
NAN = float("nan")


def random_boxes(count: int, seed: int) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(-20, 60, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def test_overlap_is_torchvisions():
    one, other = random_boxes(40, 0), random_boxes(30, 1)
    expected = box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    assert (expected > MIN_IOU).any() and (expected == 0).any()
    np.testing.assert_allclose(iou(one[:, None], other[None]), expected, atol=1e-12)


@pytest.mark.parametrize(
    "other, expected",
    [
        ((0, 0, 10, 10), 1),
        ((10, 0, 20, 10), 0),  # touching in an edge
        ((10, 10, 20, 20), 0),  # in a corner
        ((2, 2, 7, 6), 0.2),  # inside
        ((5, 0, 15, 10), 1 / 3),
        ((30, 30, 40, 40), 0),
        ((5, 5, 5, 9), 0),  # empty
        ((10, 0, 0, 10), 0),  # the wrong way round
        ((10, 10, 0, 0), 0),  # in both directions, so that width times height is positive
        ((NAN, 0, 10, 10), 0),
        ((NAN, NAN, NAN, NAN), 0),
    ],
)
def test_overlap_by_hand(other, expected):
    other = np.array(other, dtype=float)
    assert iou(UNIT, other) == pytest.approx(expected)
    assert iou(other, UNIT) == pytest.approx(expected)


@pytest.mark.parametrize("box", [(5, 5, 5, 5), (9, 9, 1, 1), (NAN,) * 4])
def test_a_box_that_is_none_does_not_overlap_itself(box):
    assert iou(np.array(box, dtype=float), np.array(box, dtype=float)) == 0


def test_half_an_overlap_is_not_enough():
    assert iou(UNIT, np.array([0.0, 0.0, 10.0, 5.0])) == 0.5
    assert not iou(UNIT, np.array([0.0, 0.0, 10.0, 5.0])) > MIN_IOU


def test_a_net_regresses_centre_and_size_as_shares_of_its_window():
    """Of 32 pixels the right upper quarter, and the whole."""
    boxes = np.array([[16.0, 0, 32, 16], [0, 0, 32, 32], [-16, 8, 48, 16]])
    expected = [[0.25, -0.25, 0.5, 0.5], [0, 0, 1, 1], [0, -0.125, 2, 0.25]]
    np.testing.assert_array_equal(encode(boxes, 32), expected)
    np.testing.assert_array_equal(decode(np.array(expected), 32), boxes)


def test_decoding_inverts_encoding():
    boxes = random_boxes(50, 2).reshape(5, 10, 4)
    np.testing.assert_allclose(decode(encode(boxes, 224), 224), boxes, atol=1e-10)


@pytest.mark.parametrize("size", [(96, 60), (60, 97), (50, 50)])
@pytest.mark.parametrize("scale", [32, 45, 71])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.3, 0.8), (1.0, 1.0), None])
@pytest.mark.parametrize("mirror", [False, True])
def test_an_object_is_in_the_crops_pixels_where_its_box_says(size, scale, corner, mirror):
    """A white rectangle of a third of the picture: columns and rows where white prevails."""
    box = (size[0] // 3, size[1] // 3, 2 * size[0] // 3, 2 * size[1] // 3)
    place = augmentation.place(size, scale, corner, 32)
    pixels = augmentation.crop(rectangle(size, box), scale, place, 32)
    white = (pixels[:, ::-1] if mirror else pixels)[..., 0] > (40 + 255) / 2
    moved = in_crop(np.array([box], dtype=float), size, scale, place, 32, mirror=mirror)
    left, upper, right, lower = moved[0].clip(0, 32)
    if visible(moved, 32) == 0:
        assert not white.any()
        return
    columns, rows = np.flatnonzero(white.any(axis=0)), np.flatnonzero(white.any(axis=1))
    assert abs(columns[0] - left) <= 1 and abs(columns[-1] + 1 - right) <= 1
    assert abs(rows[0] - upper) <= 1 and abs(rows[-1] + 1 - lower) <= 1


def test_a_place_in_a_crop_by_hand():
    """400x200 at scale 100 is 200x100: everything halves, then the corner is taken off."""
    boxes = np.array([[100.0, 40, 160, 120]])
    moved = in_crop(boxes, (400, 200), 100, (30, 10), 64, mirror=False)
    assert moved.tolist() == [[20, 10, 50, 50]]
    mirrored = in_crop(boxes, (400, 200), 100, (30, 10), 64, mirror=True)
    assert mirrored.tolist() == [[14, 10, 44, 50]]


def test_sides_that_are_rounded_have_factors_of_their_own():
    """31x20 at scale 10 is 15x10, not 15.5x10: the picture's right edge is the rescaled one's."""
    moved = in_crop(np.array([[0.0, 0, 31, 20]]), (31, 20), 10, (0, 0), 10, mirror=False)
    assert moved.tolist() == [[0, 0, 15, 10]]


@pytest.mark.parametrize("size", [(401, 200), (63, 77)])
def test_the_way_back_into_the_picture(size):
    boxes, corners = random_boxes(6, 3), np.random.default_rng(4).integers(0, 99, (6, 2))
    there = [
        in_crop(box, size, 99, tuple(corner), 32, mirror=False)
        for box, corner in zip(boxes, corners, strict=True)
    ]
    np.testing.assert_allclose(in_picture(np.array(there), size, 99, corners), boxes, atol=1e-9)


def test_a_window_within_a_large_object_shows_all_that_it_can():
    large = np.array([[-32.0, -32, 64, 64], [16, -32, 64, 64]])
    assert visible(large, 32).tolist() == [1, 0.5]


def test_the_visible_share():
    boxes = np.array([[0.0, 0, 32, 32], [-10, 0, 10, 20], [24, 24, 40, 40], [40, 0, 50, 10]])
    assert visible(boxes, 32).tolist() == [1, 0.5, 0.25, 0]


def test_an_area_is_never_negative():
    assert area(np.array([[1.0, 1, 3, 4], [3, 1, 1, 4], [3, 4, 1, 1]])).tolist() == [6, 0, 0]


@pytest.mark.parametrize(
    "box, message",
    [
        ((3, 3, 3, 9), r"a\.png: the box \(3, 3, 3, 9\) is empty"),
        ((9, 3, 3, 9), "is empty"),
        ((3, NAN, 9, 9), "is empty"),
        ((0, 0, 52, 9), r"a\.png: the box .* is not within the picture of 50x40 pixels"),
        ((0, 0, 9, 41.5), "is not within"),
        ((-1.5, 0, 9, 9), "is not within"),
        ((0, -2, 9, 9), "is not within"),
        ((60, 60, 70, 70), "is not within"),
        ((0, 0, float("inf"), 9), "is not within"),
    ],
)
def test_a_box_that_cannot_be_is_named(box, message):
    with pytest.raises(PictureError, match=message):
        check(np.array([UNIT, box], dtype=float), (50, 40), Path("a.png"))


@pytest.mark.parametrize("shift", [-1.1, -1, 0, 1, 1.1])
def test_whether_pixels_are_counted_from_0_or_1_makes_no_box_wrong(shift):
    """The box of the whole picture may be shifted by a pixel, and not by more."""

    def is_refused():
        try:
            return check(np.array([[0, 0, 50, 40]]) + shift, (50, 40), Path("a.png")) is not None
        except PictureError:
            return True

    assert is_refused() == (abs(shift) > 1)
