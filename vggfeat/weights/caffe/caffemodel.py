"""Nets of the family A to E as Caffe keeps them: .caffemodel files and deploy prototxts.

Caffe's nets take the channels B, G, R of pixels 0 to 255 less their mean; `networks.VGG` takes
R, G, B, so the input channels of conv1_1 change their order on the way in and out. Caffe rounds
pooled sides up (`ceil_mode`). Fully connected layers see C, H, W flattened in that order in both.

Files whose layers are `layers` (V1LayerParameter) or `layer` (LayerParameter) are read, and the
latter written. What a file states of its layers has to be the net its weights belong to; a file of
layers with weights alone states nothing else, and is that net as `layout` knows it.

Shapes: convolutions (outputs, inputs, kernel, kernel), fully connected layers (outputs, inputs).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from torch import Tensor

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.images import PAPER_STATISTICS
from vggfeat.storage.files import new_file
from vggfeat.weights.caffe.schema import LayerParameter, NetParameter
from vggfeat.weights.caffe.wire import Layer, Net, read_arrays, read_net, write_net
from vggfeat.weights.checkpoint import Card
from vggfeat.weights.vgg_layers import FC_NAMES, Layout, keys, layer_names, recognise, to_be_written

SUFFIX = ".caffemodel"
FIRST = "conv1_1"
UNIT = (1.0, 1.0, 1.0)
# What a layer does, as both generations of messages spell it without case and underscores.
WEIGHTED = ("convolution", "innerproduct")
PARAMETERS = {
    "convolution": "convolution_param",
    "innerproduct": "inner_product_param",
    "relu": "relu_param",
    "pooling": "pooling_param",
    "lrn": "lrn_param",
}
COMPUTING = tuple(PARAMETERS)
PASSING = ("dropout", "split")  # give on what they take when a net is tested
ASIDE = (
    "accuracy", "argmax", "data", "dummydata", "hdf5data", "hingeloss", "imagedata",
    "infogainloss", "input", "memorydata", "multinomiallogisticloss", "silence", "softmax",
    "softmaxloss", "softmaxwithloss", "windowdata",
)  # fmt: skip
# What parameters state once, once a side, or as NAME_h and NAME_w; and what is meant otherwise.
SIDES = {"kernel_size": 0, "pad": 0, "stride": 1, "dilation": 1}
MAX_PROTOTXT = 2**20  # bytes; a net of the family takes 5000


@dataclass(frozen=True)
class _Found:
    """A net in a file. weights maps a name to its layer and to the shape its weights have here."""

    net: Net
    layout: Layout
    round_mode: str  # of its pooling: CEIL or FLOOR
    weights: dict[str, tuple[Layer, tuple[int, ...]]]


def read_card(path: Path) -> Card:
    """What follows from a .caffemodel without reading its weights. Raises WeightsError."""
    found = _find(path)
    net = found.layout.net
    if found.round_mode == "CEIL":
        net += f"{',' if ':' in net else ':'}ceil_mode=true"
    return Card(
        net=net,
        classes=(),
        mean=PAPER_STATISTICS.mean,
        std=UNIT,
        training={
            "imported": {
                "format": "Caffe",
                "name": found.net.name,
                "messages": found.net.messages,
            }
        },
    )


def read(path: Path) -> dict[str, Tensor]:
    """The weights of a .caffemodel as float32, under torchvision's keys, for R, G, B.

    Takes little more memory than the net. Raises WeightsError if the file is missing, damaged, or
    of another net.
    """
    found = _find(path)
    wanted = []
    for name, pair in keys(found.layout.name).items():
        layer, shape = found.weights[name]
        wanted += zip(pair, layer.blobs, (shape, shape[:1]), strict=True)
    arrays = read_arrays(path, [(blob, shape) for _, blob, shape in wanted])
    tensors = {key: array for (key, _, _), array in zip(wanted, arrays, strict=True)}
    first, _ = keys(found.layout.name)[FIRST]
    tensors[first] = tensors[first].flip(1)
    return tensors


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write a net as NAME.caffemodel, and beside it its deploy net as NAME.prototxt.

    tensors has torchvision's keys. Caffe rounds pooled sides up, so that is how the net is read
    again even if the card says otherwise; it makes no difference where sides are multiples of 32.
    Raises WeightsError if it is no net of the family, or if pictures are divided by a standard
    deviation, which Caffe does not do and its files cannot tell.
    """
    if path.suffix != SUFFIX:
        raise WeightsError(f"{path}: Caffe's weights are named NAME{SUFFIX}. Choose such a name.")
    layout, pairs = to_be_written(path, tensors, card, "Caffe")
    blobs = {layer: list(pair) for layer, pair in pairs.items()}
    blobs[FIRST][0] = blobs[FIRST][0].flip(1)
    deploy = _deploy(layout)
    head = NetParameter()
    head.CopyFrom(deploy)
    head.ClearField("layer")
    layers = [(layer, blobs.get(layer.name, ())) for layer in deploy.layer]
    with new_file(path) as model, new_file(path.with_suffix(".prototxt")) as prototxt:
        write_net(model, head, layers, path)
        prototxt.write(text_format.MessageToString(deploy).encode())


def check_prototxt(path: Path, prototxt: Path) -> None:
    """See that a deploy prototxt describes the net of a .caffemodel.

    Raises WeightsError naming the layer and both values if it does not.
    """
    found = _find(path)
    text = _read_prototxt(prototxt)
    stated = [*text.layer, *text.layers]
    if text.layer and text.layers or not stated:
        what = "layers of two generations" if stated else "no layers"
        raise WeightsError(f"{prototxt}: not a deploy prototxt: it has {what}.")
    if any(layer.HasField("layer") for layer in text.layers):
        raise WeightsError(
            f"{prototxt}: its layers are V0LayerParameter, the oldest kind. Caffe's"
            " upgrade_net_proto_text makes a file of it that can be read."
        )
    layers = [Layer(str(layer.name), layer, ()) for layer in stated]
    computing = _computing(layers, prototxt)
    _check_layers(computing, found.layout, found.round_mode, prototxt, f"{path.name} has")
    # As a convolution fc6 takes any size from its own on.
    exact = any(_kind(la.parameters) == "innerproduct" for la in computing if la.name == "fc6")
    side = found.layout.input_size
    for dims in _inputs(text):
        if dims[1:2] != [3] or len(dims) != 4 or (exact and dims[2:] != [side, side]):
            raise WeightsError(
                f"{prototxt}: its input is {'x'.join(map(str, dims))}, and {path.name} has"
                f" Nx3x{side}x{side}."
            )


def _read_prototxt(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: no such prototxt. Check the path.")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PROTOTXT + 1)
        if len(text) > MAX_PROTOTXT:
            raise WeightsError(f"{path}: not a deploy prototxt: over {MAX_PROTOTXT} bytes.")
        return text_format.Parse(text.decode(), NetParameter(), allow_unknown_field=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise WeightsError(f"{path}: not a deploy prototxt ({reason}).") from error


def _inputs(text: Any) -> Iterable[list[int]]:
    """Each shape of its input that a net states."""
    if text.input_dim:
        yield list(text.input_dim)
    for shape in text.input_shape:
        yield list(shape.dim)
    for layer in text.layer:
        for shape in layer.input_param.shape:
            yield list(shape.dim)


def _find(path: Path) -> _Found:
    net = read_net(path)
    layers = _computing(net.layers, path)
    weights: dict[str, tuple[Layer, tuple[int, ...]]] = {}
    for layer in layers:
        if _kind(layer.parameters) in WEIGHTED:
            if layer.name in weights:
                raise WeightsError(f"{path}: two layers are named {layer.name}.")
            weights[layer.name] = layer, _shape_of(layer, path)
    kinds = {_kind(layer.parameters) for layer in layers}
    layout = recognise(
        {name: shape for name, (_, shape) in weights.items()}, lrn="lrn" in kinds, path=path
    )
    blocks = vgg.CONFIGURATIONS[layout.name].blocks
    twins = [name for name, c in vgg.CONFIGURATIONS.items() if c.blocks == blocks]
    bare = kinds <= set(WEIGHTED)
    if bare and len(twins) > 1:
        raise WeightsError(
            f"{path}: holds layers with weights alone, which may be of {' or '.join(twins)}. Save"
            " it with all its layers."
        )
    poolings = [layer.parameters for layer in layers if _kind(layer.parameters) == "pooling"]
    round_mode = str(_stated(poolings[0])["round_mode"]) if poolings else "CEIL"
    _check_layers(layers, layout, round_mode, path, f"{layout.net} needs", bare=bare)
    return _Found(net, layout, round_mode, weights)


def _computing(layers: Sequence[Layer], path: Path) -> list[Layer]:
    """The layers that a picture goes through, each of which has to take what the last one gave.

    Where layers with weights stand alone, what they take is not there.
    """
    chained = any(_kind(layer.parameters) in COMPUTING[len(WEIGHTED) :] for layer in layers)
    found: list[Layer] = []
    given: set[str] = set()
    for layer in layers:
        kind, parameters = _kind(layer.parameters), layer.parameters
        if kind in ASIDE:
            continue
        if kind not in COMPUTING + PASSING:
            raise WeightsError(
                f"{path}: not a net of the family A to E: {layer.name} is of type"
                f" {_type(parameters) or 'none'}."
            )
        taken = set(parameters.bottom)
        if chained and found and not taken <= given:
            if kind == "split":  # of something that is laid aside
                continue
            before, after = (", ".join(sorted(names)) for names in (given, taken))
            raise WeightsError(
                f"{path}: {layer.name} takes {after or 'nothing'}, and the layer before it gives"
                f" {before or 'nothing'}."
            )
        given = set(parameters.top) | (given if kind == "split" else set())
        if kind in COMPUTING:
            found.append(layer)
    return found


def _shape_of(layer: Layer, path: Path) -> tuple[int, ...]:
    """The shape of a layer's weights here; older files put ones before it."""
    if len(layer.blobs) != 2:
        raise WeightsError(
            f"{path}: {layer.name} has {len(layer.blobs)} blobs, and weights and a bias are needed."
        )
    shape, bias = (blob.shape for blob in layer.blobs)
    num_axes = 4 if _kind(layer.parameters) == "convolution" else 2
    shape = _without_ones(shape, num_axes)
    _check_shapes(layer.name, shape, _without_ones(bias, 1), num_axes, path)
    if layer.name in FC_NAMES:
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
            f"{path}: {name} has weights of {_sides(weight)} and biases of {_sides(bias)}, and"
            f" {num_axes} axes are needed, and a bias for each output."
        )


def _check_layers(
    layers: Sequence[Layer],
    layout: Layout,
    round_mode: str,
    path: Path,
    needs: str,
    *,
    bare: bool = False,
) -> None:
    """See that these are the layers of the net, one after the other, with its parameters.

    needs is how an error says whose the net is; bare if only layers with weights are there.
    """
    wanted = [
        layer
        for layer in _deploy(layout, round_mode).layer
        if _kind(layer) in (WEIGHTED if bare else COMPUTING)
    ]
    last = "the input"
    for layer, wants in zip_longest(layers, wanted):
        if layer and wants and wants.name in FC_NAMES and _kind(layer.parameters) == WEIGHTED[0]:
            wants = _as_convolution(wants, layout)
        is_its = layer and wants and _kind(layer.parameters) == _kind(wants)
        if not is_its or (_kind(wants) in WEIGHTED and layer.name != wants.name):
            comes = f"{layer.name} ({_type(layer.parameters)})" if layer else "nothing"
            other = f"{wants.name} ({wants.type})" if wants else "nothing"
            raise WeightsError(f"{path}: after {last} comes {comes}, and {needs} {other}.")
        last = layer.name
        stated, needed = _stated(layer.parameters), _stated(wants)
        if layer.blobs and not layer.parameters.HasField(PARAMETERS[_kind(wants)]):
            stated = {}  # left to the shapes of its weights
        if layer.blobs and _kind(wants) == "convolution":
            stated["kernel of its weights"] = _sides(layer.blobs[0].shape[-2:])
            needed["kernel of its weights"] = needed["kernel_size"]
        for key, value in stated.items():
            if value != needed[key]:
                raise WeightsError(f"{path}: {last}: {key} is {value}, and {needs} {needed[key]}.")


def _stated(parameters: Any) -> dict[str, object]:
    """What a layer's message says of how it computes, however it says it."""
    kind = _kind(parameters)
    own = getattr(parameters, PARAMETERS[kind])
    stated: dict[str, object] = {}
    for name, field in own.DESCRIPTOR.fields_by_name.items():
        if name in SIDES:
            stated[name] = _stated_sides(own, name)
        elif field.enum_type:
            stated[name] = field.enum_type.values_by_number[getattr(own, name)].name
        elif not name.endswith(("_h", "_w")):
            stated[name] = getattr(own, name)
    return stated


def _stated_sides(own: Any, name: str) -> str:
    """A kernel, padding, stride or dilation as HxW."""
    value = getattr(own, name)
    if isinstance(value, int):
        sides = [value] if own.HasField(name) else []
    else:
        sides = list(value)
    sides *= 2 if len(sides) == 1 else 1
    apart = [name.removesuffix("_size") + side for side in ("_h", "_w")]
    if any(side in own.DESCRIPTOR.fields_by_name and own.HasField(side) for side in apart):
        sides += [getattr(own, side) for side in apart]  # four if both are stated: fits nothing
    return _sides(sides or [SIDES[name]] * 2)


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _type(parameters: Any) -> str:
    """A layer's type as its message spells it."""
    if isinstance(parameters, LayerParameter):
        return parameters.type
    field = parameters.DESCRIPTOR.fields_by_name["type"]
    return field.enum_type.values_by_number[parameters.type].name


def _kind(parameters: Any) -> str:
    return _type(parameters).replace("_", "").lower()


def _deploy(layout: Layout, round_mode: str = "CEIL") -> Any:
    """The net for testing, as current messages have it."""
    configuration = vgg.CONFIGURATIONS[layout.name]
    net = NetParameter(name=layout.net, input=["data"])
    net.input_shape.add(dim=[1, 3, layout.input_size, layout.input_size])
    at = "data"

    def add(name: str, type_: str, *, in_place: bool = False) -> Any:
        nonlocal at
        layer = net.layer.add(name=name, type=type_, bottom=[at], top=[at if in_place else name])
        at = layer.top[0]
        return layer

    shapes = [tuple(w.shape) for w in layout.build().state_dict().values() if w.ndim > 1]
    outputs = {name: shape[0] for name, shape in zip(layer_names(layout.name), shapes, strict=True)}
    for block, kernels in enumerate(configuration.blocks, start=1):
        for number, kernel in enumerate(kernels, start=1):
            name = f"conv{block}_{number}"
            own = add(name, "Convolution").convolution_param
            own.num_output = outputs[name]
            own.pad.append(kernel // 2)
            own.kernel_size.append(kernel)
            own.stride.append(1)
            add(f"relu{block}_{number}", "ReLU", in_place=True)
            if configuration.lrn and name == FIRST:
                own = add("norm1", "LRN").lrn_param
                own.local_size, own.alpha, own.beta, own.k = 5, 5e-4, 0.75, 2  # as `networks`
        own = add(f"pool{block}", "Pooling").pooling_param
        own.pool, own.kernel_size, own.stride = 0, 2, 2
        if round_mode != "CEIL":  # old Caffes do not know it
            own.round_mode = 1
    for name in FC_NAMES:
        add(name, "InnerProduct").inner_product_param.num_output = outputs[name]
        if name != FC_NAMES[-1]:
            add(f"relu{name[2:]}", "ReLU", in_place=True)
            add(f"drop{name[2:]}", "Dropout", in_place=True).dropout_param.dropout_ratio = 0.5
    add("prob", "Softmax")
    return net


def _as_convolution(layer: Any, layout: Layout) -> Any:
    """A fully connected layer of a deploy net as the convolution that does the same."""
    found = LayerParameter(name=layer.name, type="Convolution")
    found.convolution_param.num_output = layer.inner_product_param.num_output
    side = layout.input_size // vgg.STRIDE if layer.name == FC_NAMES[0] else 1
    found.convolution_param.kernel_size.append(side)
    return found
