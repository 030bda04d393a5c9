"""Dropout that does not depend on how a batch is cut up."""

import torch
from torch import Tensor, nn

from vggfeat.pretraining.rng import Purpose, torch_seed
from vggfeat.vgg import VGG

LAYERS = (2, 5)  # of VGG.classifier: after fc6 and fc7


class BatchDropout(nn.Module):
    """Dropout with one mask for a whole batch, of which each micro-batch takes its rows.

    So one device, one device in several passes and many devices drop the same units, and an update
    that is made again after an interruption drops them again. `seed_dropout` comes before each
    forward pass.
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.seed = 0
        self.rows = slice(0, 0)
        self.batch_size = 0

    def forward(self, activations: Tensor) -> Tensor:
        """Activations [n, units] of n of the batch's rows, some of them set to 0."""
        if not self.training or not self.share:
            return activations
        generator = torch.Generator(activations.device).manual_seed(self.seed)
        # For the whole batch, as the numbers that a GPU draws depend on how many it draws.
        shape = (self.batch_size, activations.shape[1])
        uniform = torch.rand(shape, generator=generator, device=activations.device)
        kept = uniform[self.rows] >= self.share
        return activations * kept / (1 - self.share)


def replace_dropout(net: VGG, share: float) -> None:
    """Put BatchDropout in place of the net's own; it drops this share of the units."""
    for layer in LAYERS:
        net.classifier[layer] = BatchDropout(share)


def seed_dropout(net: VGG, seed: int, step: int, rows: slice, batch_size: int) -> None:
    """Set the masks of update `step` for these rows of its batch."""
    for layer in LAYERS:
        dropout = net.classifier[layer]
        dropout.seed = torch_seed(Purpose.DROPOUT, seed, step, layer)
        dropout.rows, dropout.batch_size = rows, batch_size
