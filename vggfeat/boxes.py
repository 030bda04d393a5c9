"""Boxes: their overlap, their place in a crop, and how a net encodes them.

A box is (left, upper, right, lower) in pixels from 0, right and lower outside. Of an object in its
window of s x s pixels a net regresses centre and size (paper, appendix A.1):

    ((left + right) / 2 - s / 2) / s,  ((upper + lower) / 2 - s / 2) / s,
    (right - left) / s,  (lower - upper) / s

The paper does not state how it normalises them. A box may reach out of its window.

Arrays of boxes are [..., 4] float.
"""

from pathlib import Path

import numpy as np

from vggfeat.errors import PictureError
from vggfeat.images import rescaled_size

MIN_IOU = 0.5  # above it a box is right (paper, appendix A.2)
# By so much a box may reach out of its picture: some lists count pixels from 1, others from 0.
TOLERANCE = 1.0
NO_BOXES = np.empty((0, 4))
COUNTED = "Its numbers are counted from 0, right and lower outside."  # a file may count otherwise


def encode(boxes: np.ndarray, side: int) -> np.ndarray:
    """The regression targets [..., 4] of boxes in pixels of a window of this side."""
    left, upper, right, lower = np.moveaxis(boxes, -1, 0)
    values = ((left + right) / 2 - side / 2, (upper + lower) / 2 - side / 2, right - left,
              lower - upper)  # fmt: skip
    return np.stack(values, axis=-1) / side


def decode(values: np.ndarray, side: int) -> np.ndarray:
    """Boxes in pixels of the window, of a net's outputs [..., 4]; the inverse of `encode`."""
    x, y, width, height = np.moveaxis(values * side, -1, 0)
    x, y = x + side / 2, y + side / 2
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return np.stack(corners, axis=-1)


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union [...]; 0 where a box is empty, the wrong way round, or NaN."""
    left, upper = (np.maximum(boxes[..., k], others[..., k]) for k in (0, 1))
    right, lower = (np.minimum(boxes[..., k], others[..., k]) for k in (2, 3))
    common = (right - left).clip(min=0) * (lower - upper).clip(min=0)
    union = area(boxes) + area(others) - common
    return np.divide(common, union, out=np.zeros_like(union), where=union > 0)


def area(boxes: np.ndarray) -> np.ndarray:
    """Areas in square pixels [...]; 0 for a box the wrong way round."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return width.clip(min=0) * height.clip(min=0)


def visible(boxes: np.ndarray, side: int) -> np.ndarray:
    """The visible share [...] of each box in a window: of the box's area, or of the window's.

    The larger of both, as a window within a large object shows no less of it than it can.
    """
    return area(boxes.clip(0, side)) / np.minimum(area(boxes), side**2)


def in_crop(
    boxes: np.ndarray,
    size: tuple[int, int],
    scale: int,
    corner: tuple[int, int],
    side: int,
    *,
    mirror: bool,
) -> np.ndarray:
    """Boxes of a picture of this (width, height) in pixels of a crop of it.

    The crop begins at `corner` (left, upper) of the picture with its shortest side at `scale`.
    """
    left, upper, right, lower = np.moveaxis(boxes * _factors(size, scale), -1, 0)
    left, right = left - corner[0], right - corner[0]
    if mirror:
        left, right = side - right, side - left
    return np.stack((left, upper - corner[1], right, lower - corner[1]), axis=-1)


def in_picture(
    boxes: np.ndarray, size: tuple[int, int], scale: int, corners: np.ndarray
) -> np.ndarray:
    """The way back: boxes in pixels of windows that begin at corners [..., 2], (left, upper)."""
    return (boxes + np.concatenate([corners, corners], axis=-1)) / _factors(size, scale)


def check(boxes: np.ndarray, size: tuple[int, int], picture: Path) -> None:
    """Raise PictureError at a box that is empty or not within a picture of this size."""
    for box in boxes:
        named = f"{picture}: the box ({', '.join(f'{value:g}' for value in box)})"
        if not (box[0] < box[2] and box[1] < box[3]):
            raise PictureError(f"{named} is empty. {COUNTED}")
        reach = max(-box[0], -box[1], box[2] - size[0], box[3] - size[1])
        if reach > TOLERANCE:
            raise PictureError(
                f"{named} is not within the picture of {size[0]}x{size[1]} pixels. {COUNTED}"
            )


def _factors(size: tuple[int, int], scale: int) -> np.ndarray:
    """How much a picture grows across and down when it is rescaled, for each number of a box."""
    width, height = rescaled_size(size, scale)
    return np.array([width / size[0], height / size[1]] * 2)
