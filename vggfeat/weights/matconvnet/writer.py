"""Nets of the family A to E written as MatConvNet's SimpleNN, .mat files of version 5."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.storage.files import new_file
from vggfeat.weights import vgg_layers
from vggfeat.weights.checkpoint import Card
from vggfeat.weights.matconvnet.simplenn import (
    LRN,
    ROUNDED_DOWN,
    ROUNDED_UP,
    WINDOW,
    layer_plan,
)

# As version 5 has it, without scipy's time: equal nets are equal files.
HEADER = b"MATLAB 5.0 MAT-file, written by vggfeat".ljust(116)


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """A .mat file (version 5) of the tensors as MatConvNet's SimpleNN, the card with it.

    Raises WeightsError if the tensors are not the card's net, or if pictures are divided by a
    standard deviation, which MatConvNet's files cannot state.
    """
    net, _ = vgg_layers.to_be_written(path, tensors, card, "MatConvNet")
    name, options = vgg_layers.net_meaning(card.net)
    rounded_up = options["ceil_mode"]
    text = net.text(ceil_mode=rounded_up)
    if vgg_layers.net_meaning(text) != (name, options):
        raise WeightsError(
            f"{path}: cannot be written for MatConvNet: the weights are {text}, the card names"
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
            file.seek(0)
            file.write(HEADER)
    except (ValueError, TypeError) as error:  # 4 GiB is the most that version 5 can hold
        raise WeightsError(f"{path}: cannot be written as a .mat file ({error}).") from error


def _layers(
    name: str, side: int, tensors: Mapping[str, Tensor], rounded_up: bool
) -> list[dict[str, Any]]:
    """The layers as MatConvNet has them; their filters are views of the tensors."""
    keys, layers = vgg_layers.keys(name), []
    for kind, layer in layer_plan(name):
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
