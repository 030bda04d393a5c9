"""Kinds of vectors that a net gives for a picture and a scale.

`Reading` is what a kind has to define, `Descriptor` the kind that this project is about.

Shapes: B pictures of a batch, V views of a picture, D channels, h w sides of a picture or a map.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vggfeat import images
from vggfeat.backbones.network import Network, joint_module
from vggfeat.features import crops
from vggfeat.features.forward import autocast_for, to_input

PASS_PIXELS = 2 * images.BATCH_PIXELS  # a batch and its mirror images


class Head(ABC):
    """A kind of vector [D] that a net gives for each picture and scale."""

    name = "descriptor"  # what people are told of

    def __init__(self, network: Network):
        self.network = network

    @property
    @abstractmethod
    def layer(self) -> str:
        """What feature files call it; no two kinds have the same name."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """D."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """What the pictures go through, in eval mode on the CPU; built on first use."""

    @abstractmethod
    def forward(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        """Normalised pictures [B, 3, h, w] of equal shape -> [B, D]; module is on their device."""


class Descriptor(Head):
    """A layer's activations, averaged over positions and over what is seen of a picture.

    Of several networks that share a pass, what they give is joined: D is the sum of theirs.
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

    def forward(self, module: nn.Module, batch: Tensor, *, mirror: bool) -> Tensor:
        seen = self._seen(batch)
        if mirror:
            seen = [one for crop in seen for one in (crop, crop.flip(3))]
        found = torch.cat([pooled(module, one) for one in in_passes(seen)])  # [V B, D]
        return found.unflatten(0, (-1, len(batch))).mean(dim=0)

    def _seen(self, batch: Tensor) -> list[Tensor]:
        """What the net sees of the pictures: all of them, or crops."""
        side = self.network.backbone.input_size
        match self.network.backbone.view:
            case "centre":
                return [crops.centre(batch, side)]
            case "corners":
                return crops.corners_and_centre(batch, side)
        return [batch]


def in_passes(views: Sequence[Tensor]) -> Iterator[Tensor]:
    """Views [B, 3, h, w] of the same pictures, as many joined as may go through a net at once.

    A pass costs the same preparations of the weights whatever goes through.
    """
    count = max(1, PASS_PIXELS // views[0][:, 0].numel())
    for start in range(0, len(views), count):
        yield torch.cat(views[start : start + count])


def pooled(module: nn.Module, batch: Tensor) -> Tensor:
    """The maps that a net gives, each averaged over positions, one after the other: [B, D]."""
    return torch.cat([one.float().mean(dim=(2, 3)) for one in module(batch)], dim=1)


def is_square(network: Network) -> bool:
    """Whether pictures are rescaled to squares, their aspect ratio not kept."""
    return network.backbone.view == "resized"


def sees_crops(network: Network) -> bool:
    return network.backbone.view in ("centre", "corners")


def describe(
    head: Head,
    module: nn.Module,
    pictures: np.ndarray,
    *,
    mirror: bool,
    device: str = "cpu",
    precision: str = "fp32",
) -> Tensor:
    """What a reading gives for a batch at one scale: [B, h, w, 3] uint8 -> [B, D] float32.

    module is the reading's own, and on `device`, as what is given; a GPU may still be at it.
    """
    with autocast_for(device, precision):
        batch = to_input(pictures, head.network.statistics, device)
        return head.forward(module, batch, mirror=mirror).float()
