"""Boxes as tensors, on the device where they are: what boxes.py does with arrays.

Shapes: [..., 4] of boxes; pixels of a window of side x side, or a net's outputs for it.
"""

import torch
from torch import Tensor


def encode(boxes: Tensor, side: int) -> Tensor:
    """The regression targets [..., 4] of boxes in pixels of a window of this side."""
    left, upper, right, lower = boxes.unbind(-1)
    values = ((left + right) / 2 - side / 2, (upper + lower) / 2 - side / 2, right - left,
              lower - upper)  # fmt: skip
    return torch.stack(values, dim=-1) / side


def decode(values: Tensor, side: int) -> Tensor:
    """Boxes in pixels of the window, of a net's outputs [..., 4]; the inverse of `encode`."""
    x, y, width, height = (values * side).unbind(-1)
    x, y = x + side / 2, y + side / 2
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return torch.stack(corners, dim=-1)


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union [...]; 0 where a box is empty, the wrong way round, or NaN."""
    sides = torch.minimum(boxes, others)[..., 2:] - torch.maximum(boxes, others)[..., :2]
    common = sides.clamp(min=0).prod(dim=-1)
    union = _area(boxes) + _area(others) - common
    return torch.where(union > 0, common / union, 0)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)
