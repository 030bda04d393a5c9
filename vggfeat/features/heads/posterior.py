"""Class posteriors of a picture, densely or over crops (paper, sect. 3.2 and 4.3).

    Dense   the whole picture: the net as a fully convolutional one, its class-score map averaged
            over positions, softmax; averaged with the mirrored picture's
    Crops   a regular grid of 5x5 crops and their mirror images: the mean of 50 posteriors
    Centre  the centre crop alone

Shapes: B pictures of h x w pixels, s side of a crop, K classes.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vggfeat.features.crops import GRID, centre, cut, grid
from vggfeat.features.heads.head import Head
from vggfeat.features.views import with_mirror_images


class _Posterior(Head):
    name, plural = "posterior", "posteriors"
    mirror: bool  # whether the view has mirror images, which options of the extraction state

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
    """The posterior of the whole picture's averaged class-score map."""

    mirror = True

    @property
    def layer(self) -> str:
        return "posterior, dense"

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        views = with_mirror_images([batch]) if mirror else [batch]
        return torch.stack([posterior(module, view) for view in views]).mean(dim=0)


class Crops(_Posterior):
    """The mean posterior of a grid of crops."""

    mirror = True

    @property
    def layer(self) -> str:
        return f"posterior, {GRID}x{GRID} crops of {self.crop_side}"

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        height, width = batch.shape[2:]
        side = self.crop_side
        total, count = 0, 0
        # Where a side has little room, crops of the grid coincide: each is computed once.
        for upper, rows in Counter(grid(height, side)).items():
            for left, columns in Counter(grid(width, side)).items():
                crop = cut(batch, upper, left, side)
                for view in with_mirror_images([crop]) if mirror else [crop]:
                    total = total + rows * columns * posterior(module, view)
                    count += rows * columns
        return total / count


class Centre(_Posterior):
    """The posterior of the centre crop."""

    mirror = False

    @property
    def layer(self) -> str:
        return f"posterior, centre crop of {self.crop_side}"

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        return posterior(module, centre(batch, self.crop_side))


def posterior(module: nn.Module, images: Tensor) -> Tensor:
    """Softmax of the class-score map averaged over positions: [B, 3, h, w] -> [B, K]."""
    return torch.softmax(module(images).float().mean(dim=(2, 3)), dim=1)
