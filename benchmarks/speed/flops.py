"""Floating-point operations of a net, counted from the shapes of its layers."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vggfeat.images import rescaled_size


def of_forward(net: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Of a pass of pictures [N, 3, H, W]."""
    return _counted(net, shape, and_back=False)


def of_step(net: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Of a pass there and back, as training makes them."""
    return _counted(net, shape, and_back=True)


def of_descriptors(
    net: nn.Module, sizes: Sequence[tuple[int, int]], scales: Sequence[int], *, mirror: bool
) -> int:
    """Of describing pictures of these (width, height), each at all scales."""
    passes = [rescaled_size(size, scale) for size in sizes for scale in scales]
    each = {(w, h): of_forward(net, (1, 3, h, w)) for w, h in set(passes)}
    return sum(each[one] for one in passes) * (2 if mirror else 1)


def _counted(net: nn.Module, shape: tuple[int, int, int, int], *, and_back: bool) -> int:
    net = deepcopy(net).to("meta")  # shapes suffice: nothing is computed
    with torch.set_grad_enabled(and_back), FlopCounterMode(display=False) as counter:
        given = net(torch.empty(shape, device="meta"))
        if and_back:
            given.sum().backward()
    return counter.get_total_flops()
