"""Crops of a batch of pictures, [B, 3, h, w] -> [B, 3, s, s]; positions in whole pixels."""

from torch import Tensor


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
