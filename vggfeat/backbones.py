"""Net specifications -> networks behind one face: pictures in, a map of descriptors or scores out.

A specification is `NAME[:KEY=VALUE,...][@WEIGHTS]`, several joined by `+` are used together:

    vgg16                                  the 16-layer net with torchvision's weights
    squeezenet1_0@weights.safetensors      weights from a file
    vgg19:width=0.25,input_size=64@random:0   a narrow net with random weights of seed 0
    runs/vgg16-256.safetensors             a file of `vggfeat pretrain`, whose card names its net
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from vggfeat import networks
from vggfeat.errors import NetworkError, OptionError, UnknownNameError, WeightsError
from vggfeat.folders import folders
from vggfeat.images import PAPER_STATISTICS, TORCHVISION_STATISTICS, InputStatistics
from vggfeat.weights import checkpoint, released
from vggfeat.weights.card import Card, read_card

log = logging.getLogger(__name__)

RANDOM = "random:"
SUFFIX_WITH_CARD = ".safetensors"
DEFAULT_OUTPUTS = 1000  # classes of ILSVRC


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What has to be known of a net before it is built."""

    layer: str  # whose activations are the descriptor, after the ReLU unless it says before
    dim: int  # D, channels of that layer
    min_size: int  # smallest side of a picture, pixels
    input_size: int  # side of the crops it was trained on, pixels
    classifier: str  # the key whose first axis counts the outputs
    build: Callable[[int], nn.Module]  # number of outputs -> net as it was trained
    to_map: Callable[[nn.Module], nn.Module]  # -> images [N, 3, H, W] to map [N, D, h, w]
    to_output_map: Callable[[nn.Module], nn.Module]  # -> the same to map [N, K, h, w]


@dataclass(frozen=True)
class Network:
    """A net and its weights, as a specification names them. The net is built on first use.

    weights is a file's name, "torchvision" or "random:SEED"; weights_sha256 is the file's digest,
    empty for random weights, which are determined by their name.
    """

    name: str
    weights: str
    weights_sha256: str
    statistics: InputStatistics
    backbone: Backbone
    weights_path: Path | None  # None: random
    card: Card | None = None  # what a file of ours says of itself

    @property
    def label(self) -> str:
        return f"{self.name}@{self.weights}"

    @property
    def weights_identity(self) -> str:
        """What decides the weights: "random:SEED", or "sha256:" and the file's digest."""
        return f"sha256:{self.weights_sha256}" if self.weights_sha256 else self.weights

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return re.sub(r"[^A-Za-z0-9.]+", "_", self.name)

    @cached_property
    def module(self) -> nn.Module:
        """In eval mode on the CPU: normalised images [N, 3, H, W] -> descriptor map [N, D, h, w].

        Raises WeightsError if the file does not fit the net.
        """
        return self.backbone.to_map(self._built())

    @cached_property
    def output_map(self) -> nn.Module:
        """As `module`, but up to the last layer: -> map of class scores or boxes [N, K, h, w]."""
        return self.backbone.to_output_map(self._built())

    @cached_property
    def num_outputs(self) -> int:
        """K, as the weights have it. Raises WeightsError."""
        if self.weights_path is None:
            return DEFAULT_OUTPUTS
        return self._outputs_of(checkpoint.read(self.weights_path))

    def _built(self) -> nn.Module:
        """The net as it was trained, with its weights."""
        if self.weights_path is None:
            net = self.backbone.build(DEFAULT_OUTPUTS)
            networks.initialise(net, "glorot", seed=int(self.weights.removeprefix(RANDOM)))
        else:
            tensors = checkpoint.read(self.weights_path)
            with torch.device("meta"):  # no memory, no random numbers: the tensors replace it all
                net = self.backbone.build(self._outputs_of(tensors))
            checkpoint.load(net, tensors, self.weights_path)
        return net.eval()

    def _outputs_of(self, tensors: Mapping[str, Tensor]) -> int:
        last = tensors.get(self.backbone.classifier)
        return len(last) if last is not None and last.ndim else DEFAULT_OUTPUTS


def load_network(
    specification: str, *, weights_dir: Path | None = None, offline: bool = False
) -> Network:
    """The network that a specification without `+` names.

    weights_dir receives torchvision's files, the user's cache folder if it is not given. A file is
    hashed now and read when the net is first used. Raises UnknownNameError, OptionError,
    WeightsError or DownloadError.
    """
    name, options, weights = parse(specification)
    stated = ",".join(f"{key}={options[key]}" for key in NET_OPTIONS if key in options)
    net = f"{name}:{stated}" if stated else name
    backbone = BACKBONES[name](**options)
    if weights.startswith(RANDOM):
        statistics = PAPER_STATISTICS if name in networks.CONFIGURATIONS else TORCHVISION_STATISTICS
        return Network(net, weights, "", statistics, backbone, weights_path=None)
    if weights == "torchvision":
        if {"width", "input_size"} & options.keys():
            raise WeightsError(
                f"{specification}: torchvision has no weights for a changed net. Give a file"
                f" ({net}@FILE) or random weights ({net}@random:0)."
            )
        path = released.torchvision_file(name, weights_dir or folders().weights, offline=offline)
    else:
        path = Path(weights).expanduser()
        weights = path.name
    sha256 = checkpoint.sha256_of(path)
    if weights == "torchvision":
        released.check_digest(path, sha256)
        return Network(net, weights, sha256, TORCHVISION_STATISTICS, backbone, weights_path=path)
    card = _card(path, name, options)
    statistics = InputStatistics(card.mean, card.std) if card else TORCHVISION_STATISTICS
    return Network(net, weights, sha256, statistics, backbone, weights_path=path, card=card)


def parse(specification: str) -> tuple[str, dict[str, float | int | bool], str]:
    """Name, options that differ from the defaults, and weights of a specification without `+`.

    Looks at no file but one that stands alone, whose card names the net. Raises UnknownNameError,
    OptionError or WeightsError.
    """
    net, _, weights = _with_its_net(specification).partition("@")
    name, _, text = net.partition(":")
    if name not in BACKBONES:
        raise UnknownNameError("network", name, BACKBONES)
    options: dict[str, float | int | bool] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in NET_OPTIONS:
            raise UnknownNameError(f"option of {specification!r}", key, NET_OPTIONS)
        if key in options:
            raise OptionError(f"{specification}: {key} is given twice.")
        try:
            options[key] = NET_OPTIONS[key][0](value)
        except (ValueError, KeyError) as error:
            raise OptionError(f"{specification}: {key}={value!r} is not a valid value.") from error
    BACKBONES[name](**options)  # refuses values that are out of range
    if weights.startswith(RANDOM) and not re.fullmatch(r"random:\d{1,18}", weights):
        raise OptionError(f"{specification}: random weights need a seed, such as random:0.")
    changed = {key: value for key, value in options.items() if value != NET_OPTIONS[key][1]}
    return name, changed, weights or "torchvision"


def before_relu(specification: str) -> str:
    """The same nets, their descriptors taken before the last hidden layer's ReLU."""
    parts = []
    for part in split_fusion(specification):
        net, at, weights = _with_its_net(part).partition("@")
        name, _, options = net.partition(":")
        kept = [o for o in options.split(",") if o and not o.startswith("relu=")]
        parts.append(f"{name}:{','.join([*kept, 'relu=false'])}{at}{weights}")
    return "+".join(parts)


def split_fusion(specification: str) -> list[str]:
    """Split `a+b` into its nets; a `+` inside a file name is left alone."""
    parts: list[str] = []
    for piece in specification.split("+"):
        if parts and not (_begins_with_net(piece) or _is_complete(parts[-1])):
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _begins_with_net(text: str) -> bool:
    return re.match(rf"(?:{'|'.join(BACKBONES)})(?:[:@]|$)", text) is not None


def _is_complete(part: str) -> bool:
    """Whether it names a net and weights, so that what follows a `+` is another net."""
    return part.endswith(checkpoint.SUFFIXES) or (
        re.fullmatch(r"[^@]*(@(torchvision|random:\d+))?", part) is not None
    )


def _with_its_net(specification: str) -> str:
    """A file of ours that stands alone, with its net in front; all else as it is."""
    if not specification.endswith(SUFFIX_WITH_CARD) or _begins_with_net(specification):
        return specification
    path = Path(specification).expanduser()
    card = read_card(path)
    if card is None:
        raise WeightsError(f"{path}: does not say which net it belongs to. Write NET@{path}.")
    return f"{card.net}@{specification}"


def _card(path: Path, name: str, options: Mapping[str, object]) -> Card | None:
    """The card of a file, if it has one. Raises WeightsError if that is of another net."""
    card = read_card(path) if path.suffix == SUFFIX_WITH_CARD else None
    if card is None:
        log.info("%s: no input statistics in the file, torchvision's are used", path)
        return None
    its_name, its_options, _ = parse(card.net)
    size = {key: value for key, value in options.items() if key in ("width", "input_size")}
    if (its_name, its_options) != (name, size):
        raise WeightsError(f"{path}: holds weights of {card.net}. Name the file alone.")
    return card


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


# Key -> how to read its value, and the default, which a net's name leaves out.
NET_OPTIONS: Mapping[str, tuple[Callable[[str], float | int | bool], float | int | bool]] = {
    "width": (float, 1.0),
    "input_size": (int, 224),
    "ceil_mode": (_boolean, False),
    "relu": (_boolean, True),  # the paper does not say whether fc7 is taken before or after it
}


class _DescriptorMap(nn.Module):
    """A dense net of the VGG family that stops at its last hidden layer."""

    def __init__(self, net: networks.VGG, *, relu: bool):
        super().__init__()
        self.dense = net.dense()
        self.relu = relu

    def forward(self, images: Tensor) -> Tensor:
        return self.dense.descriptor_map(images, relu=self.relu)


def _vgg(
    name: str,
    *,
    width: float = 1.0,
    input_size: int = 224,
    ceil_mode: bool = False,
    relu: bool = True,
) -> Backbone:
    options = {"width": width, "input_size": input_size, "ceil_mode": ceil_mode}
    with torch.device("meta"):
        networks.build(name, **options)  # refuses bad options now rather than at first use
    return Backbone(
        layer="fc7" if relu else "fc7 before ReLU",
        dim=networks.scaled(networks.FC_UNITS, width),
        min_size=input_size,
        input_size=input_size,
        classifier="classifier.6.weight",
        build=lambda num_classes: networks.build(name, num_classes=num_classes, **options),
        to_map=partial(_DescriptorMap, relu=relu),
        to_output_map=networks.VGG.dense,
    )


def _squeezenet1_0(*, relu: bool = True, **options) -> Backbone:
    """SqueezeNet 1.0 (Iandola et al. 2016); the descriptor is what its classifier takes in."""
    if options:
        raise NetworkError(f"squeezenet1_0 has no option {next(iter(options))!r}.")

    def build(num_classes: int) -> nn.Module:
        from torchvision.models import squeezenet1_0  # 2 s to import, and only this net needs it

        return squeezenet1_0(weights=None, num_classes=num_classes)

    def features(net: nn.Module) -> nn.Module:
        if not relu:
            last = net.features[-1]
            last.expand1x1_activation = last.expand3x3_activation = nn.Identity()
        return net.features

    return Backbone(
        layer="features" if relu else "features before ReLU",
        dim=512,
        min_size=21,  # below it the last pooling has nothing left to pool
        input_size=224,
        classifier="classifier.1.weight",
        build=build,
        to_map=features,
        # Without the average over positions that ends the net.
        to_output_map=lambda net: nn.Sequential(net.features, *net.classifier[:-1]),
    )


BACKBONES: Mapping[str, Callable[..., Backbone]] = {
    **{name: partial(_vgg, name) for name in networks.CONFIGURATIONS},
    "squeezenet1_0": _squeezenet1_0,
}
