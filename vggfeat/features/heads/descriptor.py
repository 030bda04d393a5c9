"""`Descriptor`: a layer's activations, averaged over positions (paper, sect. 5 and appendix B).

Shapes: B pictures of a batch, V views of a picture, D channels, h w sides of a picture or a map.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vggfeat import images
from vggfeat.backbones.network import Network, joint_module
from vggfeat.features import crops
from vggfeat.features.heads.head import Head

PASS_PIXELS = 2 * images.BATCH_PIXELS  # a batch and its mirror images


class Descriptor(Head):
    """A layer's activations, averaged over positions and over the views of a picture.

    The descriptors of networks that share a forward pass are concatenated: D is their sum.
    """

    def __init__(self, network: Network, shared_with: Sequence[Network] = ()):
        super().__init__(network)
        self.networks = (network, *shared_with)

    @property
    def layer(self) -> str:
        return self.network.backbone.layer

    @property
    def dim(self) -> int:
        return sum(network.backbone.dim for network in self.networks)

    @property
    def module(self) -> nn.Module:
        return joint_module(self.networks)

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        views = self._views(batch)
        if mirror:
            views = [image for view in views for image in (view, view.flip(3))]
        descriptors = torch.cat([pooled(module, joined) for joined in in_passes(views)])  # [V B, D]
        return descriptors.unflatten(0, (-1, len(batch))).mean(dim=0)

    def _views(self, batch: Tensor) -> list[Tensor]:
        """The whole pictures, or crops of them, as the net's `view` says."""
        side = self.network.backbone.input_size
        match self.network.backbone.view:
            case "centre":
                return [crops.centre(batch, side)]
            case "corners":
                return crops.corners_and_centre(batch, side)
        return [batch]


def in_passes(views: Sequence[Tensor]) -> Iterator[Tensor]:
    """Views [B, 3, h, w] of the same pictures, as many joined as may go through a net at once.

    Preparing the weights costs the same for each pass, whatever its batch.
    """
    count = max(1, PASS_PIXELS // views[0][:, 0].numel())
    for start in range(0, len(views), count):
        yield torch.cat(views[start : start + count])


def pooled(module: nn.Module, batch: Tensor) -> Tensor:
    """The net's maps, each averaged over positions, concatenated: [B, D]."""
    return torch.cat([map_.float().mean(dim=(2, 3)) for map_ in module(batch)], dim=1)


def is_square(network: Network) -> bool:
    """Whether pictures are rescaled to squares, their aspect ratio not kept."""
    return network.backbone.view == "resized"


def sees_crops(network: Network) -> bool:
    """Whether descriptors are of crops of the net's input size."""
    return network.backbone.view in ("centre", "corners")
