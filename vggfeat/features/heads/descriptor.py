"""`Descriptor`: a layer's activations, averaged over positions (paper, sect. 5 and appendix B).

Shapes: B pictures of a batch, V views of a picture, D channels, h w sides of a picture or a map.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vggfeat.backbones.network import Network, joint_module
from vggfeat.features.heads.head import Head
from vggfeat.features.views import views_of, with_mirror_images


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
        views = views_of(self.network, batch)
        if mirror:
            views = with_mirror_images(views)
        passes = in_passes(views, 2 * self.batch_pixels)  # a batch and its mirror images
        descriptors = torch.cat([pooled(module, joined) for joined in passes])  # [V B, D]
        return descriptors.unflatten(0, (-1, len(batch))).mean(dim=0)


def in_passes(views: Sequence[Tensor], pixels: int) -> Iterator[Tensor]:
    """Views [B, 3, h, w] of the same pictures, as many joined as have no more than these pixels.

    Preparing the weights costs the same for each pass, whatever its batch.
    """
    count = max(1, pixels // views[0][:, 0].numel())
    for start in range(0, len(views), count):
        yield torch.cat(views[start : start + count])


def pooled(module: nn.Module, batch: Tensor) -> Tensor:
    """The net's maps, each averaged over positions, concatenated: [B, D]."""
    return torch.cat([map_.float().mean(dim=(2, 3)) for map_ in module(batch)], dim=1)
