"""Crops of a batch of pictures, [B, 3, h, w] -> [B, 3, s, s]; positions in whole pixels."""

from torch import Tensor

GRID = 5  # crops a side of the regular grid (paper, sect. 4.3)


def cut(batch: Tensor, upper: int, left: int, side: int) -> Tensor:
    """The crops of this side that begin at this row and column."""
    return batch[:, :, upper : upper + side, left : left + side]


def centre(batch: Tensor, side: int) -> Tensor:
    """The centre crops, at the place of training's validation crops."""
    height, width = batch.shape[2:]
    return cut(batch, (height - side) // 2, (width - side) // 2, side)


def corners_and_centre(batch: Tensor, side: int) -> list[Tensor]:
    """The five crops that are ten with their mirror images."""
    bottom, right = batch.shape[2] - side, batch.shape[3] - side
    corners = [cut(batch, upper, left, side) for upper in (0, bottom) for left in (0, right)]
    return [*corners, centre(batch, side)]


def grid(length: int, side: int) -> list[int]:
    """Where the crops of a regular grid begin along a side of this length, in whole pixels."""
    room, steps = length - side, GRID - 1
    return [(2 * step * room + steps) // (2 * steps) for step in range(GRID)]  # halves go up
