"""`Head`: a kind of vector that a net gives for a picture and a scale, and how a batch gets it.

Shapes: B pictures of a batch, D channels of the vector, h w sides of a picture.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from vggfeat.backbones.network import Network
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.forward import autocast_for, to_input


class Head(ABC):
    """A kind of vector [D] that a net gives for each picture and scale."""

    name = "descriptor"  # as messages name one vector
    plural = "descriptors"
    batch_pixels = BATCH_PIXELS  # of a batch at its largest scale, for heads that cut it up

    def __init__(self, network: Network):
        self.network = network

    @property
    @abstractmethod
    def layer(self) -> str:
        """Its name in feature files; heads whose vectors differ have different names."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """D, how many numbers a vector has."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """The module that pictures go through, in eval mode on the CPU; built on first use."""

    @abstractmethod
    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        """Normalised pictures [B, 3, h, w] of equal shape -> [B, D]; module is on their device.

        ids [B] name the pictures, for heads whose vector depends on more than the pixels.
        """


def describe(
    head: Head,
    module: nn.Module,
    pictures: np.ndarray | Tensor,
    *,
    ids: Sequence[str] = (),
    mirror: bool,
    device: str = "cpu",
    precision: str = "fp32",
) -> Tensor:
    """The head's vectors of a batch at one scale: [B, h, w, 3] uint8 -> [B, D] float32.

    pictures are an array, or a tensor on `device`; ids [B] name them. module is the head's, and on
    `device`, as the result will be; a GPU may still be computing it on return.
    """
    with autocast_for(device, precision):
        batch = to_input(pictures, head.network.statistics, device)
        return head.forward(module, batch, ids=ids, mirror=mirror).float()
