"""The very deep nets A to E of Simonyan & Zisserman (2014), and their dense form.

One table holds the six configurations; `build` makes a net from it, `VGG.dense` turns its fully
connected layers into convolutions, `initialise` fills it with random weights.

Shapes: N images, C channels, H W sides, D = 4096 * width descriptor size, K classes.
Parameter names follow torchvision's VGG (`features.<i>`, `classifier.0|3|6`).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, fx, nn

from vggfeat.errors import NetworkError, OptionError, UnknownNameError


@dataclass(frozen=True)
class Configuration:
    """One column of the paper's Table 1: kernel sizes of the convolutions, block by block."""

    letter: str
    blocks: tuple[tuple[int, ...], ...]
    lrn: bool = False  # local response normalisation after the first convolution

    @property
    def num_weight_layers(self) -> int:
        """Convolutions and fully connected layers: the number in the net's name."""
        return sum(len(block) for block in self.blocks) + 3


CONFIGURATIONS = {
    "vgg11": Configuration("A", ((3,), (3,), (3, 3), (3, 3), (3, 3))),
    "vgg11_lrn": Configuration("A-LRN", ((3,), (3,), (3, 3), (3, 3), (3, 3)), lrn=True),
    "vgg13": Configuration("B", ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3))),
    "vgg16_1x1": Configuration("C", ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1))),
    "vgg16": Configuration("D", ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))),
    "vgg19": Configuration("E", ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3))),
}

BLOCK_CHANNELS = (64, 128, 256, 512, 512)
FC_UNITS = 4096
PAPER_INPUT_SIZE = 224  # pixels, side of the paper's crops
MAX_INPUT_SIZE, MAX_WIDTH = 512, 4  # beyond them fc6 alone takes gigabytes
NUM_CLASSES = 1000  # of ILSVRC
STRIDE = 32  # pixels of input per position of the last feature map: five poolings by two


def scaled(channels: int, width: float) -> int:
    """A channel count under the width factor, at least one."""
    return max(1, round(channels * width))


class VGG(nn.Module):
    """A net of the family with fully connected layers: images [N, 3, S, S] -> scores [N, K].

    S is exactly `input_size`; `dense()` gives the net for larger images.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        num_classes: int,
        width: float,
        input_size: int,
        ceil_mode: bool,
    ):
        super().__init__()
        self.input_size = input_size
        self.features, channels = _convolutions(configuration, width, ceil_mode)
        units, side = scaled(FC_UNITS, width), input_size // STRIDE
        self.classifier = nn.Sequential(
            nn.Linear(channels * side * side, units), nn.ReLU(), nn.Dropout(),
            nn.Linear(units, units), nn.ReLU(), nn.Dropout(),
            nn.Linear(units, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Scores [N, K] of images [N, 3, S, S]. Raises NetworkError at another size."""
        if images.shape[-2:] != (self.input_size, self.input_size):
            height, width = images.shape[-2:]
            raise NetworkError(
                f"Images of {height}x{width} do not fit a net with fully connected layers: it takes"
                f" exactly {self.input_size}x{self.input_size}. Use dense() for larger images."
            )
        return self.classifier(self.features(images).flatten(1))

    def dense(self) -> "DenseVGG":
        """The same net as a fully convolutional one, in eval mode, sharing these weights."""
        return DenseVGG(self)


class DenseVGG(nn.Module):
    """The family applied densely (paper, sect. 3.2): fc6 a convolution, fc7 and fc8 1x1 ones.

    images [N, 3, H, W], H and W at least `input_size` -> class-score map [N, K, h, w]. There are
    no dropout layers: this form is for testing only. It holds views of the net's weights, no copy.
    """

    def __init__(self, net: VGG):
        super().__init__()
        self.input_size = net.input_size
        self.features = net.features
        side = net.input_size // STRIDE
        fc6, fc7, fc8 = (net.classifier[i] for i in (0, 3, 6))
        self.fc6 = as_convolution(fc6, side)
        self.fc7 = as_convolution(fc7, 1)
        self.fc8 = as_convolution(fc8, 1)
        self.eval()

    def descriptor_map(self, images: Tensor) -> Tensor:
        """Activations of the last hidden layer, after its ReLU: [N, D, h, w]."""
        self.check_fits(images)
        return torch.relu(self.fc7(torch.relu(self.fc6(self.features(images)))))

    def check_fits(self, images: Tensor) -> None:
        """Raise NetworkError if the images are too small for fc6."""
        check_sides(images, self.input_size)

    def forward(self, images: Tensor) -> Tensor:
        """The class-score map [N, K, h, w] of images [N, 3, H, W]."""
        return self.fc8(self.descriptor_map(images))


@fx.wrap  # an operation of its own where torch.fx writes a net as a graph
def check_sides(images: Tensor, smallest: int) -> None:
    """Raise NetworkError if a side of the images is smaller."""
    height, width = images.shape[-2:]
    if min(height, width) < smallest:
        raise NetworkError(
            f"Images of {height}x{width} are too small for this net: both sides must be at"
            f" least {smallest}. Choose a larger scale."
        )


def build(
    name: str,
    *,
    num_classes: int = NUM_CLASSES,
    width: float = 1.0,
    input_size: int = 224,
    ceil_mode: bool = False,
) -> VGG:
    """Make a net of the family with torch's default weights.

    width multiplies every channel count; input_size is a multiple of 32. ceil_mode rounds pooled
    sides up as Caffe does, which shows only where a side is no multiple of 32.
    Raises UnknownNameError or OptionError.
    """
    check_options(name, width=width, input_size=input_size)
    return VGG(
        CONFIGURATIONS[name],
        num_classes=num_classes,
        width=width,
        input_size=input_size,
        ceil_mode=ceil_mode,
    )


def check_options(name: str, *, width: float, input_size: int) -> None:
    """Raise UnknownNameError or OptionError unless `build` can make such a net."""
    if name not in CONFIGURATIONS:
        raise UnknownNameError("network", name, CONFIGURATIONS)
    if not STRIDE <= input_size <= MAX_INPUT_SIZE or input_size % STRIDE:
        raise OptionError(
            f"input_size must be a multiple of {STRIDE} from {STRIDE} to {MAX_INPUT_SIZE};"
            f" got {input_size}."
        )
    if not 0 < width <= MAX_WIDTH:
        raise OptionError(f"width must be above 0 and at most {MAX_WIDTH}; got {width}.")


@torch.no_grad()
def initialise(
    net: nn.Module, scheme: Literal["glorot", "normal"], *, seed: int, std: float = 0.1
) -> None:
    """Fill convolutions and linear layers with random weights, biases with zeros.

    "normal" draws from N(0, std); the paper prints a variance of 1e-2, which is std 0.1 (sect.
    3.1). "glorot" is the rule of Glorot & Bengio (2010), which the authors later found to work
    without a shallower net to start from. The draw depends on the seed alone.
    """
    if scheme not in ("glorot", "normal"):
        raise OptionError(f"scheme must be 'glorot' or 'normal'; got {scheme!r}.")
    generator = torch.Generator().manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if scheme == "glorot":
                nn.init.xavier_normal_(layer.weight, generator=generator)
            else:
                nn.init.normal_(layer.weight, std=std, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _convolutions(
    configuration: Configuration, width: float, ceil_mode: bool
) -> tuple[nn.Sequential, int]:
    """The five blocks and the number of channels they end with."""
    layers: list[nn.Module] = []
    channels = 3
    for kernels, block_channels in zip(configuration.blocks, BLOCK_CHANNELS, strict=True):
        for kernel in kernels:
            first = not layers
            next_channels = scaled(block_channels, width)
            layers += [nn.Conv2d(channels, next_channels, kernel, padding=kernel // 2), nn.ReLU()]
            if first and configuration.lrn:
                # AlexNet's b = a / (2 + 1e-4 * sum of 5 squares)^0.75; torch divides alpha by 5.
                layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
            channels = next_channels
        layers.append(nn.MaxPool2d(2, 2, ceil_mode=ceil_mode))
    return nn.Sequential(*layers), channels


def as_convolution(linear: nn.Linear, side: int) -> nn.Conv2d:
    """A linear layer over [C, side, side] as a convolution with that kernel, sharing its memory."""
    channels = linear.in_features // (side * side)
    convolution = nn.Conv2d(channels, linear.out_features, side, device="meta")
    convolution.weight = nn.Parameter(
        linear.weight.detach().view(linear.out_features, channels, side, side)
    )
    convolution.bias = nn.Parameter(linear.bias.detach())
    return convolution
