"""Caffe's files: what is in them comes out, goes back in, and is the net that Caffe would run.

The files read here are written byte by byte in this module, and those written are taken apart and
run by a small Caffe of its own, in float64 on B, G, R.
"""

import copy
import math
import struct

import h5py
import numpy as np
import pytest
import torch

from vggfeat import vgg
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS
from vggfeat.weights.caffe import caffemodel
from vggfeat.weights.caffe.prototxt import check_prototxt
from vggfeat.weights.checkpoint import Card

NAMES = ("vgg11", "vgg11_lrn", "vgg13", "vgg16_1x1", "vgg16")
# Type -> its number and its parameters' field in old layers, its name and field in current ones.
TYPES = {
    "conv": (4, 10, "Convolution", 106),
    "fc": (14, 17, "InnerProduct", 117),
    "relu": (18, 30, "ReLU", 123),
    "lrn": (15, 18, "LRN", 118),
    "pool": (17, 19, "Pooling", 121),
    "dropout": (6, 12, "Dropout", 108),
    "softmax": (20, 39, "Softmax", 125),
    "data": (5, 11, "Data", 107),
    "loss": (21, 42, "SoftmaxWithLoss", 101),
    "accuracy": (1, 27, "Accuracy", 102),
    "sigmoid": (19, 38, "Sigmoid", 124),
}


def varint(value):
    value %= 2**64
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def blob(array, style):
    """ "legacy" has four sides, "shaped" as many as needed, "double" is shaped with doubles."""
    if style == "legacy":
        sides = (1,) * (4 - array.ndim) + array.shape
        return message(*enumerate(sides, start=1), (5, array.astype("<f4").tobytes()))
    shape = message((1, b"".join(map(varint, array.shape))))
    if style == "double":
        return message((7, shape), (8, array.astype("<f8").tobytes()))
    return message((7, shape), (5, array.astype("<f4").tobytes()))


def layer_bytes(layer, *, old):
    number, old_params, name, params = TYPES[layer["type"]]
    pairs = [(3, top) for top in layer["top"]] if old else [(4, top) for top in layer["top"]]
    pairs += [(2 if old else 3, bottom) for bottom in layer["bottom"]]
    pairs += [(4, layer["name"]), (5, number)] if old else [(1, layer["name"]), (2, name)]
    if layer["params"]:
        pairs.append((old_params if old else params, message(*layer["params"])))
    style = layer.get("style", "legacy" if old else "shaped")
    pairs += [(6 if old else 7, blob(array, style)) for array in layer["blobs"]]
    return message(*pairs, *layer.get("more", []))


def file_bytes(layers, *, old=False, name="a net"):
    return message((1, name), *((2 if old else 100, layer_bytes(la, old=old)) for la in layers))


def make_net(name="vgg11", *, width=0.0625, input_size=32, num_classes=7, ceil_mode=False):
    net = vgg.build(
        name, num_classes=num_classes, width=width, input_size=input_size, ceil_mode=ceil_mode
    )
    vgg.initialise(net, "glorot", seed=3)
    for parameter in net.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(
                parameter, std=0.1, generator=torch.Generator().manual_seed(len(parameter))
            )
    return net.eval()


def layers_of(name, net):
    """The net as Caffe's users list it, its weights for B, G, R."""
    arrays = iter(parameter.detach().numpy() for parameter in net.parameters())
    layers = []

    def add(name, type_, params=(), *, in_place=False, weights=False):
        bottom = layers[-1]["top"][0] if layers else "data"
        blobs = [next(arrays), next(arrays)] if weights else []
        layers.append(
            {"name": name, "type": type_, "bottom": [bottom], "params": list(params),
             "top": [bottom if in_place else name], "blobs": blobs}
        )  # fmt: skip

    configuration = vgg.CONFIGURATIONS[name]
    for block, kernels in enumerate(configuration.blocks, start=1):
        for number, kernel in enumerate(kernels, start=1):
            add(f"conv{block}_{number}", "conv", weights=True)
            layers[-1]["params"] = [(1, len(layers[-1]["blobs"][0])), (3, kernel // 2), (4, kernel)]
            add(f"relu{block}_{number}", "relu", in_place=True)
            if configuration.lrn and (block, number) == (1, 1):
                add("norm1", "lrn", [(1, 5), (2, 5e-4), (3, 0.75), (5, 2.0)])
        add(f"pool{block}", "pool", [(1, 0), (2, 2), (3, 2)])
    for number in (6, 7, 8):
        add(f"fc{number}", "fc", weights=True)
        layers[-1]["params"] = [(1, len(layers[-1]["blobs"][0]))]
        if number < 8:
            add(f"relu{number}", "relu", in_place=True)
            add(f"drop{number}", "dropout", [(1, 0.5)], in_place=True)
    add("prob", "softmax")
    layers[0]["blobs"][0] = layers[0]["blobs"][0][:, ::-1]
    return layers


def by_name(layers, name):
    return next(layer for layer in layers if layer["name"] == name)


def prototxt(layers, *, old=False, head=""):
    """The text that people write for Caffe."""
    upper = {"conv": "CONVOLUTION", "fc": "INNER_PRODUCT", "relu": "RELU", "pool": "POOLING"}
    names = {
        "conv": ("convolution_param", {1: "num_output", 3: "pad", 4: "kernel_size"}),
        "fc": ("inner_product_param", {1: "num_output"}),
        "pool": ("pooling_param", {1: "pool", 2: "kernel_size", 3: "stride"}),
        "lrn": ("lrn_param", {1: "local_size", 2: "alpha", 3: "beta", 5: "k"}),
        "dropout": ("dropout_param", {1: "dropout_ratio"}),
    }
    text = f'name: "a net"\n{head}\n'
    for layer in layers:
        type_ = layer["type"]
        kind = upper.get(type_, type_.upper()) if old else f'"{TYPES[type_][2]}"'
        text += f'{"layers" if old else "layer"} {{\n  name: "{layer["name"]}"\n  type: {kind}\n'
        text += "".join(f'  bottom: "{bottom}"\n' for bottom in layer["bottom"])
        text += "".join(f'  top: "{top}"\n' for top in layer["top"])
        text += "  param { lr_mult: 1 } # a remark\n" if not old else "  blobs_lr: 1\n"
        if layer["params"]:
            param, keys = names[type_]
            values = [(keys[k], "MAX" if keys[k] == "pool" else v) for k, v in layer["params"]]
            text += f"  {param} {{ " + " ".join(f"{k}: {v}" for k, v in values) + " }\n"
        text += "}\n"
    return text


def read_net(path):
    """What `--net FILE` would build of it: the net and its card."""
    card = caffemodel.read_card(path)
    spec = NetSpec.parse(card.net)
    name, options = spec.name, spec.options
    tensors = caffemodel.read(path)
    outputs = len(tensors["classifier.6.bias"])
    net = vgg.build(name, num_classes=outputs, **options)
    net.load_state_dict(tensors)
    return net.eval(), card


def decoded(data):
    """Field number -> its values, of any message: numbers as int, all else as bytes."""
    found, at = {}, 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte, at = data[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            length = {2: number, 5: lambda: 4}[key & 7]()
            value, at = data[at : at + length], at + length
        found.setdefault(key >> 3, []).append(value)
    return found


def array_of(data):
    """A current blob in float64."""
    fields = decoded(data)
    (packed,), shape = decoded(fields[7][0])[1], []
    while packed:
        end = next(i for i, byte in enumerate(packed) if byte < 128) + 1
        shape.append(sum((byte & 127) << 7 * i for i, byte in enumerate(packed[:end])))
        packed = packed[end:]
    return np.frombuffer(fields[5][0], "<f4").reshape(shape).astype(np.float64)


def convolved(x, weight, bias, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    side = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, weight, optimize=True) + bias[:, None, None]


def pooled(x):
    """Largest of 2x2 with stride 2, sides rounded up."""
    _, height, width = x.shape
    x = np.pad(x, ((0, 0), (0, height % 2), (0, width % 2)), constant_values=-np.inf)
    return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max((2, 4))


def to_input(x, size, alpha, beta, k):
    """Caffe's LRN across channels, which divides alpha by their number."""
    squares = np.pad(x**2, ((size // 2, size // 2), (0, 0), (0, 0)))
    sums = sum(squares[i : i + len(x)] for i in range(size))
    return x / (k + alpha / size * sums) ** beta


def run_caffe(data, image):
    """A file of current layers on one image [3, H, W], its fully connected layers densely.

    Returns the maps of fc7, after its ReLU, and of fc8.
    """
    maps = {"data": image}
    for fields in map(decoded, decoded(data)[100]):
        name, kind = (fields[number][0].decode() for number in (1, 2))
        bottom, top = (fields[number][0].decode() for number in (3, 4))
        x, arrays = maps[bottom], [array_of(one) for one in fields.get(7, [])]
        if kind == "Convolution":
            own = decoded(fields[106][0])
            assert own[4] == [arrays[0].shape[-1]] and own[1] == [len(arrays[0])], name
            x = convolved(x, *arrays, own.get(3, [0])[0])
        elif kind == "InnerProduct":
            weight, bias = arrays
            side = math.isqrt(weight.shape[1] // len(x))
            x = convolved(x, weight.reshape(len(weight), len(x), side, side), bias, 0)
        elif kind == "ReLU":
            x = np.maximum(x, 0)
        elif kind == "Pooling":
            assert {n: v for n, v in decoded(fields[121][0]).items() if n < 4} == {
                1: [0], 2: [2], 3: [2],
            }  # fmt: skip
            x = pooled(x)
        elif kind == "LRN":
            own = decoded(fields[118][0])
            values = [struct.unpack("<f", own[number][0])[0] for number in (2, 3, 5)]
            x = to_input(x, own[1][0], *values)
        else:
            assert kind in ("Dropout", "Softmax"), kind
            continue
        maps[top] = x
    return maps["fc7"], maps["fc8"]


def pixels(height, width):
    """R, G, B from 0 to 255."""
    return np.random.default_rng(1).integers(0, 256, (3, height, width)).astype(np.float64)


def assert_near(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_the_net_it_was_made_of(tmp_path, name, old):
    size = 64 if name == "vgg16" else 32
    source = make_net(name, input_size=size)
    path = tmp_path / "w.caffemodel"
    path.write_bytes(file_bytes(layers_of(name, source), old=old))
    net, card = read_net(path)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 60
    assert torch.allclose(net(images), source(images), atol=1e-4)
    assert list(net.state_dict()) == list(source.state_dict())
    assert card == Card(
        net=f"{name}:width=0.0625,input_size={size},ceil_mode=true",
        classes=(),
        mean=(123.68, 116.779, 103.939),
        std=(1.0, 1.0, 1.0),
        training={
            "imported": {
                "format": "Caffe",
                "name": "a net",
                "messages": "V1LayerParameter" if old else "LayerParameter",
                "statistics": "assumed",
            }
        },
    )


@pytest.mark.parametrize("name", ["vgg11_lrn", "vgg16_1x1"])
def test_descriptors_are_those_of_caffe_at_a_size_that_is_no_multiple_of_32(tmp_path, name):
    path = tmp_path / "w.caffemodel"
    path.write_bytes(file_bytes(layers_of(name, make_net(name))))
    image = pixels(37, 50) - np.array(PAPER_STATISTICS.mean)[:, None, None]
    expected, scores = run_caffe(path.read_bytes(), image[::-1])
    assert expected.shape[1:] == (2, 2)  # rounded down there would be a row less
    dense = read_net(path)[0].dense()
    batch = torch.from_numpy(image[None]).float()
    assert_near(dense.descriptor_map(batch)[0].detach().numpy(), expected)
    assert_near(dense(batch)[0].detach().numpy(), scores)


def card_of(net):
    return Card(net=net, classes=(), mean=(0.0,) * 3, std=(1.0,) * 3, training={})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_to_the_last_bit_and_runs_in_caffe(tmp_path, name):
    net, path = make_net(name), tmp_path / "new" / "w.caffemodel"
    caffemodel.write(path, net.state_dict(), card_of(f"{name}:width=0.0625,input_size=32"))
    tensors = caffemodel.read(path)
    assert all(torch.equal(tensors[key], value) for key, value in net.state_dict().items())
    assert all(tensor.is_contiguous() for tensor in tensors.values())
    assert caffemodel.read_card(path).net == f"{name}:width=0.0625,input_size=32,ceil_mode=true"
    image = pixels(32, 32)
    _, scores = run_caffe(path.read_bytes(), image[::-1])
    assert_near(net(torch.from_numpy(image[None]).float())[0].detach().numpy(), scores[:, 0, 0])
    check_prototxt(path, path.with_suffix(".prototxt"))
    assert sorted(file.name for file in path.parent.iterdir()) == ["w.caffemodel", "w.prototxt"]


def test_the_prototxt_names_layers_as_the_paper_does(tmp_path):
    path = tmp_path / "w.caffemodel"
    caffemodel.write(path, make_net("vgg11_lrn").state_dict(), card_of("vgg11_lrn"))
    lines = path.with_suffix(".prototxt").read_text().splitlines()
    names = [line.split('"')[1] for line in lines if line.startswith("  name:")]
    assert names[:5] == ["conv1_1", "relu1_1", "norm1", "pool1", "conv2_1"]
    assert names[-9:] == ["pool5", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8", "prob"]
    assert [line for line in lines if "dim:" in line] == ["  dim: 1", "  dim: 3"] + [
        "  dim: 32"
    ] * 2
    assert lines[1] == 'input: "data"' and "    alpha: 0.0005" in lines


def test_half_precision_and_strided_weights_are_written_as_float32(tmp_path):
    tensors = make_net().state_dict()
    tensors["classifier.3.weight"] = tensors["classifier.3.weight"].half().t()
    caffemodel.write(tmp_path / "w.caffemodel", tensors, card_of("vgg11"))
    found = caffemodel.read(tmp_path / "w.caffemodel")["classifier.3.weight"]
    assert torch.equal(found, tensors["classifier.3.weight"].float())


@pytest.mark.parametrize(
    "name, net, change, message",
    [
        ("w.pth", "vgg11", {}, "named NAME.caffemodel"),
        (
            "w.caffemodel",
            "squeezenet1_0",
            {},
            "cannot be written for Caffe: squeezenet1_0 is not of",
        ),
        ("w.caffemodel", "vgg13", {}, "not those of vgg13: 'features.10.bias'"),
        ("w.caffemodel", "vgg11", {"more": torch.zeros(1)}, "'more' is not part of it"),
        ("w.caffemodel", "vgg11", {"features.0.bias": torch.zeros(5)}, "biases of 5"),
        ("w.caffemodel", "vgg11", {"features.0.weight": torch.zeros(4)}, "weights of 4 and"),
        ("w.caffemodel", "vgg11", {"classifier.0.weight": torch.zeros(256, 90)}, "not a net of"),
    ],
)
def test_what_is_no_net_of_the_family_is_not_written(tmp_path, name, net, change, message):
    with pytest.raises(WeightsError, match=message):
        caffemodel.write(tmp_path / name, {**make_net().state_dict(), **change}, card_of(net))
    assert not list(tmp_path.iterdir())


def test_kernels_of_another_net_are_not_written(tmp_path):
    with pytest.raises(WeightsError, match="the weights are of vgg16_1x1, not of vgg16"):
        weights = make_net("vgg16_1x1").state_dict()
        caffemodel.write(tmp_path / "w.caffemodel", weights, card_of("vgg16"))


def test_a_net_that_caffe_could_not_read_again_is_not_written(tmp_path):
    with torch.device("meta"):
        wide = vgg.build("vgg11", width=4).state_dict()
    with pytest.raises(WeightsError, match="Caffe reads at most 2147483647"):
        caffemodel.write(tmp_path / "w.caffemodel", wide, card_of("vgg11:width=4"))
    assert not list(tmp_path.iterdir())


def written(path, layers, **options):
    path.write_bytes(file_bytes(layers, **options))
    return path


def test_doubles_become_float32(tmp_path):
    source = make_net()
    layers = layers_of("vgg11", source)
    for layer in layers:
        layer["style"] = "double"
    tensors = caffemodel.read(written(tmp_path / "w.caffemodel", layers))
    assert all(torch.equal(tensors[key], value) for key, value in source.state_dict().items())


def as_convolutions(layers, side):
    """Fully connected layers as the convolutions that do the same."""
    for name in ("fc6", "fc7", "fc8"):
        layer, kernel = by_name(layers, name), side if name == "fc6" else 1
        weight, bias = layer["blobs"]
        layer["blobs"] = [weight.reshape(len(weight), -1, kernel, kernel), bias]
        layer["type"], layer["params"] = "conv", [(1, len(weight)), (3, 0), (4, kernel)]
    return layers


@pytest.mark.parametrize("old", [True, False])
def test_fully_connected_layers_may_be_convolutions(tmp_path, old):
    source = make_net(input_size=64)
    layers = as_convolutions(layers_of("vgg11", source), 2)
    path = written(tmp_path / "w.caffemodel", layers, old=old)
    tensors = caffemodel.read(path)
    assert all(torch.equal(tensors[key], value) for key, value in source.state_dict().items())
    text = tmp_path / "deploy.prototxt"
    text.write_text(prototxt(layers, old=old, head="input_dim: [1, 3, 451, 333]"))
    check_prototxt(path, text)  # which may take other sizes
    by_name(layers, "fc6")["blobs"][0] = by_name(layers, "fc6")["blobs"][0].reshape(256, 32, 4, 1)
    written(path, layers, old=old)
    with pytest.raises(WeightsError, match="fc6: kernel of its weights is 4x1, and .* needs 2x2"):
        caffemodel.read_card(path)


def test_training_layers_and_diffs_are_passed_over(tmp_path):
    source = make_net()
    layers = layers_of("vgg11", source)[:-1]
    blank = {"bottom": [], "top": ["data", "label"], "params": [], "blobs": []}
    layers.insert(0, blank | {"name": "data", "type": "data", "more": [(100, b"\x0a\x00")]})
    for kind in ("accuracy", "loss"):
        ends = {"name": kind, "type": kind, "bottom": ["fc8", "label"], "top": [kind]}
        layers.append(blank | ends)
    path = written(tmp_path / "w.caffemodel", layers)
    data = path.read_bytes()
    fc8 = layer_bytes(by_name(layers, "fc8"), old=False)
    bias = blob(by_name(layers, "fc8")["blobs"][1], "shaped")
    with_diff = fc8.replace(field(7, bias), field(7, bias + field(6, bytes(28))))
    path.write_bytes(data.replace(field(100, fc8), field(100, with_diff)))
    assert len(path.read_bytes()) > len(data)
    tensors = caffemodel.read(path)
    assert all(torch.equal(tensors[key], value) for key, value in source.state_dict().items())


def test_layers_with_weights_alone_are_enough_where_they_tell_the_net(tmp_path):
    for name in ("vgg13", "vgg11"):
        layers = [layer for layer in layers_of(name, make_net(name)) if layer["blobs"]]
        for layer in layers:
            layer["params"] = []
        path = written(tmp_path / f"{name}.caffemodel", layers, old=True)
    assert caffemodel.read_card(tmp_path / "vgg13.caffemodel").net.startswith("vgg13:")
    with pytest.raises(WeightsError, match="may be of vgg11 or vgg11_lrn. Save it with all"):
        caffemodel.read_card(path)


def test_pooling_that_rounds_down_is_told(tmp_path):
    layers = layers_of("vgg11", make_net())
    pools = [layer for layer in layers if layer["type"] == "pool"]
    for layer in pools:
        layer["params"].append((13, 1))
    path = written(tmp_path / "w.caffemodel", layers)
    assert caffemodel.read_card(path).net == "vgg11:width=0.0625,input_size=32"
    pools[2]["params"].pop()
    with pytest.raises(WeightsError, match="pool3: round_mode is CEIL, and .* needs FLOOR"):
        caffemodel.read_card(written(path, layers))


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "name, params",
    [
        ("conv1_1", [(1, 4), (9, 1), (10, 1), (11, 3), (12, 3), (13, 1), (14, 1)]),
        ("conv1_1", [(1, 4), (3, 1), (3, 1), (4, 3), (4, 3), (6, 1), (6, 1), (18, 1)]),
        ("pool1", [(5, 2), (6, 2), (7, 2), (8, 2), (4, 0)]),
    ],
)
def test_sides_may_be_stated_apart(tmp_path, name, params, old):
    layers = layers_of("vgg11", make_net())
    by_name(layers, name)["params"] = params
    together = caffemodel.read_card(
        written(tmp_path / "together.caffemodel", layers_of("vgg11", make_net()), old=old)
    )
    apart = caffemodel.read_card(written(tmp_path / "apart.caffemodel", layers, old=old))
    assert (apart.net, apart.classes) == (together.net, together.classes)


def change_params(name, *params):
    return lambda layers: by_name(layers, name).update(params=list(params))


def change_blobs(name, change):
    def changed(layers):
        layer = by_name(layers, name)
        layer["blobs"] = change(*layer["blobs"])

    return changed


def remove(*names):
    def changed(layers):
        layers[:] = [layer for layer in layers if layer["name"] not in names]

    return changed


BAD_LAYERS = {
    "group": (change_params("conv2_1", (1, 8), (3, 1), (4, 3), (5, 2)), "conv2_1: group is 2, and"),
    "dilation": (
        change_params("conv2_1", (1, 8), (3, 1), (4, 3), (18, 2)),
        "conv2_1: dilation is 2x2, and .* needs 1x1",
    ),
    "pad": (change_params("conv1_1", (1, 4), (4, 3)), "conv1_1: pad is 0x0, and vgg11.* needs 1x1"),
    "pad apart": (
        change_params("conv1_1", (1, 4), (9, 1), (4, 3)), "conv1_1: pad is 1x0, and .* needs 1x1",
    ),
    "pad twice": (
        change_params("conv1_1", (1, 4), (3, 1), (9, 1), (10, 1), (4, 3)), "pad is 1x1x1x1, and",
    ),
    "stride": (change_params("conv1_1", (1, 4), (3, 1), (4, 3), (6, 2)), "conv1_1: stride is 2x2"),
    "kernel": (change_params("conv1_1", (1, 4), (3, 1), (4, 5)), "conv1_1: kernel_size is 5x5"),
    "outputs": (change_params("conv1_1", (1, 5), (3, 1), (4, 3)), "conv1_1: num_output is 5"),
    "no bias": (change_params("fc6", (1, 256), (2, 0)), "fc6: bias_term is False, and .* True"),
    "transpose": (change_params("fc6", (1, 256), (6, 1)), "fc6: transpose is True"),
    "mean pooling": (change_params("pool2", (1, 1), (2, 2), (3, 2)), "pool2: pool is AVE"),
    "pooling kernel": (change_params("pool2", (2, 3), (3, 2)), "pool2: kernel_size is 3x3"),
    "pooling stride": (change_params("pool2", (2, 2)), "pool2: stride is 1x1, and .* needs 2x2"),
    "pooling pad": (change_params("pool2", (2, 2), (3, 2), (4, 1)), "pool2: pad is 1x1"),
    "no pooling params": (change_params("pool2"), "pool2: kernel_size is 0x0"),
    "global": (change_params("pool2", (2, 2), (3, 2), (12, 1)), "pool2: global_pooling is True"),
    "leaky": (change_params("relu2_1", (1, 0.5)), "relu2_1: negative_slope is 0.5, and .* 0.0"),
    "bias missing": (change_blobs("fc7", lambda w, b: [w]), "fc7 has 1 blob"),
    "bias short": (change_blobs("fc7", lambda w, b: [w, b[:9]]), "256x256 and biases of 9"),
    "bias shape": (
        change_blobs("fc8", lambda w, b: [w, b[:, None]]), "7x256 and biases of (1x1x)?7x1,",
    ),
    "three blobs": (change_blobs("fc7", lambda w, b: [w, b, b]), "fc7 has 3 blobs"),
    "swapped": (
        change_blobs("conv2_1", lambda w, b: [w.transpose(1, 0, 2, 3), b]),
        "conv2_1 has weights of 4x8x3x3 and biases of 8",
    ),
    "swapped fc": (change_blobs("fc6", lambda w, b: [w.T, b]), "fc6 has weights of 32x256"),
    "fc swapped sides": (
        change_blobs("fc6", lambda w, b: [w[:, :, None, None], b]),
        "fc6 has weights of 256x32x1x1",
    ),
    "flat kernel": (
        change_blobs("conv1_1", lambda w, b: [w[:, :, :1], b]), "conv1_1 has weights of 4x3x1x3",
    ),
    "channels": (
        change_blobs("conv1_1", lambda w, b: [w[:, :1], b]), "conv1_1 has weights of 4x1x3x3",
    ),
    "unfit fc6": (change_blobs("fc6", lambda w, b: [w[:, :31], b]), "not a net of the family"),
    "fc8 of another": (change_blobs("fc8", lambda w, b: [w[:, :9], b]), "fc8 has weights of 7x9"),
    "fc missing": (
        remove("fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"),
        "its 8 layers with weights are conv1_1, .* conv5_2. Known",
    ),
    "no relu": (remove("relu3_1"), r"after conv3_1 comes conv3_2 .* needs relu3_1 \(ReLU\)"),
    "no pooling": (remove("pool5"), "takes pool5, and the layer before it gives conv5_2"),
    "end": (
        lambda layers: layers.append(by_name(layers, "relu7") | {"bottom": ["fc8"]}),
        r"after fc8 comes relu7 \(.*\), and .* needs nothing",
    ),
    "lrn": (
        lambda layers: layers.insert(
            2, by_name(layers, "relu1_1") | {"type": "lrn", "name": "norm", "params": []}
        ),
        "norm: alpha is 1.0, and vgg11_lrn.* needs 0.0005",
    ),
    "sigmoid": (
        lambda layers: layers[1].update(type="sigmoid"), r"relu1_1 is of type S(IGMOID|igmoid)\.",
    ),
    "twice": (lambda layers: layers[3].update(name="conv1_1"), "two layers are named conv1_1"),
    "other bottom": (
        lambda layers: by_name(layers, "fc6").update(bottom=["conv5_2"]),
        "fc6 takes conv5_2, and the layer before it gives pool5",
    ),
    "no name": (lambda layers: layers[0].update(name="a\nb"), "is not a name"),
    "bad name": (lambda layers: layers[0].update(name=b"\xff"), "is not a name"),
}  # fmt: skip


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("change, message", BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_what_the_family_does_not_do_is_refused_in_one_line(tmp_path, change, message, old):
    layers = layers_of("vgg11", make_net())
    change(layers)
    path = written(tmp_path / "w.caffemodel", layers, old=old)
    for function in (caffemodel.read_card, caffemodel.read):
        with pytest.raises(WeightsError, match=message) as error:
            function(path)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_the_oldest_kind_of_layers_is_refused(tmp_path):
    layers = layers_of("vgg11", make_net())
    layers[0]["more"] = [(1, b"")]
    with pytest.raises(WeightsError, match="V0LayerParameter, the oldest kind. Caffe's upgrade_"):
        caffemodel.read_card(written(tmp_path / "w.caffemodel", layers, old=True))


def test_another_net_is_refused_by_its_layers(tmp_path):
    """The start and the end of AlexNet."""
    layers = layers_of("vgg11_lrn", make_net("vgg11_lrn"))
    alexnet = [*layers[:3], *layers[-9:]]
    alexnet[0]["name"] = "conv1"
    alexnet[3]["bottom"] = alexnet[2]["top"]
    with pytest.raises(WeightsError, match="its 4 layers with weights are conv1, fc6, fc7, fc8, w"):
        caffemodel.read_card(written(tmp_path / "w.caffemodel", alexnet))


SHAPE = (7, message((1, varint(7))))
BIAS = bytes(28)
BAD_BLOBS = {
    "too few values": ([SHAPE, (5, BIAS[:24])], "blob of 7, which takes 28 bytes, and holds 24"),
    "not packed": ([SHAPE, *[(5, 1.0)] * 7], "fc8 holds values that are not packed"),
    "in two pieces": ([SHAPE, (5, BIAS[:8]), (5, BIAS[8:])], "blob with 2 arrays"),
    "no values": ([SHAPE], "blob with 0 arrays"),
    "both kinds": ([SHAPE, (5, BIAS), (8, BIAS * 2)], "blob with 2 arrays"),
    "no shape": ([(5, BIAS)], "blob of no sides"),
    "no sides": ([(7, b""), (5, BIAS)], "blob of no sides"),
    "zero": ([(7, message((1, b"\0"))), (5, b"")], "blob of 0"),
    "negative": ([(7, message((1, varint(-7)))), (5, BIAS)], "blob of -7"),
    "legacy zero": ([(4, 7), (5, BIAS)], "blob of 0x0x0x7"),
    "huge": ([(7, message((1, varint(2**62) * 3))), (5, BIAS)], "which takes 39.* bytes"),
    "many axes": ([(7, message((1, b"\1" * 50_000))), (5, BIAS)], "fc8 has a blob of 1x1x1x1x1\\."),
    "two shapes": ([SHAPE, (1, 1), (2, 1), (3, 7), (4, 1), (5, BIAS)], "blob with two shapes"),
    "damaged": ([(7, b"\x0a\xff"), (5, BIAS)], "BlobProto at byte .* is damaged"),
    "much beside": ([(7, bytes(2**20 + 1)), (5, BIAS)], "more than 1048576 bytes beside"),
}


@pytest.mark.parametrize("fields, message_", BAD_BLOBS.values(), ids=BAD_BLOBS)
def test_a_blob_that_is_not_what_it_says_is_refused(tmp_path, fields, message_):
    layers = layers_of("vgg11", make_net())
    fc8 = by_name(layers, "fc8")
    fc8["blobs"] = fc8["blobs"][:1]
    fc8["more"] = [(7, message(*fields))]
    path = written(tmp_path / "w.caffemodel", layers)
    with pytest.raises(WeightsError, match=message_):
        caffemodel.read(path)


def test_old_and_new_shapes_that_agree_are_one(tmp_path):
    layers = layers_of("vgg11", make_net())
    fc8 = by_name(layers, "fc8")
    weight, bias = fc8["blobs"]
    both = [SHAPE, (1, 1), (2, 1), (3, 1), (4, 7), (5, bias.tobytes())]
    fc8["blobs"], fc8["more"] = [weight], [(7, message(*both))]
    tensors = caffemodel.read(written(tmp_path / "w.caffemodel", layers))
    assert np.array_equal(tensors["classifier.6.bias"], bias)


@pytest.mark.parametrize("old", [True, False])
def test_truncated_files_are_refused_by_name(tmp_path, old):
    layers = layers_of("vgg11", make_net(width=1 / 128))[:-1]
    data = file_bytes(layers, old=old)
    path = tmp_path / "w.caffemodel"
    for keep in {*range(0, len(data), 23), *range(60), *range(len(data) - 60, len(data))}:
        path.write_bytes(data[:keep])
        with pytest.raises(WeightsError, match="w.caffemodel: not a"):
            caffemodel.read(path)


@pytest.mark.parametrize("old", [True, False])
def test_damaged_files_are_refused_or_read_but_nothing_else_happens(tmp_path, old):
    data = file_bytes(layers_of("vgg11", make_net(width=1 / 128)), old=old)
    path, random = tmp_path / "w.caffemodel", np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(data)
        for at in random.integers(0, len(data), 4):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            caffemodel.read(path)
        except WeightsError:
            refused += 1
    assert refused > 10


def lie(length):
    return varint(100 << 3 | 2) + varint(length)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "it is empty"),
        (b'name: "VGG_ILSVRC_16_layers"\nlayers {\n', "begins no field"),
        (b"PK\x03\x04" + bytes(40), "begins no field"),
        (bytes(1000), "byte 0 begins no field"),
        (field(1, "a net"), "it holds no layers"),
        (field(2, b"") + field(100, b""), "layers are of two generations"),
        (field(100, 3), "begins no message"),
        (field(100, field(7, 3)), "begins no message"),
        (lie(2**40) + b"abc", "would go on to byte 10995116"),
        (lie(2**63) + b"abc", "would go on to byte 92233"),
        (lie(3) + field(7, b"abcdef"), "byte .* would go on to byte"),
        (varint(100 << 3 | 2) + b"\xff" * 20, "number at byte 2 has no end"),
        (b"\xa2", "number at byte 0 has no end"),
        (field(100, b"\xa2"), "has no end"),
        (field(100, b"\x0b"), "begins no field"),
        (field(100, b"\x09abc"), "would go on to byte"),
        (field(2**29, b""), "begins no field"),
        (field(1, "a" * 201) + field(100, b""), "is not a name"),
        (field(100, field(1, "a") + field(2, "Nothing")), "a is of type Nothing"),
        (field(100, field(1, "a")), "a is of type none"),
        (field(2, field(5, 99)), "is of type NONE"),
        (field(100, field(2, "Softmax")), "its 0 layers with weights are none"),
    ],
)
def test_what_is_no_caffemodel_is_refused(tmp_path, data, message):
    path = tmp_path / "w.caffemodel"
    path.write_bytes(data)
    for function in (caffemodel.read_card, caffemodel.read):
        with pytest.raises(WeightsError, match=message) as error:
            function(path)
        assert str(error.value).startswith(f"{path}: not a") and len(str(error.value)) < 400


def test_an_hdf5_file_and_none_at_all_are_refused(tmp_path):
    with h5py.File(tmp_path / "w.caffemodel", "w") as file:
        file["data"] = np.zeros(9)
    with pytest.raises(WeightsError, match="w.caffemodel: not a whole .caffemodel"):
        caffemodel.read_card(tmp_path / "w.caffemodel")
    for path in (tmp_path, tmp_path / "none.caffemodel"):
        with pytest.raises(WeightsError, match="no such weights file"):
            caffemodel.read_card(path)


@pytest.fixture
def model(tmp_path):
    return written(tmp_path / "w.caffemodel", layers_of("vgg11", make_net()))


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "head",
    [
        "",
        'input: "data" input_dim: 10 input_dim: 3 input_dim: 32 input_dim: 32',
        'input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }',
        "force_backward: true state { phase: TEST }",
    ],
)
def test_a_prototxt_of_either_generation_that_fits_is_accepted(tmp_path, model, old, head):
    text = tmp_path / "deploy.prototxt"
    layers = layers_of("vgg11", make_net())
    text.write_text(prototxt(layers, old=old, head=head))
    assert check_prototxt(model, text) is None
    by_name(layers, "conv1_1")["params"] = [(1, 5), (3, 1), (4, 3)]
    text.write_text(prototxt(layers, old=old, head=head))
    with pytest.raises(WeightsError, match="conv1_1: num_output is 5"):
        check_prototxt(model, text)


INPUT = 'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {} }} }} }}'


def test_an_input_layer_is_compared(tmp_path, model):
    text = tmp_path / "deploy.prototxt"
    for side, fits in ((32, True), (64, False)):
        head = INPUT.format(f"dim: 1 dim: 3 dim: {side} dim: {side}")
        text.write_text(prototxt(layers_of("vgg11", make_net()), head=head))
        if fits:
            check_prototxt(model, text)
    with pytest.raises(WeightsError, match="input is 1x3x64x64, and w.caffemodel has Nx3x32x32"):
        check_prototxt(model, text)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "change, message",
    [
        (change_params("conv1_1", (1, 5), (3, 1), (4, 3)), "conv1_1: num_output is 5, and w.* 4"),
        (change_params("conv1_1", (1, 4), (3, 1), (4, 5)), "conv1_1: kernel_size is 5x5, .* 3x3"),
        (change_params("conv1_1", (1, 4), (4, 3)), "conv1_1: pad is 0x0, and w.caffemodel has 1x1"),
        (change_params("conv1_1"), "conv1_1: num_output is 0"),
        (change_params("fc8", (1, 1000)), "fc8: num_output is 1000, and w.caffemodel has 7"),
        (change_params("pool1", (2, 3), (3, 2)), "pool1: kernel_size is 3x3"),
        (change_params("pool1", (2, 2), (3, 1)), "pool1: stride is 1x1"),
        (
            lambda layers: by_name(layers, "conv2_1").update(name="conv2"),
            r"after pool1 comes conv2 \(C.*, and w.caffemodel has conv2_1 \(Convolution\)",
        ),
        (lambda layers: layers.pop(-2), "fc8"),
        (remove("relu1_1"), "after conv1_1 comes pool1"),
    ],
)
def test_a_prototxt_of_another_net_is_refused(tmp_path, model, change, message, old):
    layers = copy.deepcopy(layers_of("vgg11", make_net()))
    change(layers)
    text = tmp_path / "deploy.prototxt"
    text.write_text(prototxt(layers[:-2] if message == "fc8" else layers, old=old))
    with pytest.raises(WeightsError, match=message) as error:
        check_prototxt(model, text)
    assert str(error.value).startswith(f"{text}: ")


@pytest.mark.parametrize(
    "change, message",
    [
        (
            ("num_output: 4\n", "num_output: 8\n"),
            "conv1_1: num_output is 8, and w.caffemodel has 4",
        ),
        (("dim: 32", "dim: 224"), "its input is 1x3x224x32"),
        (("pool: MAX", "pool: AVE"), "pool1: pool is AVE, and w.caffemodel has MAX"),
        (('bottom: "pool5"', 'bottom: "pool4"'), "fc6 takes pool4, and the layer before it gives"),
    ],
)
def test_the_prototxt_that_is_written_must_not_be_changed(tmp_path, change, message):
    path, text = tmp_path / "w.caffemodel", tmp_path / "w.prototxt"
    caffemodel.write(path, make_net().state_dict(), card_of("vgg11"))
    assert change[0] in text.read_text()
    text.write_text(text.read_text().replace(*change, 1))
    with pytest.raises(WeightsError, match=message):
        check_prototxt(path, text)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "it has no layers"),
        (b"layer { name: 3 }", "not a deploy prototxt .1:15"),
        (b"layers { type: WARP }", "has no value named WARP"),
        (b"\xff\xfe", "not a deploy prototxt .'utf-8'"),
        (b"layer {} layers {}", "it has layers of two generations"),
        (b"layers { layer { name: 'conv1' type: 'conv' } }", "V0LayerParameter, the oldest kind"),
        (b"a {" * 5000, "not a deploy prototxt"),
        (b"#" * (2**20 + 1), "over 1048576 bytes"),
        (None, "no such prototxt"),
    ],
)
def test_what_is_no_prototxt_is_refused(tmp_path, model, content, message):
    text = tmp_path / "deploy.prototxt"
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        check_prototxt(model, text)


@pytest.mark.slow
def test_a_net_of_full_size_goes_through_a_file(tmp_path):
    net = vgg.build("vgg16")
    path = tmp_path / "w.caffemodel"
    caffemodel.write(path, net.state_dict(), card_of("vgg16"))
    tensors = caffemodel.read(path)
    assert all(torch.equal(tensors[key], value) for key, value in net.state_dict().items())
    assert caffemodel.read_card(path).net == "vgg16:ceil_mode=true"
    check_prototxt(path, path.with_suffix(".prototxt"))


@pytest.mark.parametrize("old", [True, False])
def test_a_net_that_was_fine_tuned_under_another_name_of_fc8_is_read(tmp_path, old):
    source = make_net("vgg16", num_classes=20)
    layers = layers_of("vgg16", source)
    by_name(layers, "fc8").update(name="fc8_flickr", top=["fc8_flickr"])
    layers[-1]["bottom"] = ["fc8_flickr"]
    path = written(tmp_path / "w.caffemodel", layers, old=old)
    net, card = read_net(path)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 60
    assert torch.allclose(net(images), source(images), atol=1e-4)
    assert card.training["imported"]["last_layer"] == "fc8_flickr"
    by_name(layers, "fc7")["name"] = "fc7_flickr"
    with pytest.raises(WeightsError, match="not a net of the family"):
        caffemodel.read_card(written(path, layers, old=old))


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("last", ["fc7", "relu7", "drop7"])
def test_a_net_without_fc8_gives_fc7_and_no_scores(tmp_path, last, old):
    source = make_net("vgg11_lrn")
    layers = layers_of("vgg11_lrn", source)
    names = [layer["name"] for layer in layers]
    path = written(tmp_path / "w.caffemodel", layers[: names.index(last) + 1], old=old)
    network = load_network(str(path))
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 60
    with torch.inference_mode():
        expected = source.dense().descriptor_map(images)
        assert torch.allclose(network.module(images), expected, atol=1e-5)
    assert network.num_outputs == 0
    with pytest.raises(WeightsError, match="has no 'classifier.6.weight': no scores"):
        network.output_map  # noqa: B018


def test_a_face_net_of_2622_people_is_read(tmp_path):
    path = tmp_path / "VGG_FACE.caffemodel"
    written(path, layers_of("vgg16", make_net("vgg16", num_classes=2622)), old=True)
    assert load_network(str(path)).num_outputs == 2622
