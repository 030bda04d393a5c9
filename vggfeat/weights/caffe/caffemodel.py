"""Nets of the family A to E as Caffe keeps them: .caffemodel files and deploy prototxts.

Caffe's nets take the channels B, G, R of pixels 0 to 255 less their mean; `vgg.VGG` takes
R, G, B, so the input channels of conv1_1 change their order on the way in and out. Caffe rounds
pooled sides up (`ceil_mode`). Fully connected layers see C, H, W flattened in that order in both.

Files whose layers are `layers` (V1LayerParameter) or `layer` (LayerParameter) are read, and the
latter written. What a file states of its layers has to be the net its weights belong to; a file of
layers with weights alone states nothing else, and is that net as `layout` knows it.

Shapes: convolutions (outputs, inputs, kernel, kernel), fully connected layers (outputs, inputs).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf import text_format
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS
from vggfeat.plurals import counted
from vggfeat.storage.files import new_file
from vggfeat.weights.caffe.layers import (
    FIRST,
    WEIGHTED,
    check_layers,
    computing_layers,
    deploy_net,
    kind_of,
    stated_parameters,
)
from vggfeat.weights.caffe.schema import NetParameter
from vggfeat.weights.caffe.wire import Layer, Net, read_arrays, read_net, write_net
from vggfeat.weights.checkpoint import ASSUMED, Card, sides_text
from vggfeat.weights.vgg_layers import (
    FC_NAMES,
    Layout,
    family_names,
    keys,
    recognise,
    to_be_written,
)

SUFFIX = ".caffemodel"
UNIT = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class CaffeNet:
    """A net in a file. weights maps a name to its layer and to the shape its weights have here."""

    net: Net
    layout: Layout
    round_mode: str  # of its pooling: CEIL or FLOOR
    weights: dict[str, tuple[Layer, tuple[int, ...]]]


def read_card(path: Path) -> Card:
    """What follows from a .caffemodel without reading its weights. Raises WeightsError."""
    caffe_net = find_net(path)
    imported = {
        "format": "Caffe",
        "name": caffe_net.net.name,
        "messages": caffe_net.net.messages,
        "statistics": ASSUMED,  # the file has no place for them
        **caffe_net.layout.last_layer_facts(),
    }
    return Card(
        net=caffe_net.layout.text(ceil_mode=caffe_net.round_mode == "CEIL"),
        classes=(),
        mean=PAPER_STATISTICS.mean,
        std=UNIT,
        training={"imported": imported},
    )


def read(path: Path) -> dict[str, Tensor]:
    """The weights of a .caffemodel as float32, under torchvision's keys, for R, G, B.

    Takes little more memory than the net. Raises WeightsError if the file is missing, damaged, or
    of another net.
    """
    caffe_net = find_net(path)
    wanted = []
    for name, pair in keys(caffe_net.layout.name).items():
        if name not in caffe_net.weights:
            continue
        layer, shape = caffe_net.weights[name]
        wanted += zip(pair, layer.blobs, (shape, shape[:1]), strict=True)
    arrays = read_arrays(path, [(blob, shape) for _, blob, shape in wanted])
    tensors = {key: array for (key, _, _), array in zip(wanted, arrays, strict=True)}
    first, _ = keys(caffe_net.layout.name)[FIRST]
    tensors[first] = tensors[first].flip(1)
    return tensors


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write a net as NAME.caffemodel, and beside it its deploy net as NAME.prototxt.

    tensors has torchvision's keys. Caffe rounds pooled sides up, so that is how the net is read
    again even if the card says otherwise; it makes no difference where sides are multiples of 32.
    Raises WeightsError if it is no net of the family, or if pictures are divided by a standard
    deviation, which Caffe does not do and its files cannot state.
    """
    if path.suffix != SUFFIX:
        raise WeightsError(f"{path}: Caffe's weights are named NAME{SUFFIX}. Choose such a name.")
    layout, pairs = to_be_written(path, tensors, card, "Caffe")
    blobs = {layer: list(pair) for layer, pair in pairs.items()}
    blobs[FIRST][0] = blobs[FIRST][0].flip(1)
    deploy = deploy_net(layout)
    head = NetParameter()
    head.CopyFrom(deploy)
    head.ClearField("layer")
    layers = [(layer, blobs.get(layer.name, ())) for layer in deploy.layer]
    with new_file(path) as model, new_file(path.with_suffix(".prototxt")) as prototxt:
        write_net(model, head, layers, path)
        prototxt.write(text_format.MessageToString(deploy).encode())


def find_net(path: Path) -> CaffeNet:
    """The net of the family that a .caffemodel holds. Raises WeightsError if it is another's."""
    net = read_net(path)
    layers = computing_layers(net.layers, path)
    weights: dict[str, tuple[Layer, tuple[int, ...]]] = {}
    weighted = [layer for layer in layers if kind_of(layer.parameters) in WEIGHTED]
    renamed = family_names([layer.name for layer in weighted])
    for layer in weighted:
        name = renamed.get(layer.name, layer.name)
        if name in weights:
            raise WeightsError(f"{path}: two layers are named {layer.name}.")
        weights[name] = layer, _shape_of(layer, name, path)
    kinds = {kind_of(layer.parameters) for layer in layers}
    layout = recognise(
        {name: shape for name, (_, shape) in weights.items()}, lrn="lrn" in kinds, path=path
    )
    if renamed:
        layout = replace(layout, last_name=weighted[-1].name)
    blocks = vgg.CONFIGURATIONS[layout.name].blocks
    twins = [name for name, c in vgg.CONFIGURATIONS.items() if c.blocks == blocks]
    bare = kinds <= set(WEIGHTED)
    if bare and len(twins) > 1:
        raise WeightsError(
            f"{path}: holds layers with weights alone, which may be of {' or '.join(twins)}. Save"
            " it with all its layers."
        )
    poolings = [layer.parameters for layer in layers if kind_of(layer.parameters) == "pooling"]
    round_mode = str(stated_parameters(poolings[0])["round_mode"]) if poolings else "CEIL"
    check_layers(layers, layout, round_mode, path, f"{layout.net} needs", bare=bare)
    return CaffeNet(net, layout, round_mode, weights)


def _shape_of(layer: Layer, name: str, path: Path) -> tuple[int, ...]:
    """The shape of a layer's weights here; older files put ones before it.

    name is what the family calls the layer.
    """
    if len(layer.blobs) != 2:
        raise WeightsError(
            f"{path}: {layer.name} has {counted(len(layer.blobs), 'blob')}, and weights and a bias"
            " are needed."
        )
    shape, bias = (blob.shape for blob in layer.blobs)
    num_axes = 4 if kind_of(layer.parameters) == "convolution" else 2
    shape = _without_ones(shape, num_axes)
    _check_shapes(layer.name, shape, _without_ones(bias, 1), num_axes, path)
    if name in FC_NAMES:
        return shape[0], math.prod(shape[1:])
    return shape


def _without_ones(shape: tuple[int, ...], num_axes: int) -> tuple[int, ...]:
    """Its last axes, if all before them are 1."""
    before = max(0, len(shape) - num_axes)
    return shape[before:] if set(shape[:before]) <= {1} else shape


def _check_shapes(
    name: str, weight: tuple[int, ...], bias: tuple[int, ...], num_axes: int, path: Path
) -> None:
    """See that they can be of a layer with weights at all."""
    if len(weight) != num_axes or 0 in weight or bias != weight[:1]:
        raise WeightsError(
            f"{path}: {name} has weights of {sides_text(weight)} and biases of {sides_text(bias)},"
            f" and {num_axes} axes are needed, and a bias for each output."
        )
