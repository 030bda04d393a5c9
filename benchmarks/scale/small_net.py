"""A net of two convolutions for numbered pictures, and its descriptors computed without torch.

`--net vggfeat.benchmarks.scale.small_net:small_net:input_size=32` names it.
Shapes: n pictures, 4 x 4 blocks of each, 16 channels in between, 32 dimensions of a descriptor.
"""

import numpy as np
from torch import nn

from vggfeat.benchmarks.scale.numbered_pictures import BLOCK_SIDE, BLOCKS, blocks_of

HIDDEN, DIM = 16, 32


def small_net() -> nn.Module:
    """A convolution for each block, ReLU, and one over all blocks; the weights are random."""
    return nn.Sequential(
        nn.Conv2d(3, HIDDEN, BLOCK_SIDE, stride=BLOCK_SIDE),
        nn.ReLU(),
        nn.Conv2d(HIDDEN, DIM, BLOCKS),
    )


def expected(numbers: np.ndarray, net: nn.Module, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Descriptors [n, 32] of numbered pictures in float64; mean and std [3] are of the input."""
    first, _, second = net
    weights, bias, over_blocks, last_bias = (
        parameter.detach().numpy().astype(np.float64)
        for parameter in (first.weight, first.bias, second.weight, second.bias)
    )
    colours = (blocks_of(numbers) - mean) / std  # [n, 4, 4, 3]; a block's pixels are equal
    hidden = np.maximum(colours @ weights.sum(axis=(2, 3)).T + bias, 0)  # [n, 4, 4, 16]
    return np.tensordot(hidden, over_blocks, ((1, 2, 3), (2, 3, 1))) + last_bias
