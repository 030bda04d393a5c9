"""A net that a file holds as a program, opened: what it takes, and how its layers are computed.

Shapes: N images, H W sides of a picture, D channels of a layer, h w sides of its map.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vggfeat.amx import right_convolutions
from vggfeat.backbones.defaults import EXPORTED
from vggfeat.backbones.exported.on_device import follow
from vggfeat.backbones.exported.training_mode import REMEDY, in_training_mode
from vggfeat.backbones.hooks import LayerHooks, ShapeProbe, probe_shapes
from vggfeat.backbones.own_normalisation import given_to_first_layer
from vggfeat.backbones.repeatable import Repeatable
from vggfeat.errors import NetworkError, reason_of


@dataclass(frozen=True, kw_only=True)
class ExportedNet:
    """An exported net and what its input says; None is what may vary from picture to picture.

    Each file format with layers of its own overrides `check_layer` and `with_outputs`, and one that
    torch does not run `given_to_first_layer`. Raises NetworkError if it takes no pictures.
    """

    path: Path
    net: nn.Module
    shape: tuple[int | None, ...] = (None, None, None, None)  # N, 3, H, W
    min_side: int = 1
    output: str = EXPORTED.layer  # the name of what it returns
    attends: bool = False  # positions see each other, so another size is another net
    parts: Collection[str] = ()  # layers that are the tensors it returns, if it returns several
    training: str = ""  # the operator of its graph that is in training mode, if one is

    def __post_init__(self):
        sides = set(self.shape[2:]) - {None}
        if len(self.shape) != 4 or self.shape[1] not in (None, 3) or len(sides) > 1:
            takes = "x".join("any" if side is None else str(side) for side in self.shape)
            raise NetworkError(
                f"{self.path}: takes a tensor {takes}, and pictures are Nx3xSxS. Export it for"
                " square pictures with the channels first."
            )

    def check_layer(self, layer: str) -> None:
        """Raise NetworkError or UnknownNameError at a layer that such a file cannot give."""

    def with_outputs(self, net: nn.Module, layers: Sequence[str]) -> nn.Module:
        """The net changed such that hooks reach these layers."""
        return net

    def layers(self) -> Sequence[str]:
        """What has to be asked for by name to be seen, as values of a graph are."""
        return [self.output]

    def layer_shapes(self, side: int) -> dict[str, tuple[int, ...]]:
        """Each layer that the file can give -> its shape for one picture of this side."""
        net = self.with_outputs(self.net, self.layers())
        return probe_shapes(net, side, batch=self.batch or 1).layer_shapes()

    def given_to_first_layer(self, images: Tensor) -> Tensor | None:
        """What its first layer with weights is given of images [N, 3, H, W]; None: not seen."""
        sizes = self.batch or len(images)
        filled = images.new_zeros(-len(images) % sizes, *images.shape[1:])
        batches = torch.cat([images, filled]).split(sizes)
        found = [self._given(batch) for batch in batches]
        if any(values is None or len(values) % sizes for values in found):
            return None
        rows = len(found[0]) // sizes  # of an image, such as its tokens
        return torch.cat(found)[: rows * len(images)]

    def _given(self, images: Tensor) -> Tensor | None:
        return given_to_first_layer(self.net, images)

    def check_mode(self, layer: str) -> None:
        """Raise NetworkError if its graph says that it was exported in training mode.

        What a layer before the output gives may not depend on it, which its first batch shows.
        """
        if self.training and layer in (self.output, *self.parts):
            raise in_training_mode(self.path, self.training)

    @property
    def batch(self) -> int | None:
        """N, if it takes so many pictures at a time and no others."""
        return self.shape[0]

    @property
    def fixed_side(self) -> int | None:
        """The side of its pictures in pixels, if it takes no others."""
        return next(filter(None, self.shape[2:]), None)

    @property
    def default_side(self) -> int:
        """The side of its pictures in pixels where `--net` states none."""
        return self.fixed_side or EXPORTED.input_size

    def side_for(self, input_size: int | None) -> int:
        """The side of its pictures in pixels. Raises NetworkError at one that it does not take."""
        if input_size and self.fixed_side and input_size != self.fixed_side:
            raise NetworkError(
                f"{self.path}: takes pictures of {self.fixed_side} pixels only; got input_size="
                f"{input_size}. Export it for pictures of that size."
            )
        return input_size or self.default_side

    def probe(self, layer: str, side: int) -> ShapeProbe:
        """The shapes of this layer and of the output. Raises NetworkError or UnknownNameError."""
        self.check_layer(layer)
        net = self.with_outputs(self.net, [layer, self.output])
        try:
            shapes = probe_shapes(net, side, batch=self.batch or 1)
        except NetworkError as error:
            raise NetworkError(f"{self.path}: {error}") from error
        shapes.check(self.path.name, layer)
        return replace(shapes, any_size=shapes.any_size and not self.attends)

    def maps(
        self, net: nn.Module, layers: Sequence[str], side: int, shapes: ShapeProbe
    ) -> nn.Module:
        """A net of this file -> images to a list of maps, one for each layer."""
        maps = self._maps(net, layers, side, shapes)
        state = self.path.stat()
        identity = (str(self.path), state.st_size, state.st_mtime_ns, tuple(layers))
        return Repeatable(maps, identity, name=str(self.path), remedy=REMEDY)

    def _maps(
        self, net: nn.Module, layers: Sequence[str], side: int, shapes: ShapeProbe
    ) -> nn.Module:
        net = self.with_outputs(net, layers)
        if not shapes.first.keys() >= set(layers):
            shapes = probe_shapes(net, side, batch=self.batch or 1)
        for layer in layers:
            shapes.check(self.path.name, layer)
        return _ExportedMaps(self.path, LayerHooks(net, layers, shapes), self.batch)

    def try_out(self, layer: str, side: int, shapes: ShapeProbe) -> None:
        """Run it once on two pictures: integers and too few rows show in a forward pass only.

        Raises NetworkError.
        """
        device = next((tensor.device for tensor in self.net.parameters()), torch.device("cpu"))
        maps = self._maps(self.net, [layer], side, shapes)
        with torch.inference_mode():
            maps(torch.zeros(2, 3, side, side, device=device))


class _ExportedMaps(nn.Module):
    """images [N, 3, H, W] -> a list of maps [N, D, h, w], all float32.

    A net that takes `batch` pictures at a time gets as many, the last ones filled up. Whatever it
    raises becomes a NetworkError.
    """

    def __init__(self, path: Path, maps: nn.Module, batch: int | None):
        super().__init__()
        self.path = path
        self.maps = maps
        self.batch = batch

    def forward(self, images: Tensor) -> list[Tensor]:
        try:
            follow(self.maps, images.device)
            # It computes in the precision that it was exported in, which may be bf16.
            device = images.device.type
            with torch.autocast(device, enabled=False), right_convolutions(device, bf16=True):
                batches = images.float().split(self.batch or len(images))
                maps = [self._maps_of_batch(batch) for batch in batches]
        except NetworkError as error:
            raise NetworkError(f"{self.path}: {error}") from error
        except Exception as error:  # its code may raise anything
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate" in str(error):
                raise
            sides = "x".join(map(str, images.shape))
            raise NetworkError(
                f"{self.path}: fails on images {sides}: {reason_of(error)}"
            ) from error
        return [torch.cat(of_layer) for of_layer in zip(*maps, strict=True)]

    def _maps_of_batch(self, images: Tensor) -> list[Tensor]:
        num_images = len(images)
        if self.batch and num_images < self.batch:
            padding = images.new_zeros(self.batch - num_images, *images.shape[1:])
            images = torch.cat([images, padding])
        maps = []
        for values in self.maps(images):
            if not values.is_floating_point():
                raise NetworkError(
                    f"gives {str(values.dtype).removeprefix('torch.')}, and descriptors are"
                    " floating-point numbers. Choose another layer."
                )
            maps.append(values[:num_images].float())
        return maps
