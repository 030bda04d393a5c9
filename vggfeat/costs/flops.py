"""Floating-point operations of a net, counted from the shapes of its layers."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vggfeat.images import rescaled_size


def count_forward(net: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Operations of the forward pass of images [N, 3, H, W]."""
    return _counted(net, shape, backward=False)


def count_step(net: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Operations of the forward and backward pass of images [N, 3, H, W], as in training."""
    return _counted(net, shape, backward=True)


def count_descriptors(
    net: nn.Module, sizes: Sequence[tuple[int, int]], scales: Sequence[int], *, mirror: bool
) -> int:
    """Operations of extracting pictures of these (width, height), each at all scales."""
    passes = [rescaled_size(size, scale) for size in sizes for scale in scales]
    operations = {(w, h): count_forward(net, (1, 3, h, w)) for w, h in set(passes)}
    return sum(operations[shape] for shape in passes) * (2 if mirror else 1)


def _counted(net: nn.Module, shape: tuple[int, int, int, int], *, backward: bool) -> int:
    net = deepcopy(net).to("meta")  # shapes suffice: nothing is computed
    with torch.set_grad_enabled(backward), FlopCounterMode(display=False) as counter:
        output = net(torch.empty(shape, device="meta"))
        if backward:
            output.sum().backward()
    return counter.get_total_flops()
