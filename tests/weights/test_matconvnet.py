"""MatConvNet's files: what they hold gives the same scores as here, and nothing else passes."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import mat_files as matlab_files
from scipy.io import loadmat

from vggfeat import vgg
from vggfeat.backbones.load import load_network
from vggfeat.errors import WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS
from vggfeat.weights import checkpoint
from vggfeat.weights.checkpoint import Card
from vggfeat.weights.matconvnet import network, writer

CLASSES = ("ant, emmet", "bee", "Bär")
MEAN = (123.68, 116.779, 103.939)
CARD = Card(
    net="vgg11:width=0.0625,input_size=32", classes=CLASSES, mean=MEAN, std=(1.0, 1.0, 1.0),
    training={"stage": "vgg11-256"},
)  # fmt: skip
OCTAVE = shutil.which("octave-cli") or shutil.which("octave")


def random_net(name="vgg11", input_size=32, ceil_mode=False):
    net = vgg.build(name, num_classes=3, width=0.0625, input_size=input_size, ceil_mode=ceil_mode)
    vgg.initialise(net, "glorot", seed=7)
    generator = torch.Generator().manual_seed(8)
    for key, tensor in net.state_dict().items():
        if key.endswith("bias"):
            tensor.uniform_(-0.5, 0.5, generator=generator)
    return net.eval()


def pictures(*size):
    generator = torch.Generator().manual_seed(9)
    return torch.rand(1, 3, *size, generator=generator) * 255 - 120


def simplenn(net, *, older=False, pad=(0, 0, 0, 0)):
    """The variables of a file that holds the net, made from its modules one by one."""
    layers, block, number = [], 1, 1
    side = net.input_size // 32

    def row(*numbers):
        return np.array([numbers], float)

    def convolution(name, filters, bias, pad):
        filters = filters.detach().numpy().transpose(2, 3, 1, 0)
        bias = bias.detach().numpy()[None]
        stored = {"filters": filters, "biases": bias} if older else {"weights": [filters, bias]}
        return {"type": "conv", "name": name, "stride": row(1), "pad": row(*pad), **stored}

    for module in net.features:
        match module:
            case torch.nn.Conv2d():
                name, pads = f"conv{block}_{number}", [module.padding[0]] * (1 if older else 4)
                layers.append(convolution(name, module.weight, module.bias, pads))
            case torch.nn.ReLU():
                layers.append({"type": "relu", "name": f"relu{block}_{number}"})
                number += 1
            case torch.nn.LocalResponseNorm():
                param = row(module.size, module.k, module.alpha / module.size, module.beta)
                kind = "normalize" if older else "lrn"
                layers.append({"type": kind, "name": "norm1", "param": param})
            case torch.nn.MaxPool2d():
                pool = {"type": "pool", "name": f"pool{block}", "method": "max", "pad": row(*pad)}
                layers.append(pool | {"pool": row(2, 2), "stride": row(2)})
                block, number = block + 1, 1
    for name, index, kernel in (("fc6", 0, side), ("fc7", 3, 1), ("fc8", 6, 1)):
        linear = net.classifier[index]
        filters = linear.weight.view(len(linear.weight), -1, kernel, kernel)
        layers.append(convolution(name, filters, linear.bias, [0]))
        if name != "fc8":
            layers.append({"type": "relu", "name": f"relu{name[2]}"})
            layers.append({"type": "dropout", "name": f"drop{name[2]}", "rate": row(0.5)})
    layers.append({"type": "softmax", "name": "prob"})
    meta = {
        "normalization": {"averageImage": np.array(MEAN).reshape(1, 1, 3)},
        "classes": {"name": ["n1", "n2", "n3"], "description": list(CLASSES)},
    }
    return {"layers": layers} | (meta if older else {"meta": meta})


def loaded(path):
    """The net that a file's card names, with the file's weights."""
    name, _, options = network.read_card(path).net.partition(":")
    parts = dict(part.split("=") for part in options.split(","))
    net = vgg.build(
        name,
        num_classes=3,
        width=float(parts["width"]),
        input_size=int(parts.get("input_size", 224)),
        ceil_mode=parts.get("ceil_mode") == "true",
    )
    checkpoint.load(net, network.read(path), path)
    return net.eval()


@pytest.mark.parametrize("name", ["vgg11", "vgg11_lrn", "vgg16_1x1", "vgg16", "vgg19"])
@pytest.mark.parametrize(
    "version, older", [("5", False), ("7", True), ("7.3", False), ("7.3", True)]
)
@torch.no_grad()
def test_a_file_of_either_generation_and_any_version_gives_the_nets_scores(
    tmp_path, name, version, older
):
    net = random_net(name, input_size=64)
    path = matlab_files.write(tmp_path / "a.mat", simplenn(net, older=older), version)
    found = loaded(path)
    batch = pictures(64, 64)
    torch.testing.assert_close(found(batch), net(batch), rtol=1e-4, atol=1e-4)


def interpreted(layers, picture):
    """MatConvNet's layers by their documented meaning, H x W x C in float64, up to `fc8`."""
    x = picture

    def numbers(layer, field):
        values = np.ravel(layer[field][0, 0]).astype(float)
        return values if len(values) > 1 else np.repeat(values, 4 if field == "pad" else 2)

    def windows(x, layer, size, fill):
        top, bottom, left, right = numbers(layer, "pad").astype(int)
        x = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
        step = numbers(layer, "stride").astype(int)
        found = np.lib.stride_tricks.sliding_window_view(x, size, axis=(0, 1))
        return found[:: step[0], :: step[1]]  # h, w, C, height, width of a window

    for layer in (cell[0, 0][None, None] for cell in layers.ravel()):
        kind = layer["type"][0, 0].item()
        if kind == "conv":
            filters, bias = (a.astype(float) for a in layer["weights"][0, 0].ravel())
            x = np.einsum("hwcij,ijck->hwk", windows(x, layer, filters.shape[:2], 0), filters)
            x += bias.ravel()
        elif kind == "pool":
            size = tuple(numbers(layer, "pool").astype(int))
            x = windows(x, layer, size, -np.inf).max(axis=(3, 4))
        elif kind == "relu":
            x = np.maximum(x, 0)
        elif kind == "lrn":
            count, kappa, alpha, beta = np.ravel(layer["param"][0, 0])
            half, squares = int(count) // 2, np.zeros_like(x)
            for c in range(x.shape[2]):
                squares[..., c] = (x[..., max(0, c - half) : c + half + 1] ** 2).sum(axis=2)
            x = x / (kappa + alpha * squares) ** beta
    return x


@pytest.mark.parametrize("name", ["vgg11_lrn", "vgg16_1x1", "vgg13"])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("by", ["write", "test"])
@torch.no_grad()
def test_the_layers_mean_what_matconvnet_says(tmp_path, name, ceil_mode, by):
    """At a size that pools do not divide, where padding shows."""
    net, path = random_net(name, 32, ceil_mode), tmp_path / "a.mat"
    pad = (0, 1, 0, 1) if ceil_mode else (0, 0, 0, 0)
    if by == "write":
        stated = f"{name}:input_size=32,width=0.0625,ceil_mode={str(ceil_mode).lower()}"
        writer.write(path, net.state_dict(), replace(CARD, net=stated))
    else:
        matlab_files.write(path, simplenn(net, pad=pad))
    picture = pictures(69, 106)
    expected = interpreted(loadmat(path)["layers"], picture[0].permute(1, 2, 0).double().numpy())
    assert expected.shape == ((3, 4, 3) if ceil_mode else (2, 3, 3))
    found = loaded(path).dense()(picture)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_lrn", "vgg16_1x1"])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_what_is_written_is_read_to_the_last_bit(tmp_path, name, ceil_mode):
    net, path = random_net(name, 64, ceil_mode), tmp_path / "a.mat"
    stated = f"{name}:width=0.0625,input_size=64" + (",ceil_mode=true" if ceil_mode else "")
    card = replace(CARD, net=stated)
    writer.write(path, net.state_dict(), card)
    found = network.read(path)
    assert list(found) == list(net.state_dict())
    for key, tensor in net.state_dict().items():
        assert torch.equal(found[key], tensor) and found[key].is_contiguous()
    assert network.read_card(path) == card
    assert list(tmp_path.iterdir()) == [path]


def test_a_width_that_is_no_fraction_of_4096_keeps_its_name(tmp_path):
    net = vgg.build("vgg11", num_classes=3, width=0.1, input_size=32)
    card = replace(CARD, net="vgg11:width=0.1,input_size=32")
    writer.write(tmp_path / "a.mat", net.state_dict(), card)
    assert network.read_card(tmp_path / "a.mat") == card


def test_one_output_and_no_classes(tmp_path):
    """MATLAB leaves out last sides of 1."""
    net = vgg.build("vgg11", num_classes=1, width=0.0625, input_size=32)
    path = tmp_path / "a.mat"
    writer.write(path, net.state_dict(), replace(CARD, classes=()))
    assert network.read(path)["classifier.6.weight"].shape == (1, 256)
    assert network.read_card(path).classes == ()


def changed(tmp_path, change, version="5", **options):
    """A file whose variables were changed; `change` gets layers by name, `meta` and the rest."""
    variables = simplenn(random_net(), **options)
    change({layer["name"]: layer for layer in variables["layers"]} | variables)
    return matlab_files.write(tmp_path / "a.mat", variables, version)


@pytest.mark.parametrize("version", ["5", "7", "7.3"])
@pytest.mark.parametrize("older", [False, True])
def test_the_card_tells_net_classes_and_mean(tmp_path, version, older):
    card = network.read_card(changed(tmp_path, lambda net: None, version, older=older))
    imported = {"format": "MatConvNet", "average_image": "one colour"}
    assert card == replace(CARD, training={"imported": imported})


def average(image):
    return lambda net: net["meta"]["normalization"].update(averageImage=image)


def test_an_average_picture_becomes_its_mean_and_the_card_says_so(tmp_path):
    image = np.random.default_rng(0).random((32, 24, 3)).astype(np.float32) * 255
    card = network.read_card(changed(tmp_path, average(image)))
    assert card.mean == pytest.approx(image.astype(float).mean(axis=(0, 1)), abs=1e-9)
    assert card.training["imported"]["average_image"].startswith("32x24 pixels: their mean")


@pytest.mark.parametrize(
    "change",
    [
        average(np.empty((0, 0))),
        lambda net: net["meta"].pop("normalization"),
        lambda net: net["meta"].clear(),
    ],
)
def test_without_an_average_picture_the_papers_mean_is_taken(tmp_path, change):
    card = network.read_card(changed(tmp_path, change))
    assert card.mean == PAPER_STATISTICS.mean
    assert card.training["imported"]["average_image"] == "missing: the paper's mean is taken"


@pytest.mark.parametrize(
    "classes, expected",
    [
        ({"name": ["n1", "n2", "n3"]}, ("n1", "n2", "n3")),
        ({"name": ["n1", "n2", "n3"], "description": []}, ("n1", "n2", "n3")),
        ({}, ()),
        ([], ()),
    ],
)
@pytest.mark.parametrize("version", ["5", "7.3"])
def test_class_names_are_descriptions_or_names_or_none(tmp_path, classes, expected, version):
    path = changed(tmp_path, lambda net: net["meta"].update(classes=classes), version)
    assert network.read_card(path).classes == expected


def test_class_names_of_another_number_of_outputs_are_left_out(tmp_path):
    path = changed(tmp_path, lambda net: net["meta"]["classes"].update(description=["a", "b"]))
    card = network.read_card(path)
    assert card.classes == ()
    assert card.training["imported"]["notes"] == ["2 class names for 3 outputs left out"]


def test_a_card_of_another_net_is_not_used(tmp_path):
    """As where MATLAB code put other layers into a file of ours."""
    path = tmp_path / "a.mat"
    writer.write(path, random_net().state_dict(), CARD)
    text = loadmat(path)["meta"]["vggfeat"][0, 0].item()
    path = changed(tmp_path, lambda net: net["meta"].update(vggfeat=text))
    assert network.read_card(path) == CARD
    path = changed(tmp_path, lambda net: net["meta"].update(vggfeat=text), pad=(0, 1, 0, 1))
    card = network.read_card(path)
    assert card.net == "vgg11:width=0.0625,input_size=32,ceil_mode=true"
    assert "was not used" in card.training["imported"]["notes"][0]
    path = changed(tmp_path, lambda net: net["meta"].update(vggfeat="{"))
    with pytest.raises(WeightsError, match="a.mat: its card cannot be understood"):
        network.read_card(path)


def set_field(layer, **fields):
    return lambda net: net[layer].update(fields)


def weights(layer, change):
    def apply(net):
        net[layer]["weights"] = change(*net[layer]["weights"])

    return apply


def without(layer):
    return lambda net: net["layers"].remove(net[layer])


def inserted(place, layer):
    return lambda net: net["layers"].insert(place, layer)


@pytest.mark.parametrize(
    "change, message",
    [
        (set_field("conv2_1", stride=np.array([[2.0]])), r"conv2_1 \(conv\) has stride \[2 2\]"),
        (set_field("conv2_1", stride=np.array([[1.0, 2.0]])), r"has stride \[1 2\].*has \[1 1\]"),
        (set_field("conv2_1", pad=np.array([[0.0]])), r"pad \[0 0 0 0\].*has \[1 1 1 1\]"),
        (set_field("conv2_1", pad=np.ones((1, 3))), r"pad \[1 1 1\]"),
        (set_field("conv2_1", pad=np.ones((1, 5))), "pad of 5 values"),
        (set_field("conv2_1", pad="same"), "pad of text"),
        (set_field("conv2_1", dilate=np.array([[2.0]])), r"dilate \[2 2\]"),
        (set_field("fc6", pad=np.array([[1.0]])), r"fc6 \(conv\) has pad \[1 1 1 1\]"),
        (set_field("pool3", method="avg"), r"pool3 \(pool\) has the method 'avg'"),
        (set_field("pool3", pool=np.array([[3.0, 3.0]])), r"pool3 \(pool\) has pool \[3 3\]"),
        (set_field("pool3", stride=np.array([[1.0]])), r"pool3 \(pool\) has stride \[1 1\]"),
        (set_field("pool3", pad=np.array([[1.0]])), r"pad \[1 1 1 1\].*\[0 1 0 1\]"),
        (set_field("pool3", pad=np.array([[0.0, 1.0, 0.0, 1.0]])), "padded in several ways.*pool3"),
        (set_field("relu2_1", leak=np.array([[0.1]])), r"leak \[0.1\]"),
        (set_field("relu2_1", type="sigmoid"), "in place 5 stands relu2_1 of type 'sigmoid'"),
        (set_field("relu2_1", type=np.ones((1, 1))), "layer 5 is no struct with a type"),
        (set_field("conv1_1", type="dagnn.Conv"), "conv1_1, which takes nothing. Only a chain"),
        (set_field("conv2_1", name="conv2_1\n"), "not a net of the family"),
        (set_field("conv2_1", name="conv1_1"), "has two layers conv1_1"),
        (inserted(1, {"type": "bnorm", "name": "bn"}), "in place 2 stands bn of type 'bnorm'"),
        (inserted(-1, {"type": "relu", "name": "late"}), "comes late of type 'relu'"),
        (inserted(2, {"type": "lrn", "name": "n", "param": np.ones((1, 4))}), r"n \(lrn\) has p"),
        (inserted(0, np.ones((1, 1))), "layer 1 is no struct"),
        (without("conv2_1"), "not a net of the family"),
        (without("fc6"), "not a net of the family"),
        (without("relu2_1"), "in place 5 stands pool2"),
        (lambda net: net["layers"].clear(), "layers with weights are none"),
        (weights("conv2_1", lambda w, b: [w]), "conv2_1 has no bias"),
        (weights("conv2_1", lambda w, b: [w, b[:, :0]]), "conv2_1 has no bias"),
        (weights("conv2_1", lambda w, b: []), "conv2_1 has no filters"),
        (weights("conv2_1", lambda w, b: "text"), "conv2_1 has no filters"),
        (weights("conv2_1", lambda w, b: [w, b[:, 1:]]), "has 7 biases.*8 of them"),
        (weights("conv2_1", lambda w, b: [w[..., 1:], b[:, 1:]]), "conv2_1 has weights of 7x4x3x3"),
        (weights("conv2_1", lambda w, b: [w[:, :, 1:], b]), "conv2_1 has weights of 8x3x3x3"),
        (weights("conv2_1", lambda w, b: [w[1:], b]), "a kernel of 2x3"),
        (weights("conv2_1", lambda w, b: [w[..., None].repeat(2, 4), b]), "filters of 3x3x4x8x2"),
        (weights("conv2_1", lambda w, b: [w == 0, b]), None),
        (weights("fc6", lambda w, b: [w.reshape(2, 2, 8, -1), b]), "fc6 has filters of 2x2x8"),
        (weights("fc7", lambda w, b: [w.reshape(2, 2, 64, -1), b]), "fc7 has filters of 2x2x64"),
    ],
)
def test_a_net_that_is_not_of_the_family_is_refused_and_the_reason_said(tmp_path, change, message):
    path = changed(tmp_path, change)
    if message is None:  # savemat writes booleans as bytes: numbers, if odd ones
        assert network.read(path)
        return
    for head in (network.read, network.read_card):
        with pytest.raises(WeightsError, match=f"a.mat: .*{message}") as error:
            head(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "image",
    [np.ones((3, 2)), np.ones((4, 4, 2)), np.ones((2, 2, 3, 2)), "text", np.array([1, np.nan, 2]),
     np.zeros((600, 600, 3), np.uint8), ["cell"]],
    ids=lambda image: str(getattr(image, "shape", image)),
)  # fmt: skip
def test_an_average_picture_of_another_kind_is_refused(tmp_path, image):
    with pytest.raises(WeightsError, match="a.mat: its averageImage"):
        network.read_card(changed(tmp_path, average(image)))


def test_the_normalisation_of_vgg11_lrn_has_one_form(tmp_path):
    variables = simplenn(random_net("vgg11_lrn"))
    variables["layers"][2]["param"] = np.array([[5, 2, 5e-4, 0.75]])  # as Caffe counts alpha
    path = matlab_files.write(tmp_path / "a.mat", variables)
    with pytest.raises(WeightsError, match=r"norm1 \(lrn\) has param \[5 2 0.0005 0.75\]"):
        network.read(path)


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_files_without_a_simplenn_say_what_they_have(tmp_path, version):
    for variables, message in (
        ({"net": {"layers": [], "params": []}}, "its 0 layers with weights are none"),
        ({"x": np.ones((2, 2)), "y": "text"}, "its variables: x, y. Save"),
        ({"layers": "text"}, "not a net of the family"),
    ):
        path = matlab_files.write(tmp_path / "a.mat", variables, version)
        with pytest.raises(WeightsError, match=f"a.mat: .*{message}"):
            network.read(path)


@pytest.mark.parametrize("version", ["5", "7", "7.3"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, version):
    whole = changed(tmp_path, lambda net: None, version).read_bytes()
    path = tmp_path / "cut.mat"
    for share in (0, 0.0001, 0.1, 0.5, 0.9, 0.99, 0.9999):
        path.write_bytes(whole[: int(share * len(whole))])
        for head in (network.read, network.read_card):
            with pytest.raises(WeightsError, match="cut.mat"):
                head(path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"net": "squeezenet1_0"}, "squeezenet1_0 is not of the family"),
        (
            {"net": "vgg11:width=0.125,input_size=32"},
            "weights are vgg11:width=0.0625,input_size=32",
        ),
        ({"net": "vgg11:width=wide,input_size=32"}, "the card names vgg11:width=wide"),
        ({"net": "vgg13:width=0.0625,input_size=32"}, "is missing"),
        ({"std": (58.0, 57.0, 57.0)}, "divided by"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, change, message):
    with pytest.raises(WeightsError, match=f"a.mat: cannot be written.*{message}"):
        writer.write(tmp_path / "a.mat", random_net().state_dict(), replace(CARD, **change))
    assert not list(tmp_path.iterdir())


def test_half_precision_is_written_as_float32(tmp_path):
    tensors = random_net().half().state_dict()
    writer.write(tmp_path / "a.mat", tensors, CARD)
    for key, tensor in network.read(tmp_path / "a.mat").items():
        assert torch.equal(tensor, tensors[key].float())


def octave(folder, code):
    done = subprocess.run(
        [OCTAVE, "--no-gui", "--no-init-file", "--quiet", "--eval", code],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(OCTAVE is None, reason="Octave is not installed")
@torch.no_grad()
def test_octave_reads_what_is_written_and_what_it_writes_is_read(tmp_path):
    net = random_net("vgg16", 64)
    classes = ("ant, emmet", "bee", "bear")  # Octave cuts other letters short as it reads them
    card = replace(CARD, net="vgg16:width=0.0625,input_size=64", classes=classes)
    writer.write(tmp_path / "ours.mat", net.state_dict(), card)
    told = octave(
        tmp_path,
        "load ours.mat; printf('%d %s %s\\n', numel(layers), layers{1}.name, layers{end}.name);"
        "disp(size(layers{1}.weights{1})); disp(class(layers{1}.weights{1}));"
        "f = layers{cellfun(@(l) strcmp(l.name, 'fc6'), layers)}; disp(size(f.weights{1}));"
        "disp(numel(meta.classes.description)); disp(meta.normalization.averageImage(:)');"
        "save -v6 v6.mat layers meta; save -v7 v7.mat layers meta;"
        "normalization = meta.normalization; classes = meta.classes;"
        "for i = 1:numel(layers), if strcmp(layers{i}.type, 'conv'),"
        "layers{i}.filters = layers{i}.weights{1}; layers{i}.biases = layers{i}.weights{2};"
        "layers{i} = rmfield(layers{i}, 'weights'); end, end;"
        "save -v7 older.mat layers normalization classes; save -hdf5 hdf5.mat layers meta;",
    ).split()  # fmt: skip
    assert told[:3] == ["37", "conv1_1", "prob"]
    assert told[3:8] == ["3", "3", "3", "4", "single"]
    assert told[8:13] == ["2", "2", "32", "256", "3"]
    assert [float(value) for value in told[13:]] == pytest.approx(MEAN, abs=1e-2)
    for name in ("v6.mat", "v7.mat", "older.mat"):
        for key, tensor in network.read(tmp_path / name).items():
            assert torch.equal(tensor, net.state_dict()[key])
        assert network.read_card(tmp_path / name).mean == MEAN
        assert network.read_card(tmp_path / name).classes == classes
    assert network.read_card(tmp_path / "v7.mat") == card
    with pytest.raises(WeightsError, match="hdf5.mat: .*not by MATLAB's rules.*-v7"):
        network.read(tmp_path / "hdf5.mat")  # Octave's own


PEAK = """
import resource, sys
from pathlib import Path
from vggfeat.weights.matconvnet import network
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
network.read(Path(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", ["5", "7.3"])
def test_a_full_size_net_takes_less_than_twice_its_memory(tmp_path, version):
    pytest.importorskip("resource")
    net, path = vgg.build("vgg16", num_classes=1000), tmp_path / "a.mat"
    matlab_files.write(path, simplenn(net), version)
    size = sum(tensor.nbytes for tensor in net.state_dict().values()) / 2**30
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 2 * size


def dagnn(net, *, loss=True):
    """The variables of `net-epoch-20.mat`, as a DagNN of the net is saved."""
    kinds = {"conv": "Conv", "relu": "ReLU", "pool": "Pooling", "lrn": "LRN",
             "dropout": "DropOut", "softmax": "SoftMax"}  # fmt: skip
    simple, layers, params, before = simplenn(net), [], [], "input"
    for layer in simple["layers"]:
        name, kind = layer["name"], layer["type"]
        block = {k: v for k, v in layer.items() if k not in ("name", "type", "weights", "pool")}
        if kind == "pool":
            block["poolSize"] = layer["pool"]
        names = [f"{name}f", f"{name}b"] if kind == "conv" else []
        for key, value in zip(names, layer.get("weights", ()), strict=True):
            params.append({"name": key, "value": value, "learningRate": np.ones((1, 1))})
        layers.append({"name": name, "type": f"dagnn.{kinds[kind]}", "inputs": [before],
                       "outputs": [f"x_{name}"], "params": names, "block": block})  # fmt: skip
        before = f"x_{name}"
    if loss:
        layers[-1] = {"name": "loss", "type": "dagnn.Loss", "outputs": ["objective"], "params": [],
                      "inputs": [layers[-1]["inputs"][0], "label"], "block": {}}  # fmt: skip
    struct = {
        "layers": matlab_files.Structs(layers),
        "params": matlab_files.Structs(params),
        "vars": matlab_files.Structs([{"name": "input"}, {"name": "label"}]),
    }
    return {"net": struct | {"meta": simple["meta"]}, "stats": {"train": [{"loss": 0.5}]}}


@pytest.mark.parametrize("name", ["vgg11", "vgg11_lrn", "vgg16"])
@pytest.mark.parametrize("version, loss", [("5", False), ("7", True), ("7.3", True)])
@torch.no_grad()
def test_a_dagnn_of_training_gives_the_nets_scores(tmp_path, name, version, loss):
    net = random_net(name)
    path = matlab_files.write(tmp_path / "net-epoch-20.mat", dagnn(net, loss=loss), version)
    card, batch = network.read_card(path), pictures(32, 32)
    assert card.mean == MEAN and card.classes == CLASSES
    torch.testing.assert_close(loaded(path)(batch), net(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda layers: layers[3].update(inputs=["input"]), "which takes input. Only a chain"),
        (lambda layers: layers[3].update(type="dagnn.Sum"), "is of type dagnn.Sum"),
        (lambda layers: layers[0].update(params=["gone", "conv1_1b"]), "conv1_1 has no filters"),
        (lambda layers: layers.pop(0), "not a net of the family"),
    ],
)
def test_a_dagnn_that_is_no_chain_of_the_family_is_refused(tmp_path, change, message):
    variables = dagnn(random_net())
    change(variables["net"]["layers"])
    path = matlab_files.write(tmp_path / "a.mat", variables, "5")
    with pytest.raises(WeightsError, match=message):
        network.read(path)


@pytest.mark.parametrize("version", ["5", "7.3"])
@torch.no_grad()
def test_a_net_that_training_saved_with_another_last_layer_gives_its_scores(tmp_path, version):
    net = random_net()
    variables = simplenn(net)
    last = next(layer for layer in variables["layers"] if layer.get("name") == "fc8")
    last["name"] = "fc8_flowers"
    variables["layers"][-1] = {"type": "softmaxloss", "name": "loss"}
    path = matlab_files.write(tmp_path / "net-epoch-20.mat", {"net": variables}, version)
    batch = pictures(32, 32)
    torch.testing.assert_close(loaded(path)(batch), net(batch), rtol=1e-4, atol=1e-4)
    assert network.read_card(path).training["imported"]["last_layer"] == "fc8_flowers"


@pytest.mark.parametrize("ends", [1, 2, 3])  # with dropout, relu7, fc7
def test_a_net_without_fc8_gives_fc7_and_no_scores(tmp_path, ends):
    net = random_net()
    variables = simplenn(net)
    del variables["layers"][-1 - ends :]
    path = matlab_files.write(tmp_path / "cut.mat", variables)
    network_, batch = load_network(str(path)), pictures(32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network_.module(batch), net.dense().descriptor_map(batch))
    assert network_.num_outputs == 0 and network_.classes == ()
    with pytest.raises(WeightsError, match="has no 'classifier.6.weight': no scores"):
        network_.output_map  # noqa: B018
