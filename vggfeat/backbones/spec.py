"""What `--net` takes: NAME[:KEY=VALUE,...][@WEIGHTS], several joined by `+` to be used together.

    vgg16                                     the 16-layer net with torchvision's weights
    vgg16@caffe, vgg16@model.caffemodel       released weights by name, or a file
    vgg19:width=0.25,input_size=64@random:0   a narrow net with random weights of seed 0
    resnet50:layer=layer3                     any net of torchvision, at any of its modules
    timm/vit_tiny_patch16_224                 any net of timm
    my_package.module:factory                 a function of the user's that returns a torch module
    runs/vgg16-256.safetensors                a file that says which net it is, or is the net itself

A file that stands alone may have options as well: FILE:KEY=VALUE,...
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from vggfeat.backbones.timm import PREFIX as TIMM
from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.vgg import CONFIGURATIONS
from vggfeat.weights import formats, released

Value = float | int | bool | str | tuple[float, ...]
RANDOM = "random:"
TIMM_WEIGHTS = "timm"
PROGRAM_SUFFIXES = (".onnx", ".pt2", ".pt", ".pth")  # of files that may be nets themselves
FILE_SUFFIXES = tuple(dict.fromkeys((*formats.SUFFIXES, *PROGRAM_SUFFIXES)))
_FILE = re.compile(rf"(.+(?:{'|'.join(map(re.escape, FILE_SUFFIXES))}))(?::(\w+=.*))?")
_FACTORY = re.compile(r"([A-Za-z_][\w.]*:[A-Za-z_]\w*)(?::(.*))?")


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _colour(text: str) -> tuple[float, ...]:
    red, green, blue = (float(part) for part in text.split("/"))
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
    "mean": _colour,
    "std": _colour,
}


@dataclass(frozen=True)
class Specification:
    """The parts of a specification without `+`; what was not given is empty."""

    text: str
    name: str = ""  # empty: a file that stands alone
    options: Mapping[str, Value] = field(default_factory=dict)
    weights: str = ""  # a name or a path

    @property
    def is_file(self) -> bool:
        return not self.name

    @property
    def is_factory(self) -> bool:
        return ":" in self.name

    @property
    def usual_weights(self) -> str:
        """Those of a net that are taken where none are named."""
        return TIMM_WEIGHTS if self.name.startswith(TIMM) else released.TORCHVISION


def parse(text: str) -> Specification:
    """Take a specification apart; looks at no file but to see whether there is one.

    Raises UnknownNameError or OptionError.
    """
    alone = _FILE.fullmatch(text)
    if alone and ("@" not in alone[1] or Path(alone[1]).expanduser().is_file()):
        return Specification(text, options=_options(text, alone[2] or ""), weights=alone[1])
    if Path(text).suffix and _is_there(text):  # of no kind that is known, which its reader says
        return Specification(text, weights=text)
    net, _, weights = text.partition("@")
    if weights.startswith(RANDOM) and not re.fullmatch(r"random:\d{1,18}", weights):
        raise OptionError(f"{text}: random weights need a seed, such as random:0.")
    name, _, options = net.partition(":")
    factory = _FACTORY.fullmatch(net)
    if factory and name not in CONFIGURATIONS:
        name, options = factory[1], factory[2] or ""
    return Specification(text, name, _options(text, options), weights)


def with_option(text: str, key: str, value: str) -> str:
    """The same nets, joined by `+` or not, with an option set to this value."""
    parts = []
    for part in split_fusion(text):
        given = parse(part)
        kept = [f"{key}={value}"] if key not in given.options else []
        front, at, weights = part, "", ""
        if not given.is_file:
            front, at, weights = part.partition("@")
        base, options = _front(front, given)
        changed = [
            f"{key}={value}" if option.partition("=")[0] == key else option
            for option in filter(None, options.split(","))
        ]
        parts.append(f"{base}:{','.join([*changed, *kept])}{at}{weights}")
    return "+".join(parts)


def split_fusion(text: str) -> list[str]:
    """Split `a+b` into its nets; a `+` inside a file name is left alone."""
    if _is_there(text):
        return [text]
    parts: list[str] = []
    for piece in text.split("+"):
        if parts and not (_is_complete(parts[-1]) or _begins_with_net(piece)):
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # no name that a file could have
        return False


def _front(front: str, given: Specification) -> tuple[str, str]:
    """What stands before the weights, as the net, or the file, and its options."""
    base = given.weights if given.is_file else given.name
    return base, front.removeprefix(base).removeprefix(":")


def _options(text: str, options: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for part in filter(None, options.split(",")):
        key, _, value = part.partition("=")
        if key not in NET_OPTIONS:
            raise UnknownNameError(f"option of {text!r}", key, NET_OPTIONS)
        if key in found:
            raise OptionError(f"{text}: {key} is given twice.")
        try:
            found[key] = NET_OPTIONS[key](value)
        except (ValueError, KeyError) as error:
            raise OptionError(f"{text}: {key}={value!r} is not a valid value.") from error
        if value == "":
            raise OptionError(f"{text}: {key} has no value.")
    return found


def _begins_with_net(text: str) -> bool:
    front = text.partition("@")[0]
    name = front.partition(":")[0]
    if name in CONFIGURATIONS or text.startswith(TIMM) or _FACTORY.fullmatch(front):
        return True
    from vggfeat.weights.torchvision import NAMES  # 2 s to import, and few have to wait for it

    return name in NAMES


def _is_complete(part: str) -> bool:
    """Whether it names a net and weights, so that what follows a `+` is another net."""
    return _FILE.fullmatch(part) is not None or (
        re.fullmatch(rf"[^@]*(@({released.NAMES.pattern}))?", part) is not None
        and _begins_with_net(part)
    )
