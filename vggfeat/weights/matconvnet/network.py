"""MatConvNet's SimpleNN files (.mat) <-> tensors in torchvision's layout and their card.

Filters are H x W x Cin x Cout there and (Cout, Cin, H, W) here; fc6 is a convolution there and
takes its inputs in the order C, H, W here. Pictures are RGB, 0 to 255, minus `averageImage`.

Both generations are read: `weights` and `meta`, and before them `filters`, `biases` and
`normalization`, `classes` beside the layers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS
from vggfeat.weights import vgg_layers
from vggfeat.weights.checkpoint import Card, parse_card, sides_text
from vggfeat.weights.matconvnet.mat_values import as_list
from vggfeat.weights.matconvnet.simplenn import read_simplenn

CARD_NEEDS_BYTES = 2**24  # of an array; an average image has 1.2 MB, fc6 400 MB
UNIT = (1.0, 1.0, 1.0)


def read_card(path: Path) -> Card:
    """Which net a file holds, and how its pictures are prepared.

    A card that `write` left in the file is taken if it names the net that the layers are.
    Otherwise `training["imported"]` says where mean and classes are from. Raises WeightsError.
    """
    file = read_simplenn(path, skip_above=CARD_NEEDS_BYTES)
    meta = _struct(file.variables, "meta")
    notes = []
    if isinstance(meta.get("vggfeat"), str):
        card = parse_card(meta["vggfeat"], path)
        if vgg_layers.net_meaning(card.net) == vgg_layers.net_meaning(file.net):
            return card
        notes.append(f"the card in the file is of {card.net!r} and was not used")
    mean, how = _mean(path, _older(file.variables, meta, "normalization").get("averageImage"))
    classes = _classes(path, _older(file.variables, meta, "classes"))
    if classes and (len(classes) != file.layout.num_outputs or not file.layout.last_name):
        notes.append(f"{len(classes)} class names for {file.layout.num_outputs} outputs left out")
        classes = ()
    facts = file.layout.last_layer_facts()
    imported: dict[str, Any] = {"format": "MatConvNet", "average_image": how, **facts}
    if notes:
        imported["notes"] = notes
    return Card(net=file.net, classes=classes, mean=mean, std=UNIT, training={"imported": imported})


def read(path: Path) -> dict[str, Tensor]:
    """The weights as float32 under torchvision's keys, for the net that `read_card` names.

    Raises WeightsError if the file is missing, damaged, unsafe, or of a net that is not of the
    family A to E.
    """
    file = read_simplenn(path, skip_above=None)
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


def _mean(path: Path, average: Any) -> tuple[tuple[float, float, float], str]:
    """R, G, B of an average image, and how they were got."""
    is_array = isinstance(average, np.ndarray)
    if average is None or (is_array and not average.size):
        return PAPER_STATISTICS.mean, "missing: the paper's mean is taken"
    numbers = is_array and average.dtype.kind in "fiu"
    pixel = numbers and average.size == 3
    image = numbers and average.ndim == 3 and average.shape[2] == 3
    if not pixel and not (image and max(average.shape) <= vgg.MAX_INPUT_SIZE):
        has = sides_text(average.shape) if is_array else "no array"
        raise WeightsError(
            f"{path}: its averageImage is {has}; 1x1x3 or HxWx3 numbers are needed, H and W up to"
            f" {vgg.MAX_INPUT_SIZE}."
        )
    average = average.astype(np.float64)
    how = "one colour"
    if not pixel:
        how = (
            f"{average.shape[0]}x{average.shape[1]} pixels: their mean is taken, as dense"
            " evaluation takes pictures of any size"
        )
        average = average.mean(axis=(0, 1))
    if not np.isfinite(average).all():
        raise WeightsError(f"{path}: its averageImage holds values that are not finite.")
    red, green, blue = average.reshape(-1).tolist()
    return (red, green, blue), how


def _classes(path: Path, classes: Mapping[str, Any]) -> tuple[str, ...]:
    for field in ("description", "name"):
        names = as_list(classes.get(field))
        if names:
            if not all(isinstance(name, str) for name in names):
                raise WeightsError(f"{path}: classes.{field} are no texts. Get it again.")
            return tuple(names)
    return ()


def _older(variables: Mapping[str, Any], meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of `meta`, which older files have beside it."""
    return _struct(meta, name) or _struct(variables, name)


def _struct(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def _float32(values: np.ndarray) -> np.ndarray:
    """A copy, as rows first; what is too large becomes infinite, which loading a net refuses."""
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float32, order="C")
