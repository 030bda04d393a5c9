"""Nets of MatConvNet: their layers, seen to be those of a net of the family A to E.

Filters are H x W x Cin x Cout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.weights import vgg_layers
from vggfeat.weights.checkpoint import sides_text
from vggfeat.weights.matconvnet import dagnn, mat_file
from vggfeat.weights.matconvnet.mat_values import as_list, is_name

VARIABLES = ("layers", "params", "meta", "normalization", "classes", "net")
ROUNDED_DOWN, ROUNDED_UP = (0, 0, 0, 0), (0, 1, 0, 1)  # how a pool is padded
WINDOW = (2, 2)  # of a pool, and its stride
# N, kappa, alpha, beta of AlexNet; MatConvNet does not divide alpha by N as torch and Caffe do.
LRN = (5.0, 2.0, 1e-4, 0.75)


@dataclass(frozen=True)
class Convolution:
    """A convolution as the file has it; K filters."""

    name: str
    filters: np.ndarray  # H x W x Cin x Cout
    biases: np.ndarray  # Cout


@dataclass(frozen=True)
class SimpleNN:
    """A net of the family that a file holds, and what else is in the file."""

    layout: vgg_layers.Layout
    net: str
    convolutions: list[Convolution]
    variables: dict[str, Any]  # but for the layers


def read_simplenn(path: Path, skip_above: int | None) -> SimpleNN:
    """A file that has been seen to hold a net of the family."""
    variables = _variables(path, skip_above)
    if dagnn.is_dagnn(variables):
        variables["layers"] = dagnn.simple_layers(variables, path)
    variables.pop("params", None)
    layers = [
        _Layer(path, number, fields)
        for number, fields in enumerate(as_list(variables.pop("layers")), start=1)
    ]
    renamed = vgg_layers.family_names([layer.name for layer in layers if layer.kind == "conv"])
    for layer in layers:
        layer.name = renamed.get(layer.name, layer.name) if layer.kind == "conv" else layer.name
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
    if renamed:
        net = replace(net, last_name=next(iter(renamed)))
    _check_fully_connected(path, net, {c.name: c.filters.shape for c in convolutions})
    _check_order(path, net, layers)
    rounded_up = _rounded_up(path, [layer for layer in layers if layer.kind == "pool"])
    layers.clear()  # they hold the weights, too
    return SimpleNN(net, net.text(ceil_mode=rounded_up), convolutions, variables)


def _variables(path: Path, skip_above: int | None) -> dict[str, Any]:
    """The net's fields: the file's variables, or those of `net`, as training saves it."""
    variables = mat_file.read(path, VARIABLES, skip_above=skip_above)
    if "layers" not in variables and isinstance(variables.get("net"), dict):
        variables = {key: value for key, value in variables["net"].items() if key in VARIABLES}
    if "layers" not in variables:
        names = ", ".join(filter(is_name, mat_file.variables(path)[:8])) or "none"
        raise WeightsError(
            f"{path}: has no `layers` and no `net` with them, as a net of MatConvNet has; its"
            f" variables: {names}. Save the net with `save('-struct', 'net')`."
        )
    return variables


class _Layer:
    """One layer as the file has it. Its methods raise WeightsError that names layer and values."""

    def __init__(self, path: Path, number: int, fields: Any):
        if not isinstance(fields, dict) or not is_name(fields.get("type")):
            raise WeightsError(f"{path}: layer {number} is no struct with a type. Get it again.")
        self.path, self.fields = path, fields
        self.type = fields["type"]
        self.kind = {"normalize": "lrn", "softmaxloss": "softmax"}.get(self.type, self.type)
        self.name = fields["name"] if is_name(fields.get("name")) else f"layer {number}"

    def check(self) -> None:
        """See that what a convolution, a pool or the normalisation does is the family's."""
        if self.kind == "conv":
            self._expect("stride", 2, (1, 1), default=(1.0,))
            self._expect("dilate", 2, (1, 1), default=(1.0,))
            kernel = self.convolution().filters.shape[:2]
            if kernel[0] != kernel[1]:
                self._refuse(f"a kernel of {sides_text(kernel)}", "square ones")
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

    def convolution(self) -> Convolution:
        weights = self.fields.get("weights")
        if weights is None:
            weights = [self.fields.get(key) for key in ("filters", "biases")]
        weights = as_list(weights)
        filters, biases = (weights[i] if i < len(weights) else None for i in (0, 1))
        for name, values in (("filters", filters), ("bias", biases)):
            if not isinstance(values, np.ndarray) or not values.size:
                raise WeightsError(f"{self.path}: {self.name} has no {name}. Get it again.")
            if values.dtype.kind not in "fiu":
                raise WeightsError(f"{self.path}: {self.name} has a {name} of {values.dtype}.")
        if filters.ndim > 4:
            self._refuse(f"filters of {sides_text(filters.shape)}", "HxWxCxK")
        filters = filters[..., *[None] * (4 - filters.ndim)]  # MATLAB leaves out last sides of 1
        if biases.size != filters.shape[3]:
            self._refuse(
                f"{biases.size} biases", f"one for each filter, {filters.shape[3]} of them"
            )
        return Convolution(self.name, filters, biases.reshape(-1))

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
    last = list(shapes)[list(shapes).index("fc6") - 1]
    needs = {"fc6": (side, side, shapes[last][3]), "fc7": (1, 1), "fc8": (1, 1)}
    for name, wanted in needs.items():
        if name in shapes and shapes[name][: len(wanted)] != wanted:
            raise WeightsError(
                f"{path}: {name} has filters of {sides_text(shapes[name])}, and {net.net} needs"
                f" {sides_text(wanted)} first."
            )


def _check_order(path: Path, net: vgg_layers.Layout, layers: Sequence[_Layer]) -> None:
    """See that ReLUs, pools and the normalisation stand where the net has them."""
    there = [layer for layer in layers if layer.kind != "dropout"]
    while there and there[-1].kind == "softmax":
        there.pop()
    wanted = [kind for kind, _ in layer_plan(net.name)]
    if not net.last_name:  # it may end with fc7 or its ReLU
        wanted = wanted[: max(len(there), len(wanted) - 2)][: len(wanted) - 1]
    for number, kind in enumerate(wanted):
        layer = there[number] if number < len(there) else None
        if layer is None or layer.kind != kind:
            stands = f"{layer.name} of type {layer.type!r}" if layer else "nothing"
            raise WeightsError(
                f"{path}: not {net.net}: in place {number + 1} stands {stands}, and it needs"
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


def _values(numbers: Sequence[float]) -> str:
    return f"[{' '.join(f'{number:g}' for number in numbers)}]"


def layer_plan(name: str) -> list[tuple[str, str]]:
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
