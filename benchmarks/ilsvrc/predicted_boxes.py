"""Stored outputs of regressors -> the box of each picture's class (paper, appendix A.2).

    centre  a regressor sees the centre crop; the boxes of several scales and nets are averaged
    dense   it sees the whole picture and predicts a box at each position; those of all positions,
            scales and nets are united and merged; each counts as much as the posterior of the
            class that a classifier has at its position, and the box with the most wins

Boxes are in pixels of their picture and cut at its edges. Sizes are (width, height) in pixels.
Shapes: P positions that a stored vector has room for, n of them in a picture.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from vggfeat.box_merging import merge
from vggfeat.boxes import decode, in_picture
from vggfeat.images import rescaled_size
from vggfeat.vgg import STRIDE

Size = tuple[int, int]
EMPTY = np.full(4, np.nan)  # the answer where every box is empty


def grid_of(size: Size, window: int) -> tuple[int, int]:
    """Rows and columns of a net's positions on a picture of this size; window is its input's side.

    The net's maps have a position for every STRIDE pixels of each side.
    """
    width, height = size
    return height // STRIDE - window // STRIDE + 1, width // STRIDE - window // STRIDE + 1


def centre_box(values: np.ndarray, size: Size, scale: int, window: int) -> np.ndarray:
    """The box [4] of a picture of this size, of what a regressor predicts from its centre crop [4].

    The crop is of the picture with its shortest side at `scale`.
    """
    width, height = rescaled_size(size, scale)
    corner = np.array([(width - window) // 2, (height - window) // 2])
    return in_picture(decode(values.astype(float), window), size, scale, corner)


def dense_boxes(
    values: np.ndarray, posteriors: np.ndarray, size: Size, scale: int, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes [n, 4] of all positions of a picture, and their posteriors [n].

    values [4 P] and posteriors [P] are the vectors that are stored for the picture at this scale.
    """
    rows, columns = grid_of(rescaled_size(size, scale), window)
    upper, left = np.mgrid[:rows, :columns] * STRIDE
    corners = np.stack([left.ravel(), upper.ravel()], axis=1)
    predicted = values.reshape(4, -1)[:, : len(corners)].T.astype(float)
    boxes = in_picture(decode(predicted, window), size, scale, corners)
    return boxes, posteriors[: len(corners)]


def mean_box(boxes: Sequence[np.ndarray], size: Size) -> np.ndarray:
    """The mean [4] of boxes, cut at the edges of a picture of this size."""
    return _cut(np.mean(boxes, axis=0), size)


def best_box(
    scored: Iterable[tuple[np.ndarray, np.ndarray]], size: Size, threshold: float
) -> np.ndarray:
    """The merged box [4] with the highest score, of boxes [n, 4] and scores [n] of each scale."""
    boxes, scores = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    boxes, scores = merge(boxes, scores, threshold)
    return _cut(boxes[scores.argmax()] if len(boxes) else EMPTY, size)


def _cut(box: np.ndarray, size: Size) -> np.ndarray:
    return box.clip(0, [*size, *size])
