"""A convolution with what follows it in one operation of oneDNN's, whose weights are made once.

Batch normalisation becomes part of the weights, in float32 and before they are rounded to bf16; a
sum and an activation are applied to each value before it is rounded and written. The operators are
those that torch.compile calls. They are private to torch, so whatever they do not take is computed
layer by layer: on other devices, with gradients, and convolutions that AMX computes wrongly.
"""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vggfeat.amx import is_wrong_convolution
from vggfeat.backbones.layer_graph import is_exactly
from vggfeat.devices import cpu_has_amx
from vggfeat.errors import reason_of

log = logging.getLogger(__name__)

PRECISIONS = (torch.float32, torch.bfloat16)
LARGE = 2**20  # weights that take longer to lay out in each pass than 0.2 ms, as finding out does


@dataclass(frozen=True)
class Activation:
    """An activation as oneDNN's operators name it."""

    name: str = "none"
    numbers: tuple[float, ...] = ()
    algorithm: str = ""

    @property
    def arguments(self) -> tuple[str, list[float], str]:
        """What the operators take of it."""
        return self.name, list(self.numbers), self.algorithm


NONE = Activation()
ACTIVATIONS = nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.GELU


def activation_of(layer: nn.Module | None) -> Activation | None:
    """A layer as an activation that can be a part of a convolution; None: it cannot."""
    if not is_exactly(layer, *ACTIVATIONS):
        return None
    match layer:
        case nn.ReLU6() | nn.Hardtanh():
            return Activation("hardtanh", (float(layer.min_val), float(layer.max_val)))
        case nn.ReLU():
            return Activation("relu")
        case nn.SiLU():
            return Activation("swish")
        case nn.Hardswish():
            return Activation("hardswish")
        case nn.Sigmoid():
            return Activation("sigmoid")
        case nn.GELU(approximate=approximate):
            return Activation("gelu", algorithm=approximate)
    return None


class _Form:
    """Weights and bias in one precision, and large weights as oneDNN lays them out.

    Otherwise they are laid out in each pass, which takes two fifths of the time of VGG-16's fc6.
    One layout is kept, that of the first shape: most others want the same.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        self.weight, self.bias = weight, bias
        self._of_shape: dict[torch.Size, Tensor] = {}
        self._kept: tuple[bytes, Tensor] | None = None

    def weight_for(self, shape: torch.Size, layout: tuple) -> Tensor:
        """The weights for images of a shape, which give the same numbers in every layout."""
        if self.weight.numel() < LARGE:
            return self.weight
        if shape in self._of_shape:
            return self._of_shape[shape]
        laid_out = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *layout, list(shape))
        described = torch.ops.mkldnn._get_mkldnn_serialized_md(laid_out).numpy().tobytes()
        self._kept = self._kept or (described, laid_out)
        self._of_shape[shape] = self._kept[1] if described == self._kept[0] else self.weight
        return laid_out


class FusedConvolution(nn.Module):
    """images [N, C, H, W] -> activation(normalised(convolution) + other), [N, D, h, w].

    It shares the layers' parameters, which stay as they are, and keeps what it computes with in a
    form of its own, made in the first pass at a precision: that of autocast, else the images'.
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self.convolution = convolution
        self.norm: nn.BatchNorm2d | None = None
        self.adds = False  # whether `other` is added
        self.activation: nn.Module | None = None
        self._forms: dict[torch.dtype, _Form] = {}
        self._has_failed = False

    def forward(self, images: Tensor, other: Tensor | None = None) -> Tensor:
        dtype = (
            torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype
        )
        if not self._is_taken(images, other, dtype):
            return self.by_layers(images, other)
        try:
            with torch.autocast("cpu", enabled=False):
                return self._at_once(_channels_last(images.to(dtype)), other)
        except RuntimeError as error:  # of operators that promise nothing
            if not self._has_failed:
                self._has_failed = True
                log.info("a convolution is run layer by layer: %s", reason_of(error))
            return self.by_layers(images, other)

    def by_layers(self, images: Tensor, other: Tensor | None = None) -> Tensor:
        """The same by the layers it is made of, as the net has them."""
        values = self.convolution(images)
        values = self.norm(values) if self.norm else values
        values = values + other if other is not None else values
        return self.activation(values) if self.activation else values

    def _is_taken(self, images: Tensor, other: Tensor | None, dtype: torch.dtype) -> bool:
        conv = self.convolution
        if images.device.type != "cpu" or images.ndim != 4 or torch.is_grad_enabled():
            return False
        if dtype not in PRECISIONS or not images.is_floating_point():
            return False
        if isinstance(other, Tensor):
            if other.dtype != dtype or other.shape != self._shape_of(images):
                return False
        elif other is not None:  # a number
            return False
        return not (
            dtype == torch.bfloat16
            and cpu_has_amx()
            and is_wrong_convolution(images, conv.weight, conv.stride, conv.padding, conv.dilation)
        )

    def _at_once(self, images: Tensor, other: Tensor | None) -> Tensor:
        if images.dtype not in self._forms:
            self._forms[images.dtype] = self._with_norm(images.dtype)
        conv, form = self.convolution, self._forms[images.dtype]
        layout = conv.padding, conv.stride, conv.dilation, conv.groups
        places = form.weight_for(images.shape, layout), form.bias, *layout
        unary = activation_of(self.activation) or NONE
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(images, *places, *unary.arguments)
        if form.bias is None or form.bias.dtype == images.dtype:
            name = None if unary == NONE else unary.name
            return torch.ops.mkldnn._convolution_pointwise.binary(
                images, _channels_last(other), *places, "add", 1.0, name, [], ""
            )
        # The operator that adds takes no bias in float32.
        values = torch.ops.mkldnn._convolution_pointwise(images, *places, *NONE.arguments)
        values.add_(other)
        return values if unary == NONE else values.relu_()

    def _with_norm(self, dtype: torch.dtype) -> "_Form":
        """Weights and bias with the normalisation in them."""
        conv = self.convolution
        weight, bias = conv.weight.detach(), conv.bias
        if self.norm:
            weight, bias = _normalised(conv, self.norm)
        # A bias is the same at all positions, so what bf16 rounds of it is not averaged away.
        return _Form(
            _channels_last(weight.to(dtype)), None if bias is None else bias.detach().float()
        )

    def _shape_of(self, images: Tensor) -> tuple[int, ...]:
        conv = self.convolution
        sides = (
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, padding, dilation, kernel, stride in zip(
                images.shape[2:], conv.padding, conv.dilation, conv.kernel_size, conv.stride,
                strict=True,
            )
        )  # fmt: skip
        return (len(images), conv.out_channels, *sides)


def _normalised(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weights and bias of the convolution whose output is the normalised one."""
    with torch.no_grad():
        factor = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            factor = factor * norm.weight.double()
        offset = -norm.running_mean.double() * factor
        if norm.bias is not None:
            offset = offset + norm.bias.double()
        if conv.bias is not None:
            offset = offset + conv.bias.double() * factor
        weight = conv.weight.double() * factor[:, None, None, None]
        return weight.float(), offset.float()


def _channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last)
