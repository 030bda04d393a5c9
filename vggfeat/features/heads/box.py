"""Boxes and posteriors of each picture's class, where a net has them (paper, appendix A).

    CentreBox        the box that a regressor predicts from the centre crop
    DenseBoxes       the boxes that it predicts at all positions of the whole picture
    DensePosteriors  a classifier's posteriors of the class at the same positions

Position (i, j) of a map belongs to the window that begins at row 32 i and column 32 j. Vectors of
pictures with fewer than P positions end with zeros. Boxes are stored as the net predicts them;
`boxes.decode` makes pixels of them. They depend on the pictures' labels, whose digest is therefore
in the layer's name.

Shapes: B pictures of a batch of h x w positions, K classes, P positions that a vector has room for.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vggfeat.backbones.network import Network
from vggfeat.errors import NetworkError
from vggfeat.features.crops import centre
from vggfeat.features.heads.head import Head
from vggfeat.vgg import DenseVGG


@dataclass(frozen=True)
class Labels:
    """The class number of each picture, and a digest that differs where labels differ."""

    numbers: Mapping[str, int]
    digest: str


class _OfTrueClass(Head):
    """A head whose vector holds values of the picture's class alone."""

    def __init__(self, network: Network, labels: Labels, num_positions: int = 1):
        super().__init__(network)
        self.labels, self.num_positions = labels, num_positions

    @property
    def module(self) -> nn.Module:
        """Raises NetworkError unless the net has the positions of the VGG nets."""
        module = self.network.output_map
        if not isinstance(module, DenseVGG):
            raise NetworkError(
                f"{self.network.name}: boxes are predicted and scored by the VGG nets only."
            )
        return module

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        assert not mirror, "boxes of mirrored pictures are not averaged"
        values = self._values(module(batch).float())  # [B, classes, values, h, w]
        numbers = [self.labels.numbers[i] if values.shape[1] > 1 else 0 for i in ids]
        rows = torch.arange(len(ids), device=values.device)
        of_class = values[rows, _on_device(numbers, values.device)].flatten(2)
        room = self.num_positions - of_class.shape[2]
        if room < 0:
            raise NetworkError(
                f"{self.network.label}: a picture has more than {self.num_positions} positions."
                " Did it change? The same command reads it again."
            )
        return nn.functional.pad(of_class, (0, room)).flatten(1)

    @abstractmethod
    def _values(self, outputs: Tensor) -> Tensor:
        """The last layer's map [B, outputs, h, w] -> [B, classes, values, h, w]."""


class _Boxes(_OfTrueClass):
    name, plural = "box", "boxes"

    @property
    def dim(self) -> int:
        return 4 * self.num_positions

    def _values(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(1, (-1, 4))


class CentreBox(_Boxes):
    """The predicted box of the class from the centre crop: [4]."""

    @property
    def layer(self) -> str:
        side = self.network.backbone.input_size
        return f"box of the true class, centre crop of {side}, labels {self.labels.digest}"

    def forward(
        self, module: nn.Module, batch: Tensor, *, ids: Sequence[str], mirror: bool
    ) -> Tensor:
        crop = centre(batch, self.network.backbone.input_size)
        return super().forward(module, crop, ids=ids, mirror=mirror)


class DenseBoxes(_Boxes):
    """The predicted boxes of the class at every position: [4 P], coordinate by coordinate."""

    @property
    def layer(self) -> str:
        return f"boxes of the true class, {_places(self)}"


class DensePosteriors(_OfTrueClass):
    """The posteriors of the class at every position: [P]."""

    name, plural = "posterior", "posteriors"

    @property
    def dim(self) -> int:
        return self.num_positions

    @property
    def layer(self) -> str:
        return f"posteriors of the true class, {_places(self)}"

    def _values(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs, dim=1)[:, :, None]


def _places(head: _OfTrueClass) -> str:
    return f"{head.num_positions} positions, labels {head.labels.digest}"


def _on_device(numbers: Sequence[int], device: torch.device) -> Tensor:
    """The numbers as a tensor there; a GPU need not be waited for."""
    values = torch.tensor(numbers)
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values
