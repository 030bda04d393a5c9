"""`NetSpec`: what `--net` says of a net, NAME[:KEY=VALUE,...][@WEIGHTS], parsed once.

    vgg16                                     the 16-layer net with torchvision's weights
    vgg16@caffe, vgg16@model.caffemodel       released weights by name, or a file
    vgg19:width=0.25,input_size=64@random:0   a narrow net with random weights of seed 0
    resnet50:layer=layer3                     any net of torchvision, at any of its modules
    timm/vit_tiny_patch16_224                 any net of timm
    resnet50:part=encoder_q@moco.pth.tar      one of the nets that a checkpoint holds
    my_package.module:factory                 a function of the user's that returns a torch module
    runs/vgg16-256.safetensors                a file that says which net it is, or is the net itself

A file that stands alone may have options as well: FILE:KEY=VALUE,... Several nets joined by `+` are
used together: `parse_fusion`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from os.path import expanduser
from pathlib import Path

from vggfeat.backbones.defaults import PAPER
from vggfeat.errors import NetworkError, OptionError, UnknownNameError, WeightsError
from vggfeat.vgg import CONFIGURATIONS
from vggfeat.weights import formats, released
from vggfeat.weights.checkpoint import Card

Fusion = tuple["NetSpec", ...]  # nets that are used together
Value = float | int | bool | str | tuple[float, ...]
Colour = tuple[float, float, float]  # R, G, B
RANDOM = "random:"
TIMM = "timm/"  # before the names of timm's nets
TIMM_WEIGHTS = "timm"
EXPORTED_SUFFIXES = (".onnx", ".pt2", ".pt", ".pth")  # of files that may be nets themselves
FILE_SUFFIXES = tuple(dict.fromkeys((*formats.SUFFIXES, *EXPORTED_SUFFIXES, *formats.TWO_SUFFIXES)))
_FILE = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, FILE_SUFFIXES))}))(?::(\w+=.*))?", re.IGNORECASE
)
_FACTORY = re.compile(r"([A-Za-z_][\w.]*:[A-Za-z_]\w*)(?::(.*))?")
# What of a picture a net sees, once its shortest side is at a scale.
VIEWS = {
    "dense": "the whole picture",
    "centre": "the centre crop",
    "corners": "the crops at the corners and the centre, with mirrors ten crops",
    "resized": "the whole picture as a square, its aspect ratio not kept",
}
SIZE = ("width", "input_size")  # the options that weights decide
STATISTICS = ("mean", "std")  # the options that change the input, and not the net
OF_ANY_NET = (*STATISTICS, "part")


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _colour(text: str) -> Colour:
    red, green, blue = (float(channel) for channel in text.split("/"))
    if not all(map(isfinite, (red, green, blue))):
        raise ValueError(text)
    return red, green, blue


# How to read the value of each option.
NET_OPTIONS: Mapping[str, Callable[[str], Value]] = {
    "width": float,
    "input_size": int,
    "ceil_mode": _boolean,
    "relu": _boolean,
    "layer": str,
    "view": str,
    "part": str,
    "mean": _colour,
    "std": _colour,
}
# The order in which a name states its options; feature files and records are found by names.
_ORDER = ("width", "input_size", "ceil_mode", "relu", "view", "layer", "part", "mean", "std")
_ORDER_OF_PAPER_NETS = (
    "width", "input_size", "ceil_mode", "relu", "layer", "view", "part", "mean", "std",
)  # fmt: skip


@dataclass(frozen=True)
class NetSpec:
    """One net as `--net` names it; `str()` gives the text back, its options in a fixed order.

    name is empty for a file that stands alone. weights is "random:SEED", the name of released
    weights or a path, and empty if none are named. An option that is not given is None. Raises
    UnknownNameError for a view that there is not, OptionError for a layer without a name.
    """

    name: str = ""
    weights: str = ""
    width: float | None = None  # factor of all channel counts
    input_size: int | None = None  # side of the crops that the net is made for, pixels
    ceil_mode: bool | None = None  # whether pooled sides are rounded up
    relu: bool | None = None  # False: the layer's activations before its ReLU
    layer: str | None = None  # whose activations are the descriptor
    view: str | None = None  # one of VIEWS
    part: str | None = None  # which net of a file that holds several
    mean: Colour | None = None  # of the input's channels, on pixels 0 to 255
    std: Colour | None = None

    def __post_init__(self):
        if self.view is not None and self.view not in VIEWS:
            name = self.name or Path(self.weights).name
            raise UnknownNameError(f"view of {name}", self.view, VIEWS)
        if self.layer == "":
            raise OptionError(f"{self.name or self.weights}: layer has no value.")

    @classmethod
    def parse(cls, text: str) -> "NetSpec":
        """Read a specification without `+`; of files only whether they are there is looked at.

        Raises UnknownNameError or OptionError.
        """
        file = _FILE.fullmatch(text)
        if file and ("@" not in file[1] or is_file(file[1])):
            return cls(weights=file[1], **_options(text, file[2] or ""))
        if Path(text).suffix and is_file(text):  # of an unknown kind, which its reader says
            return cls(weights=text)
        net, _, weights = text.partition("@")
        if weights.startswith(RANDOM) and not re.fullmatch(r"random:\d{1,18}", weights):
            raise OptionError(f"{text}: random weights need a seed, such as random:0.")
        name, _, options = net.partition(":")
        factory = _FACTORY.fullmatch(net)
        if factory and name not in CONFIGURATIONS:
            name, options = factory[1], factory[2] or ""
        return cls(name, weights, **_options(text, options))

    def __str__(self) -> str:
        options = options_text(self.options)
        net = f"{self.name or self.weights}:{options}" if options else self.name or self.weights
        return f"{net}@{self.weights}" if self.name and self.weights else net

    @property
    def options(self) -> dict[str, Value]:
        """The options that are given, in the order of the text."""
        order = _ORDER_OF_PAPER_NETS if self.is_of_paper else _ORDER
        return {key: value for key in order if (value := getattr(self, key)) is not None}

    @property
    def is_file(self) -> bool:
        """Whether a file stands alone: it says which net it is, or is the net itself."""
        return not self.name

    @property
    def is_of_paper(self) -> bool:
        """Whether it is one of the nets A to E of Simonyan & Zisserman (2014)."""
        return self.name in CONFIGURATIONS

    @property
    def is_of_timm(self) -> bool:
        """Whether it is one of timm's nets."""
        return self.name.startswith(TIMM)

    @property
    def is_factory(self) -> bool:
        """Whether a function of the user's makes the net."""
        return ":" in self.name

    @property
    def seed(self) -> int | None:
        """The seed of random weights; None for other weights."""
        weights = self.weights
        return int(weights.removeprefix(RANDOM)) if weights.startswith(RANDOM) else None

    @property
    def weights_or_default(self) -> str:
        """The weights to load: torchvision's, or timm's for its nets, where none are named."""
        return self.weights or (TIMM_WEIGHTS if self.is_of_timm else released.TORCHVISION)

    @property
    def architecture(self) -> "NetSpec":
        """The options that make another net of it alone: no weights, layer, view or statistics."""
        return NetSpec(
            self.name, width=self.width, input_size=self.input_size, ceil_mode=self.ceil_mode
        )

    def with_option(self, key: str, value: Value | None) -> "NetSpec":
        """The same net with an option set, or taken away by None. Raises UnknownNameError."""
        if key not in NET_OPTIONS:
            raise UnknownNameError(f"option of {str(self)!r}", key, NET_OPTIONS)
        return replace(self, **{key: value})

    def filled_in(self, other: "NetSpec") -> "NetSpec":
        """The same net with the options of another where it has none."""
        return replace(self, **(other.options | self.options))

    def check_options(self, allowed: Collection[str]) -> None:
        """Raise NetworkError at an option that this kind of net does not have."""
        for key in self.options:
            if key not in allowed and key not in OF_ANY_NET:
                raise NetworkError(f"{self.name or self.weights} has no option {key!r}.")


def parse_fusion(text: str) -> Fusion:
    """The nets of a specification with or without `+`. Raises UnknownNameError or OptionError."""
    return tuple(NetSpec.parse(net) for net in _split(text))


def fusion_text(nets: Fusion) -> str:
    """The specification that names these nets together."""
    return "+".join(map(str, nets))


def options_text(options: Mapping[str, Value]) -> str:
    """Options as a specification has them: KEY=VALUE,..."""
    return ",".join(f"{key}={_text(value)}" for key, value in options.items())


def net_of_card(card: Card, path: Path) -> NetSpec:
    """The net that a card names. Raises WeightsError."""
    try:
        spec = NetSpec.parse(card.net)
    except (OptionError, UnknownNameError) as error:
        raise WeightsError(f"{path}: its card names the net {card.net!r}: {error}") from error
    if spec.is_file or spec.weights:
        raise WeightsError(f"{path}: its card names {card.net!r}, which is no net.")
    return spec


def named_by_card(spec: NetSpec, card_spec: NetSpec | None, path: Path) -> NetSpec:
    """A file that stands alone, as the net that it says it is. Raises WeightsError."""
    if card_spec is None:
        raise WeightsError(f"{path}: does not say which net it belongs to. Write NET@{path}.")
    if card_spec.is_factory:  # a weights file must not choose code that is run
        raise WeightsError(
            f"{path}: its card names a function, {card_spec}. Write {card_spec}@{path} to call it."
        )
    size = {key: card_spec.options.get(key) for key in SIZE if key not in spec.options}
    return replace(spec, name=card_spec.name, **size)


def check_card(card: Card, card_spec: NetSpec, spec: NetSpec, path: Path) -> None:
    """Raise WeightsError if the weights are another net's than was asked for."""
    default = {"width": 1.0, "input_size": PAPER.input_size} if card_spec.is_of_paper else {}
    stated, wanted = default | card_spec.options, default | spec.options
    if card_spec.name != spec.name or any(stated.get(k) != wanted.get(k) for k in SIZE):
        raise WeightsError(f"{path}: holds weights of {card.net}. Name the file alone.")


def _split(text: str) -> list[str]:
    """Split `a+b` into its nets; a `+` inside a file name is left alone."""
    if is_file(text):
        return [text]
    parts: list[str] = []
    for piece in text.split("+"):
        if parts and not (_is_complete(parts[-1]) or _begins_with_net(piece)):
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def is_file(path: str) -> bool:
    """Whether a file of this name is there; ~ is the user's home."""
    try:
        return Path(expanduser(path)).is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


def _options(text: str, options: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key not in NET_OPTIONS:
            raise UnknownNameError(f"option of {text!r}", key, NET_OPTIONS)
        if key in values:
            raise OptionError(f"{text}: {key} is given twice.")
        try:
            values[key] = NET_OPTIONS[key](value)
        except (ValueError, KeyError) as error:
            raise OptionError(f"{text}: {key}={value!r} is not a valid value.") from error
        if value == "":
            raise OptionError(f"{text}: {key} has no value.")
    return values


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "/".join(f"{number:g}" for number in value)
    return str(value)


def _begins_with_net(text: str) -> bool:
    front = text.partition("@")[0]
    name = front.partition(":")[0]
    if name in CONFIGURATIONS or text.startswith(TIMM) or _FACTORY.fullmatch(front):
        return True
    from vggfeat.weights.torchvision import NAMES  # 2 s to import, and few have to wait for it

    return name in NAMES


def _is_complete(text: str) -> bool:
    """Whether it names a net and weights, so that what follows a `+` is another net."""
    return _FILE.fullmatch(text) is not None or (
        re.fullmatch(rf"[^@]*(@({released.NAMES.pattern}))?", text) is not None
        and _begins_with_net(text)
    )
