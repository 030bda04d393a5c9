"""The family A to E as other programs list it: layers by the paper's names, one after the other.

Caffe's and MatConvNet's files hold conv1_1 ... conv5_3, fc6, fc7, fc8 with their weights; here they
become the keys of torchvision's layout, which is `vgg.VGG`'s.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import OptionError, WeightsError
from vggfeat.weights.checkpoint import Card, sides_text

FC_NAMES = ("fc6", "fc7", "fc8")


@dataclass(frozen=True)
class Layout:
    """A net of the family, as its weights' shapes say."""

    name: str
    width: float
    input_size: int
    num_outputs: int
    last_name: str = FC_NAMES[-1]  # what the file calls fc8; "" if it has none

    @property
    def net(self) -> str:
        """The net as `--net` names it, without weights."""
        return self.text()

    def text(self, *, ceil_mode: bool = False) -> str:
        """The net as `--net` names it, with pooling that rounds up if ceil_mode."""
        stated = []
        if self.width != 1:
            stated.append(f"width={self.width}")
        if self.input_size != vgg.PAPER_INPUT_SIZE:
            stated.append(f"input_size={self.input_size}")
        if ceil_mode:
            stated.append("ceil_mode=true")
        return f"{self.name}:{','.join(stated)}" if stated else self.name

    def last_layer_facts(self) -> dict[str, str]:
        """What a card says of a last layer that is not the family's; nothing of the usual one."""
        if self.last_name == FC_NAMES[-1]:
            return {}
        return {"last_layer": self.last_name or "none: descriptors up to fc7, and no scores"}

    def build(self) -> vgg.VGG:
        """The net without memory for its weights."""
        with torch.device("meta"):
            return vgg.build(
                self.name,
                num_classes=self.num_outputs,
                width=self.width,
                input_size=self.input_size,
            )


def layer_names(name: str) -> list[str]:
    """The layers with weights of a net of the family, in order: conv1_1, ..., fc8."""
    blocks = vgg.CONFIGURATIONS[name].blocks
    convolutions = [
        f"conv{block}_{number}"
        for block, kernels in enumerate(blocks, start=1)
        for number in range(1, len(kernels) + 1)
    ]
    return [*convolutions, *FC_NAMES]


@cache
def keys(name: str) -> Mapping[str, tuple[str, str]]:
    """Layer name -> the keys of its weights and of its bias in torchvision's layout."""
    with torch.device("meta"):
        state_keys = iter(vgg.build(name).state_dict())
    return {layer: (next(state_keys), next(state_keys)) for layer in layer_names(name)}


def family_names(names: Sequence[str]) -> dict[str, str]:
    """What a file calls fc8, if it is another name, and "fc8".

    Who trains a net on other classes gives its last layer another name, so that Caffe and
    MatConvNet do not fill it with the old one's weights.
    """
    for name in vgg.CONFIGURATIONS:
        wanted = layer_names(name)
        if len(names) == len(wanted) and list(names[:-1]) == wanted[:-1]:
            return {names[-1]: FC_NAMES[-1]}
    return {}


def recognise(shapes: Mapping[str, tuple[int, ...]], *, lrn: bool, path: Path) -> Layout:
    """Which net of the family has these layers.

    shapes maps each layer with weights, in the file's order, to the shape of its weights:
    (outputs, inputs, kernel, kernel) of a convolution, (outputs, inputs) of fc6 to fc8, of which
    the last may be missing. lrn says whether the net normalises local responses. Raises
    WeightsError if it is another net's file.
    """
    names = list(shapes)
    fitting = [
        name
        for name, configuration in vgg.CONFIGURATIONS.items()
        if names in (layer_names(name), layer_names(name)[:-1])
        and configuration.lrn == lrn
        and [kernel for block in configuration.blocks for kernel in block]
        == [shapes[layer][-1] for layer in layer_names(name)[: -len(FC_NAMES)]]
    ]
    if not fitting:
        listed = ", ".join(names[:4]) + (f", ... {names[-1]}" if len(names) > 4 else "")
        raise WeightsError(
            f"{path}: not a net of the family A to E: its {len(names)} layers with weights are"
            f" {listed or 'none'}{', with local response normalisation' if lrn else ''}. Known:"
            f" {', '.join(vgg.CONFIGURATIONS)} with layers conv1_1, ..., fc8."
        )
    side = math.sqrt(shapes["fc6"][1] / shapes[names[names.index("fc6") - 1]][0])
    has_last = FC_NAMES[-1] in shapes
    layout = Layout(
        name=fitting[0],
        width=_width(shapes["fc7"][0], shapes[names[0]][0]),
        input_size=round(side * vgg.STRIDE),
        num_outputs=shapes[FC_NAMES[-1]][0] if has_last else vgg.NUM_CLASSES,
        last_name=FC_NAMES[-1] if has_last else "",
    )
    try:
        wanted = layout.build().state_dict()
    except OptionError as error:
        raise WeightsError(f"{path}: not a net of the family A to E: {error}") from error
    for layer, (weight, _) in keys(layout.name).items():
        if layer in shapes and tuple(wanted[weight].shape) != tuple(shapes[layer]):
            raise WeightsError(
                f"{path}: {layer} has weights of {sides_text(shapes[layer])}, and {layout.net}"
                f" needs {sides_text(wanted[weight].shape)}."
            )
    return layout


def net_meaning(net: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a net, such that two of the same weights and scores compare equal."""
    name, _, text = net.partition(":")
    options: dict[str, Any] = {"width": "1", "input_size": "224", "ceil_mode": "false"}
    options |= dict(option.partition("=")[::2] for option in text.split(",") if option)
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


def to_be_written(
    path: Path, tensors: Mapping[str, Tensor], card: Card, program: str
) -> tuple[Layout, dict[str, tuple[Tensor, Tensor]]]:
    """A net of the family as another program's file can hold it: layer -> weights and biases.

    Raises WeightsError if it is no such net, if the weights are not those of the card's, or if
    pictures are divided by a standard deviation, which Caffe's and MatConvNet's files cannot state.
    """
    refused = f"{path}: cannot be written for {program}"
    name, _ = net_meaning(card.net)
    if name not in vgg.CONFIGURATIONS:
        raise WeightsError(
            f"{refused}: {card.net} is not of the family A to E. Known:"
            f" {', '.join(vgg.CONFIGURATIONS)}."
        )
    if card.std != (1.0, 1.0, 1.0):
        raise WeightsError(
            f"{refused}: pictures of this net are divided by {card.std}, and its files cannot"
            " state that. Only nets with std 1, 1, 1 can be."
        )
    pairs = keys(name)
    wanted = {key for pair in pairs.values() for key in pair}
    if odd := sorted(wanted ^ tensors.keys()):
        problem = "is missing" if odd[0] in wanted else "is not part of it"
        raise WeightsError(f"{refused}: the weights are not those of {name}: {odd[0]!r} {problem}.")
    layers = {layer: (tensors[weight], tensors[bias]) for layer, (weight, bias) in pairs.items()}
    for layer, (weight, bias) in layers.items():
        axes = 2 if layer in FC_NAMES else 4
        if weight.ndim != axes or not weight.numel() or bias.shape != weight.shape[:1]:
            raise WeightsError(
                f"{refused}: {layer} has weights of {sides_text(weight.shape)} and biases of"
                f" {sides_text(bias.shape)}, which fit no layer of {axes} axes."
            )
    shapes = {layer: tuple(weight.shape) for layer, (weight, _) in layers.items()}
    layout = recognise(shapes, lrn=vgg.CONFIGURATIONS[name].lrn, path=path)
    if layout.name != name:
        raise WeightsError(f"{refused}: the weights are of {layout.name}, not of {name}.")
    return layout, layers


def _width(units: int, channels: int) -> float:
    """The factor, with as few digits as will do, that gives fc7's units and conv1_1's channels."""
    exact = units / vgg.FC_UNITS
    for digits in range(1, 7):
        width = round(exact, digits)
        if vgg.scaled(vgg.FC_UNITS, width) == units and (
            vgg.scaled(vgg.BLOCK_CHANNELS[0], width) == channels
        ):
            return width
    return exact
