"""Input statistics that nobody states: what is assumed is said, and what a net shows is taken."""

import logging
import sys
import warnings

import onnx
import pytest
import torch
from helpers.net_files import write_net
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from vggfeat.backbones.convert import export_weights
from vggfeat.backbones.load import load_network
from vggfeat.errors import NetworkError

SIDE = 16
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # torchvision's, of 0 to 255
RAW = ((0, 0, 0), (1, 1, 1))
UNIT = ((0, 0, 0), (255, 255, 255))
ASSUMED = "mean=123.675/116.28/103.53,std=58.395/57.12/57.375"


def per_channel(values):
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


class Net(nn.Module):
    """A net that first does something to its input."""

    def __init__(self, first):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.layer = first, nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.layer(self.first(images)).mean((2, 3))


class Normalised(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", per_channel(mean))
        self.register_buffer("std", per_channel(std))

    def forward(self, images):
        return (images.float() - self.mean) / self.std


class Scaled(nn.Module):
    def forward(self, images):
        return images / 127.5 - 1


class Swapped(Normalised):
    """From R, G, B to B, G, R, less the mean."""

    def forward(self, images):
        return images[:, [2, 1, 0]] - self.mean


class TorchvisionsAgain(nn.Module):
    """What torchvision's GoogLeNet does to pixels that are normalised already."""

    def forward(self, images):
        red = images[:, 0:1] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        green = images[:, 1:2] * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        blue = images[:, 2:3] * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        return torch.cat([red, green, blue], 1)


class Resized(Normalised):
    def forward(self, images):
        images = nn.functional.interpolate(images, size=(24, 24), mode="bilinear")
        return super().forward(images)


class Patches(nn.Module):
    """Four patches as tokens, through a fully connected layer, after a normalisation."""

    def __init__(self, first):
        super().__init__()
        self.first, self.layer = first, nn.Linear(3 * 8 * 8, 4)

    def forward(self, images):
        patches = self.first(images).reshape(-1, 3, 2, 8, 2, 8).permute(0, 2, 4, 1, 3, 5)
        return self.layer(patches.reshape(-1, 4, 192))


SHARES = [[value / 255 for value in values] for values in (MEAN, STD)]
INSIDE = {
    "of_255": (Normalised(MEAN, STD), RAW),
    "of_1": (Normalised(*SHARES), UNIT),
    "to_minus_1": (Scaled(), RAW),
    "mean_alone": (Swapped((103.939, 116.779, 123.68), STD), RAW),
    "mean_alone_of_1": (Normalised(SHARES[0], (1, 1, 1)), UNIT),
    "resized_first": (Resized(*SHARES), UNIT),
    "torchvisions_again": (TorchvisionsAgain(), (MEAN, STD)),
}


def scripted(path, net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(net.eval(), torch.zeros(2, 3, SIDE, SIDE)).save(path)
    return path


def exported(path, net):
    images = torch.zeros(2, 3, SIDE, SIDE)
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(net.eval(), (images,), dynamic_shapes=shapes), path)
    return path


def onnx_net(path, nodes, constants):
    """Nodes from `x` to `y`, then a convolution."""
    weights = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)).numpy()
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes]
    nodes += [
        helper.make_node("Conv", ["y", "weights"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["output"]),
    ]
    tensors = {"weights": weights} | {
        name: torch.tensor(values, dtype=torch.float32).numpy()
        for name, values in constants.items()
    }
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def statistics_of(path):
    network = load_network(f"{path}:input_size={SIDE}")
    return (network.statistics.mean, network.statistics.std), network.assumed


@pytest.mark.parametrize("kind", INSIDE)
@pytest.mark.parametrize("write", [scripted, exported])
def test_a_program_that_normalises_its_input_is_given_pixels_as_they_are(tmp_path, write, kind):
    first, expected = INSIDE[kind]
    path = write(tmp_path / ("net.pt" if write is scripted else "net.pt2"), Net(first))
    assert statistics_of(path) == (expected, ())


@pytest.mark.parametrize("first, expected", [(Normalised(MEAN, STD), RAW), (nn.Identity(), None)])
def test_a_net_of_patches_is_seen_as_well(tmp_path, first, expected):
    found, assumed = statistics_of(scripted(tmp_path / "net.pt", Patches(first)))
    assert found == (expected or (MEAN, STD))
    assert assumed == (() if expected else ("mean", "std"))


def channels(values):
    return [[[value]] for value in values]


BATCH_NORM = {"scale": [1, 1, 1], "shift": [0, 0, 0], "mean": MEAN, "var": [s**2 for s in STD]}
GRAPHS = {
    "sub_div": (
        [("Sub", ["x", "m"], "less"), ("Div", ["less", "s"], "y")],
        {"m": channels(MEAN), "s": channels(STD)},
        RAW,
    ),
    "mul_add": (  # of 0 to 1
        [("Mul", ["x", "f"], "scaled"), ("Add", ["scaled", "o"], "y")],
        {"f": channels(1 / s for s in SHARES[1]),
         "o": channels(-m / s for m, s in zip(*SHARES, strict=True))},
        UNIT,
    ),
    "div_255": ([("Div", ["x", "s"], "y")], {"s": 255.0}, RAW),
    "batch_norm": (
        [("BatchNormalization", ["x", "scale", "shift", "mean", "var"], "y")], BATCH_NORM, RAW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_that_normalises_its_input_is_given_pixels_as_they_are(tmp_path, caplog, kind):
    nodes, constants, expected = GRAPHS[kind]
    caplog.set_level(logging.INFO)
    path = onnx_net(tmp_path / "net.onnx", nodes, constants)
    assert statistics_of(path) == (expected, ())
    assert f"{path}: normalises its input itself" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_the_user_states_goes_before_what_the_graph_does(tmp_path):
    nodes, constants, _ = GRAPHS["sub_div"]
    path = onnx_net(tmp_path / "net.onnx", nodes, constants)
    network = load_network(f"{path}:mean=1/2/3,std=4/5/6")
    assert (network.statistics.mean, network.statistics.std) == ((1, 2, 3), (4, 5, 6))
    assert network.assumed == ()


def test_a_normalisation_of_no_known_pixels_is_refused_unless_stated(tmp_path):
    """(x + 1) / 2 and then torchvision's: pixels of -1 to 1."""
    factor = [0.5 / s for s in SHARES[1]]
    offset = [(0.5 - m) / s for m, s in zip(*SHARES, strict=True)]
    nodes = [("Mul", ["x", "f"], "scaled"), ("Add", ["scaled", "o"], "y")]
    constants = {"f": channels(factor), "o": channels(offset)}
    path = onnx_net(tmp_path / "net.onnx", nodes, constants)
    with pytest.raises(NetworkError, match="net.onnx: normalises.*State what.*mean=0"):
        load_network(str(path))
    stated = load_network(f"{path}:mean=127.5/127.5/127.5,std=127.5/127.5/127.5")
    assert stated.statistics.mean == (127.5,) * 3


@pytest.mark.parametrize("kind", ["net.onnx", "net.pt", "net.pt2"])
def test_what_is_assumed_of_a_program_is_said_once(tmp_path, caplog, kind):
    path = tmp_path / kind
    if path.suffix == ".onnx":
        onnx_net(path, [("Identity", ["x"], "y")], {})
    else:
        (scripted if path.suffix == ".pt" else exported)(path, Net(nn.Identity()))
    texts = []
    for _ in range(2):
        network = load_network(f"{path}:input_size={SIDE},view=centre")
        texts.append(network.assumption)
    assert network.assumed == ("mean", "std")
    assert texts[0] == texts[1] and texts[0].endswith(f"normalised with; assumed: {ASSUMED}")
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) <= 1  # another test of this process may have been told
    assert all(f"assumed: {ASSUMED}. State mean= and std=" in text for text in warned)


def test_half_of_the_statistics_may_be_stated(tmp_path):
    path = onnx_net(tmp_path / "half.onnx", [("Identity", ["x"], "y")], {})
    network = load_network(f"{path}:mean=1/2/3")
    assert network.assumed == ("std",)
    assert network.assumption.endswith("assumed: std=58.395/57.12/57.375")
    assert network.assumed_fact == {"assumed": "std=58.395/57.12/57.375"}


def test_a_card_states_and_a_file_without_one_does_not(tmp_path, caplog):
    card = write_net(tmp_path / "card.safetensors")
    bare = tmp_path / "bare-of-all.safetensors"
    save_file(load_file(write_net(tmp_path / "b.safetensors", has_card=False)), bare)
    assert load_network(str(card)).assumed == ()
    assert not caplog.records
    net = "vgg11:width=0.0625,input_size=32"
    assert load_network(f"{net}@{bare}").assumed == ("mean", "std")
    assert "bare-of-all.safetensors: nothing says what its input is normalised with" in caplog.text
    assert load_network(f"{net}@random:0").assumed == ()


def test_a_caffemodel_has_no_place_for_its_mean(tmp_path, caplog):
    """A face net of 2,622 outputs, which is of another mean than ILSVRC's."""
    faces = write_net(tmp_path / "faces.safetensors", [f"face {n}" for n in range(2622)])
    export_weights(load_network(str(faces)), tmp_path / "faces.caffemodel")
    assert load_network(str(tmp_path / "faces.caffemodel")).assumed == ()  # by its card
    (tmp_path / "faces.caffemodel.card.json").unlink()
    network = load_network(str(tmp_path / "faces.caffemodel"))
    assert network.num_outputs == 2622 and network.assumed == ("mean", "std")
    assert "faces.caffemodel: nothing says" in caplog.text
    assert "assumed: mean=123.68/116.779/103.939,std=1/1/1" in caplog.text


def test_a_function_that_normalises_its_input_is_seen_with_its_own_weights_and_others(
    tmp_path, monkeypatch
):
    (tmp_path / "halves.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Conv2d(3, 4, 3)\n"
        "    def forward(self, images):\n"
        "        return self.layer((images - 127.5) / 127.5).mean((2, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    save_file(nn.ModuleDict({"layer": nn.Conv2d(3, 4, 3)}).state_dict(), "others.safetensors")
    for net in ("halves:Net", "halves:Net@others.safetensors"):
        network = load_network(net)
        assert (network.statistics.mean, network.statistics.std, network.assumed) == (*RAW, ())
