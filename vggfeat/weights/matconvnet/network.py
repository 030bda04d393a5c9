"""MatConvNet's SimpleNN files (.mat) <-> tensors in torchvision's layout and their card.

Filters are H x W x Cin x Cout there and (Cout, Cin, H, W) here; fc6 is a convolution there and
takes its inputs in the order C, H, W here. Pictures are RGB, 0 to 255, minus `averageImage`.

Both generations are read: `weights` and `meta`, and before them `filters`, `biases` and
`normalization`, `classes` beside the layers.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.images import PAPER_STATISTICS
from vggfeat.storage.files import new_file
from vggfeat.weights import vgg_layers
from vggfeat.weights.checkpoint import Card, parse_card
from vggfeat.weights.matconvnet import mat_file

VARIABLES = ("layers", "meta", "normalization", "classes")
CARD_NEEDS_BYTES = 2**24  # of an array; an average image has 1.2 MB, fc6 400 MB
ROUNDED_DOWN, ROUNDED_UP = (0, 0, 0, 0), (0, 1, 0, 1)  # how a pool is padded
WINDOW = (2, 2)  # of a pool, and its stride
# N, kappa, alpha, beta of AlexNet; MatConvNet does not divide alpha by N as torch and Caffe do.
LRN = (5.0, 2.0, 1e-4, 0.75)
UNIT = (1.0, 1.0, 1.0)


def read_card(path: Path) -> Card:
    """Which net a file holds, and how its pictures are prepared.

    A card that `write` left in the file is taken if it names the net that the layers are.
    Otherwise `training["imported"]` tells where mean and classes are from. Raises WeightsError.
    """
    file = _read(path, skip_above=CARD_NEEDS_BYTES)
    meta = _struct(file.variables, "meta")
    notes = []
    if isinstance(meta.get("vggfeat"), str):
        card = parse_card(meta["vggfeat"], path)
        if _meaning(card.net) == _meaning(file.net):
            return card
        notes.append(f"the card in the file is of {card.net!r} and was not used")
    mean, told = _mean(path, _older(file.variables, meta, "normalization").get("averageImage"))
    classes = _classes(path, _older(file.variables, meta, "classes"))
    if classes and len(classes) != file.layout.num_outputs:
        notes.append(f"{len(classes)} class names for {file.layout.num_outputs} outputs left out")
        classes = ()
    imported = {"format": "MatConvNet", "average_image": told}
    if notes:
        imported["notes"] = notes
    return Card(net=file.net, classes=classes, mean=mean, std=UNIT, training={"imported": imported})


def read(path: Path) -> dict[str, Tensor]:
    """The weights as float32 under torchvision's keys, for the net that `read_card` names.

    Raises WeightsError if the file is missing, damaged, unsafe, or of a net that is not of the
    family A to E.
    """
    file = _read(path, skip_above=None)
    keys = vgg_layers.keys(file.layout.name)
    tensors = {}
    while file.convolutions:  # each is let go once it is converted
        convolution = file.convolutions.pop(0)
        weight, bias = keys[convolution.name]
        filters = _float32(convolution.filters.transpose(3, 2, 0, 1))
        if convolution.name in vgg_layers.FC_NAMES:
            filters = filters.reshape(len(filters), -1)
        tensors[weight] = torch.from_numpy(filters)
        tensors[bias] = torch.from_numpy(_float32(convolution.biases))
    return tensors


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """A .mat file (version 5) of the tensors as MatConvNet's SimpleNN, the card with it.

    Raises WeightsError if the tensors are not the card's net, or if pictures are divided by a
    standard deviation, which MatConvNet's files cannot tell.
    """
    net, _ = vgg_layers.to_be_written(path, tensors, card, "MatConvNet")
    name, options = _meaning(card.net)
    rounded_up = options["ceil_mode"]
    found = _named(net, rounded_up)
    if _meaning(found) != (name, options):
        raise WeightsError(
            f"{path}: cannot be written for MatConvNet: the weights are {found}, the card names"
            f" {card.net}."
        )
    contents = {
        "layers": _cell(_layers(name, net.input_size // vgg.STRIDE, tensors, rounded_up)),
        "meta": _meta(card, net.input_size),
    }
    from scipy.io import savemat  # takes a while to import, and writing is rare

    try:
        with new_file(path) as file:
            savemat(file, contents, oned_as="row")
    except (ValueError, TypeError) as error:  # 4 GiB is the most that version 5 can hold
        raise WeightsError(f"{path}: cannot be written as a .mat file ({error}).") from error


@dataclass(frozen=True)
class _Convolution:
    name: str
    filters: np.ndarray  # H x W x Cin x Cout
    biases: np.ndarray  # Cout


@dataclass(frozen=True)
class _File:
    layout: vgg_layers.Layout
    net: str
    convolutions: list[_Convolution]
    variables: dict[str, Any]  # but for the layers


def _read(path: Path, skip_above: int | None) -> _File:
    """A file that has been seen to hold a net of the family."""
    variables = mat_file.read(path, VARIABLES, skip_above=skip_above)
    if "layers" not in variables:
        told = ", ".join(filter(_is_name, mat_file.variables(path)[:8])) or "none"
        raise WeightsError(
            f"{path}: has no `layers`, as a SimpleNN of MatConvNet has; its variables: {told}. Save"
            " the net with `save('-struct', 'net')`; a DagNN is not read."
        )
    layers = [
        _Layer(path, number, fields)
        for number, fields in enumerate(_list(variables.pop("layers")), start=1)
    ]
    for layer in layers:
        layer.check()
    convolutions = [layer.convolution() for layer in layers if layer.kind == "conv"]
    shapes = {}
    for convolution in convolutions:
        height, width, inputs, outputs = convolution.filters.shape
        if convolution.name in shapes:
            raise WeightsError(f"{path}: has two layers {convolution.name}. Get it again.")
        shapes[convolution.name] = (
            (outputs, height * width * inputs)
            if convolution.name in vgg_layers.FC_NAMES
            else (outputs, inputs, height, width)
        )
    net = vgg_layers.recognise(shapes, lrn=any(layer.kind == "lrn" for layer in layers), path=path)
    _check_fully_connected(path, net, {c.name: c.filters.shape for c in convolutions})
    _check_order(path, net, layers)
    rounded_up = _rounded_up(path, [layer for layer in layers if layer.kind == "pool"])
    layers.clear()  # they hold the weights, too
    return _File(net, _named(net, rounded_up), convolutions, variables)


class _Layer:
    """One layer as the file has it. Its methods raise WeightsError that names layer and values."""

    def __init__(self, path: Path, number: int, fields: Any):
        if not isinstance(fields, dict) or not _is_name(fields.get("type")):
            raise WeightsError(f"{path}: layer {number} is no struct with a type. Get it again.")
        self.path, self.fields = path, fields
        self.type = fields["type"]
        self.kind = {"normalize": "lrn", "softmaxloss": "softmax"}.get(self.type, self.type)
        self.name = fields["name"] if _is_name(fields.get("name")) else f"layer {number}"
        if self.type.startswith("dagnn."):
            raise WeightsError(
                f"{path}: a DagNN of MatConvNet; only a SimpleNN is read. Convert it first."
            )

    def check(self) -> None:
        """See that what a convolution, a pool or the normalisation does is the family's."""
        if self.kind == "conv":
            self._expect("stride", 2, (1, 1), default=(1.0,))
            self._expect("dilate", 2, (1, 1), default=(1.0,))
            kernel = self.convolution().filters.shape[:2]
            if kernel[0] != kernel[1]:
                self._refuse(f"a kernel of {_by(kernel)}", "square ones")
            pad = 0 if self.name in vgg_layers.FC_NAMES else kernel[0] // 2
            self._expect("pad", 4, (pad,) * 4, default=(0.0,))
        elif self.kind == "pool":
            self._expect("pool", 2, WINDOW, default=(2.0,))
            self._expect("stride", 2, WINDOW, default=(1.0,))
            self._expect("pad", 4, ROUNDED_DOWN, ROUNDED_UP, default=(0.0,))
            method = self.fields.get("method", "max")
            if method != "max":
                self._refuse(f"the method {method!r:.40}", "'max'")
        elif self.kind == "lrn":
            param = self._numbers("param", 4, ())
            if len(param) != 4 or not np.allclose(param, LRN, rtol=1e-5, atol=0):
                self._refuse(f"param {_values(param)}", _values(LRN))
        elif self.kind == "relu":
            self._expect("leak", 1, (0,), default=(0.0,))

    @property
    def pad(self) -> tuple[float, ...]:
        return self._numbers("pad", 4, (0.0,))

    def convolution(self) -> _Convolution:
        weights = self.fields.get("weights")
        if weights is None:
            weights = [self.fields.get(key) for key in ("filters", "biases")]
        weights = _list(weights)
        filters, biases = (weights[i] if i < len(weights) else None for i in (0, 1))
        for what, values in (("filters", filters), ("bias", biases)):
            if not isinstance(values, np.ndarray) or not values.size:
                raise WeightsError(f"{self.path}: {self.name} has no {what}. Get it again.")
            if values.dtype.kind not in "fiu":
                raise WeightsError(f"{self.path}: {self.name} has a {what} of {values.dtype}.")
        if filters.ndim > 4:
            self._refuse(f"filters of {_by(filters.shape)}", "HxWxCxK")
        filters = filters[..., *[None] * (4 - filters.ndim)]  # MATLAB leaves out last sides of 1
        if biases.size != filters.shape[3]:
            self._refuse(
                f"{biases.size} biases", f"one for each filter, {filters.shape[3]} of them"
            )
        return _Convolution(self.name, filters, biases.reshape(-1))

    def _expect(
        self, field: str, count: int, *allowed: tuple[int, ...], default: tuple[float, ...]
    ) -> None:
        values = self._numbers(field, count, default)
        if values not in allowed:
            self._refuse(f"{field} {_values(values)}", " or ".join(map(_values, allowed)))

    def _numbers(self, field: str, count: int, default: tuple[float, ...]) -> tuple[float, ...]:
        """A field's values; a single one counts for all, as in MatConvNet."""
        stored = self.fields.get(field)
        values = default
        if isinstance(stored, np.ndarray) and stored.size:
            if stored.size > count:
                self._refuse(f"{field} of {stored.size} values", f"at most {count}")
            values = tuple(float(value) for value in stored.reshape(-1, order="F"))
        elif isinstance(stored, str | dict | list) and stored:
            self._refuse(f"{field} of text or structs", "numbers")
        return values * count if len(values) == 1 else values

    def _refuse(self, has: str, needs: str) -> None:
        raise WeightsError(
            f"{self.path}: {self.name} ({self.kind}) has {has}, and a net of the family A to E has"
            f" {needs}."
        )


def _check_fully_connected(
    path: Path, net: vgg_layers.Layout, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """As matrices fc6 to fc8 fit already; see that they fit as the convolutions they are."""
    side = net.input_size // vgg.STRIDE
    last = list(shapes)[-len(vgg_layers.FC_NAMES) - 1]
    needs = {"fc6": (side, side, shapes[last][3]), "fc7": (1, 1), "fc8": (1, 1)}
    for name, wanted in needs.items():
        if shapes[name][: len(wanted)] != wanted:
            raise WeightsError(
                f"{path}: {name} has filters of {_by(shapes[name])}, and {net.net} needs"
                f" {_by(wanted)} first."
            )


def _check_order(path: Path, net: vgg_layers.Layout, layers: Sequence[_Layer]) -> None:
    """See that ReLUs, pools and the normalisation stand where the net has them."""
    there = [layer for layer in layers if layer.kind != "dropout"]
    while there and there[-1].kind == "softmax":
        there.pop()
    wanted = [kind for kind, _ in _plan(net.name)]
    for number, kind in enumerate(wanted):
        found = there[number] if number < len(there) else None
        if found is None or found.kind != kind:
            what = f"{found.name} of type {found.type!r}" if found else "nothing"
            raise WeightsError(
                f"{path}: not {net.net}: in place {number + 1} stands {what}, and it needs"
                f" {kind!r} there."
            )
    if len(there) > len(wanted):
        raise WeightsError(
            f"{path}: not {net.net}: after its layers comes {there[len(wanted)].name} of type"
            f" {there[len(wanted)].type!r}."
        )


def _rounded_up(path: Path, pools: Sequence[_Layer]) -> bool:
    """Whether the sides of a pool's output are rounded up, which all must agree on."""
    first = pools[0]
    for pool in pools:
        if pool.pad != first.pad:
            raise WeightsError(
                f"{path}: its pools are padded in several ways: {first.name} by"
                f" {_values(first.pad)}, {pool.name} by {_values(pool.pad)}. All by"
                f" {_values(ROUNDED_DOWN)} or all by {_values(ROUNDED_UP)} can be read."
            )
    return first.pad == ROUNDED_UP


def _mean(path: Path, average: Any) -> tuple[tuple[float, float, float], str]:
    """R, G, B of an average image, and how they were got."""
    is_array = isinstance(average, np.ndarray)
    if average is None or (is_array and not average.size):
        return PAPER_STATISTICS.mean, "missing: the paper's mean is taken"
    numbers = is_array and average.dtype.kind in "fiu"
    pixel = numbers and average.size == 3
    image = numbers and average.ndim == 3 and average.shape[2] == 3
    if not pixel and not (image and max(average.shape) <= vgg.MAX_INPUT_SIZE):
        has = _by(average.shape) if is_array else "no array"
        raise WeightsError(
            f"{path}: its averageImage is {has}; 1x1x3 or HxWx3 numbers are needed, H and W up to"
            f" {vgg.MAX_INPUT_SIZE}."
        )
    average = average.astype(np.float64)
    told = "one colour"
    if not pixel:
        told = (
            f"{average.shape[0]}x{average.shape[1]} pixels: their mean is taken, as dense"
            " evaluation takes pictures of any size"
        )
        average = average.mean(axis=(0, 1))
    if not np.isfinite(average).all():
        raise WeightsError(f"{path}: its averageImage holds values that are not finite.")
    red, green, blue = average.reshape(-1).tolist()
    return (red, green, blue), told


def _classes(path: Path, classes: Mapping[str, Any]) -> tuple[str, ...]:
    for field in ("description", "name"):
        names = _list(classes.get(field))
        if names:
            if not all(isinstance(name, str) for name in names):
                raise WeightsError(f"{path}: classes.{field} are no texts. Get it again.")
            return tuple(names)
    return ()


def _older(variables: Mapping[str, Any], meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of `meta`, which older files have beside it."""
    return _struct(meta, name) or _struct(variables, name)


def _struct(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _is_name(value: Any) -> bool:
    """Whether it can stand in a message."""
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable()


def _float32(values: np.ndarray) -> np.ndarray:
    """A copy, as rows first; what is too large becomes infinite, which loading a net refuses."""
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float32, order="C")


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _values(numbers: Sequence[float]) -> str:
    return f"[{' '.join(f'{number:g}' for number in numbers)}]"


def _named(net: vgg_layers.Layout, rounded_up: bool) -> str:
    if not rounded_up:
        return net.net
    return f"{net.net}{',' if ':' in net.net else ':'}ceil_mode=true"


def _meaning(net: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a net, such that two of the same weights and scores compare equal."""
    name, _, text = net.partition(":")
    options: dict[str, Any] = {"width": "1", "input_size": "224", "ceil_mode": "false"}
    options |= dict(part.partition("=")[::2] for part in text.split(",") if part)
    options.pop("relu", None)  # where descriptors are taken
    options["ceil_mode"] = options["ceil_mode"].lower() == "true"
    try:
        # A width is known by the channels that it gives: 0.1 and 410 / 4096 are the same.
        width, channels = float(options["width"]), (*vgg.BLOCK_CHANNELS, vgg.FC_UNITS)
        options["width"] = [vgg.scaled(count, width) for count in channels]
        options["input_size"] = int(options["input_size"])
    except (ValueError, OverflowError):
        pass  # no net that can be built, and equal to none
    return name, options


def _plan(name: str) -> list[tuple[str, str]]:
    """Type and name of each layer of a net, without dropout and softmax."""
    configuration, plan = vgg.CONFIGURATIONS[name], []
    for block, kernels in enumerate(configuration.blocks, start=1):
        for number in range(1, len(kernels) + 1):
            plan += [("conv", f"conv{block}_{number}"), ("relu", f"relu{block}_{number}")]
            if configuration.lrn and len(plan) == 2:
                plan.append(("lrn", "norm1"))
        plan.append(("pool", f"pool{block}"))
    return [
        *plan, ("conv", "fc6"), ("relu", "relu6"), ("conv", "fc7"), ("relu", "relu7"),
        ("conv", "fc8"),
    ]  # fmt: skip


def _layers(
    name: str, side: int, tensors: Mapping[str, Tensor], rounded_up: bool
) -> list[dict[str, Any]]:
    """The layers as MatConvNet has them; their filters are views of the tensors."""
    keys, layers = vgg_layers.keys(name), []
    for kind, layer in _plan(name):
        fields: dict[str, Any] = {"type": kind, "name": layer}
        if kind == "conv":
            weight, bias = (tensors[key].detach().cpu().float() for key in keys[layer])
            if layer in vgg_layers.FC_NAMES:
                kernel = side if layer == "fc6" else 1
                weight = weight.view(len(weight), -1, kernel, kernel)
            filters = weight.permute(2, 3, 1, 0)
            pad = 0 if layer in vgg_layers.FC_NAMES else weight.shape[-1] // 2
            fields["weights"] = _cell([filters.numpy(), bias.view(1, -1).numpy()])
            fields |= {"size": _row(*filters.shape), "stride": _row(1, 1)}
            fields |= {"pad": _row(pad, pad, pad, pad), "dilate": 1.0}
        elif kind == "pool":
            pad = ROUNDED_UP if rounded_up else ROUNDED_DOWN
            fields |= {"method": "max", "pool": _row(*WINDOW), "stride": _row(*WINDOW)}
            fields["pad"] = _row(*pad)
        elif kind == "lrn":
            fields["param"] = _row(*LRN)
        else:
            fields["leak"] = 0.0
        layers.append(fields)
    return [*layers, {"type": "softmax", "name": "prob"}]


def _meta(card: Card, side: int) -> dict[str, Any]:
    """`border` and `cropSize` are the release's 256 to 224, at this net's size."""
    border = math.ceil(side * 32 / 224)
    names = _cell(card.classes)
    return {
        "inputs": {"name": "data", "size": _row(side, side, 3, 1)},
        "classes": {"name": names, "description": names},
        "normalization": {
            "imageSize": _row(side, side, 3),
            "averageImage": np.reshape(np.array(card.mean, dtype=np.float64), (1, 1, 3)),
            "interpolation": "bilinear",
            "keepAspect": True,
            "border": _row(border, border),
            "cropSize": side / (side + border),
        },
        "vggfeat": json.dumps(card.to_json()),
    }


def _row(*numbers: float) -> np.ndarray:
    return np.array([numbers], dtype=np.float64)


def _cell(values: Sequence[Any]) -> np.ndarray:
    cell = np.empty((1, len(values)), dtype=object)
    for i, value in enumerate(values):
        cell[0, i] = value
    return cell
