"""What of a picture a net sees, and the class posteriors that follow (paper, sect. 3.2 and 4.3).

    dense   the whole picture: the net as a fully convolutional one, its class-score map averaged
            over positions, softmax; averaged with the mirrored picture's
    crops   a regular grid of 5x5 crops and their mirror images: the mean of 50 posteriors
    centre  the centre crop alone
    both    the mean of the posteriors of dense and crops

The first three are `Reading`s: posteriors [K] of each picture and scale are extracted as
descriptors are. Shapes: B pictures of h x w pixels, s side of a crop, K classes.
"""

from collections import Counter

import torch
from torch import Tensor, nn

from vggfeat.features.crops import centre, cut
from vggfeat.features.heads.descriptor import Head

GRID = 5  # crops a side


class _Posterior(Head):
    name = "posterior"

    @property
    def dim(self) -> int:
        return self.network.num_outputs

    @property
    def module(self) -> nn.Module:
        return self.network.output_map

    @property
    def crop_side(self) -> int:
        return self.network.backbone.input_size


class Dense(_Posterior):
    mirror = True

    @property
    def layer(self) -> str:
        return "posterior, dense"

    def forward(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        seen = [batch, batch.flip(3)] if mirror else [batch]
        return torch.stack([posterior(module, one) for one in seen]).mean(dim=0)


class Crops(_Posterior):
    mirror = True

    @property
    def layer(self) -> str:
        return f"posterior, {GRID}x{GRID} crops of {self.crop_side}"

    def forward(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        height, width = batch.shape[2:]
        side = self.crop_side
        total, count = 0, 0
        # Where a side has little room, crops of the grid coincide: each is seen once and counted.
        for upper, rows in Counter(grid(height, side)).items():
            for left, columns in Counter(grid(width, side)).items():
                crop = cut(batch, upper, left, side)
                for one in [crop, crop.flip(3)] if mirror else [crop]:
                    total = total + rows * columns * posterior(module, one)
                    count += rows * columns
        return total / count


class Centre(_Posterior):
    mirror = False

    @property
    def layer(self) -> str:
        return f"posterior, centre crop of {self.crop_side}"

    def forward(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        return posterior(module, centre(batch, self.crop_side))


HEADS = {"dense": Dense, "crops": Crops, "centre": Centre}
VIEWS = {
    "dense": ("dense",),
    "crops": ("crops",),
    "both": ("dense", "crops"),
    "centre": ("centre",),
}


def grid(length: int, side: int) -> list[int]:
    """Where the crops of a regular grid begin along a side of this length, in whole pixels."""
    room, steps = length - side, GRID - 1
    return [(2 * step * room + steps) // (2 * steps) for step in range(GRID)]  # halves go up


def posterior(module: nn.Module, images: Tensor) -> Tensor:
    """Softmax of the class-score map averaged over positions: [B, 3, h, w] -> [B, K]."""
    return torch.softmax(module(images).float().mean(dim=(2, 3)), dim=1)
