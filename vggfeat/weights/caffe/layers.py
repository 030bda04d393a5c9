"""The layers of Caffe's nets: which a picture goes through, and whether they are the family's."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.weights.caffe.schema import LayerParameter, NetParameter
from vggfeat.weights.caffe.wire import Layer
from vggfeat.weights.checkpoint import sides_text
from vggfeat.weights.vgg_layers import FC_NAMES, Layout, layer_names

FIRST = "conv1_1"
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


def computing_layers(layers: Sequence[Layer], path: Path) -> list[Layer]:
    """The layers that a picture goes through, each of which has to take what the last one gave.

    Where layers with weights stand alone, what they take is not there.
    """
    chained = any(kind_of(layer.parameters) in COMPUTING[len(WEIGHTED) :] for layer in layers)
    computing: list[Layer] = []
    tops: set[str] = set()
    for layer in layers:
        kind, parameters = kind_of(layer.parameters), layer.parameters
        if kind in ASIDE:
            continue
        if kind not in COMPUTING + PASSING:
            raise WeightsError(
                f"{path}: not a net of the family A to E: {layer.name} is of type"
                f" {type_of(parameters) or 'none'}."
            )
        bottoms = set(parameters.bottom)
        if chained and computing and not bottoms <= tops:
            if kind == "split":  # of something that is laid aside
                continue
            before, after = (", ".join(sorted(names)) for names in (tops, bottoms))
            raise WeightsError(
                f"{path}: {layer.name} takes {after or 'nothing'}, and the layer before it gives"
                f" {before or 'nothing'}."
            )
        tops = set(parameters.top) | (tops if kind == "split" else set())
        if kind in COMPUTING:
            computing.append(layer)
    return computing


def check_layers(
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
        for layer in deploy_net(layout, round_mode).layer
        if kind_of(layer) in (WEIGHTED if bare else COMPUTING)
    ]
    if not layout.last_name:  # it may end with fc7 or its ReLU
        wanted = wanted[: max(len(layers), len(wanted) - 2)][: len(wanted) - 1]
    last = "the input"
    for layer, wants in zip_longest(layers, wanted):
        if layer and wants and wants.name in FC_NAMES and kind_of(layer.parameters) == WEIGHTED[0]:
            wants = _as_convolution(wants, layout)
        is_its = layer and wants and kind_of(layer.parameters) == kind_of(wants)
        name = layout.last_name if wants and wants.name == FC_NAMES[-1] else wants and wants.name
        if not is_its or (kind_of(wants) in WEIGHTED and layer.name != name):
            comes = f"{layer.name} ({type_of(layer.parameters)})" if layer else "nothing"
            expected = f"{wants.name} ({wants.type})" if wants else "nothing"
            raise WeightsError(f"{path}: after {last} comes {comes}, and {needs} {expected}.")
        last = layer.name
        stated, needed = stated_parameters(layer.parameters), stated_parameters(wants)
        if layer.blobs and not layer.parameters.HasField(PARAMETERS[kind_of(wants)]):
            stated = {}  # left to the shapes of its weights
        if layer.blobs and kind_of(wants) == "convolution":
            stated["kernel of its weights"] = sides_text(layer.blobs[0].shape[-2:])
            needed["kernel of its weights"] = needed["kernel_size"]
        for key, value in stated.items():
            if value != needed[key]:
                raise WeightsError(f"{path}: {last}: {key} is {value}, and {needs} {needed[key]}.")


def stated_parameters(parameters: Any) -> dict[str, object]:
    """What a layer's message says of how it computes, however it says it."""
    kind = kind_of(parameters)
    message = getattr(parameters, PARAMETERS[kind])
    stated: dict[str, object] = {}
    for name, field in message.DESCRIPTOR.fields_by_name.items():
        if name in SIDES:
            stated[name] = _stated_sides(message, name)
        elif field.enum_type:
            stated[name] = field.enum_type.values_by_number[getattr(message, name)].name
        elif not name.endswith(("_h", "_w")):
            stated[name] = getattr(message, name)
    return stated


def _stated_sides(message: Any, name: str) -> str:
    """A kernel, padding, stride or dilation as HxW."""
    value = getattr(message, name)
    if isinstance(value, int):
        sides = [value] if message.HasField(name) else []
    else:
        sides = list(value)
    sides *= 2 if len(sides) == 1 else 1
    apart = [name.removesuffix("_size") + side for side in ("_h", "_w")]
    if any(side in message.DESCRIPTOR.fields_by_name and message.HasField(side) for side in apart):
        sides += [getattr(message, side) for side in apart]  # four if both are stated: fits nothing
    return sides_text(sides or [SIDES[name]] * 2)


def type_of(parameters: Any) -> str:
    """A layer's type as its message spells it."""
    if isinstance(parameters, LayerParameter):
        return parameters.type
    field = parameters.DESCRIPTOR.fields_by_name["type"]
    return field.enum_type.values_by_number[parameters.type].name


def kind_of(parameters: Any) -> str:
    """A layer's type in one spelling for both generations of messages, such as "innerproduct"."""
    return type_of(parameters).replace("_", "").lower()


def deploy_net(layout: Layout, round_mode: str = "CEIL") -> Any:
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
            message = add(name, "Convolution").convolution_param
            message.num_output = outputs[name]
            message.pad.append(kernel // 2)
            message.kernel_size.append(kernel)
            message.stride.append(1)
            add(f"relu{block}_{number}", "ReLU", in_place=True)
            if configuration.lrn and name == FIRST:
                message = add("norm1", "LRN").lrn_param
                message.local_size, message.k = 5, 2  # as `vgg.VGG`
                message.alpha, message.beta = 5e-4, 0.75
        message = add(f"pool{block}", "Pooling").pooling_param
        message.pool, message.kernel_size, message.stride = 0, 2, 2
        if round_mode != "CEIL":  # old Caffes do not know it
            message.round_mode = 1
    for name in FC_NAMES:
        add(name, "InnerProduct").inner_product_param.num_output = outputs[name]
        if name != FC_NAMES[-1]:
            add(f"relu{name[2:]}", "ReLU", in_place=True)
            add(f"drop{name[2:]}", "Dropout", in_place=True).dropout_param.dropout_ratio = 0.5
    add("prob", "Softmax")
    return net


def _as_convolution(layer: Any, layout: Layout) -> Any:
    """A fully connected layer of a deploy net as the convolution that does the same."""
    convolution = LayerParameter(name=layer.name, type="Convolution")
    convolution.convolution_param.num_output = layer.inner_product_param.num_output
    side = layout.input_size // vgg.STRIDE if layer.name == FC_NAMES[0] else 1
    convolution.convolution_param.kernel_size.append(side)
    return convolution
