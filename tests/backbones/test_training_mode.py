"""Nets left in training mode answer differently twice, and are refused with what to do."""

import sys
import warnings

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from vggfeat.backbones.load import load_network
from vggfeat.backbones.repeatable import Repeatable
from vggfeat.errors import NetworkError

SIDE = 16
REFUSED = r"was exported in training mode: its graph has {} .*Call net.eval\(\) and export it again"


def images(count=3):
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def net(*layers):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), *layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def traced(path, module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, images(2), check_trace=False).save(path)
    return path


def exported(path, module):
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(module, (images(2),), dynamic_shapes=shapes), path)
    return path


def graph(path, *nodes, last="y"):
    weights = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)).numpy()
    constants = {
        "weights": weights,
        "half": torch.tensor(0.5).numpy(),
        "none": torch.tensor(0.0).numpy(),
        "true": torch.tensor(True).numpy(),
        "false": torch.tensor(False).numpy(),
        "ones": torch.ones(4).numpy(),
    }
    whole = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "weights"], ["map"]),
            *nodes,
            helper.make_node("GlobalAveragePool", [last], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["output"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def stated(path):
    """The net with its input statistics, of which these tests are not."""
    return f"{path}:mean=0/0/0,std=1/1/1,input_size={SIDE}"


def answers(network, given):
    with torch.inference_mode():
        return network.module(given).flatten(1)


@pytest.mark.parametrize(
    "layer, operator", [(nn.Dropout(0.5), "dropout"), (nn.BatchNorm2d(8), "batch_norm")]
)
@pytest.mark.parametrize("write", [traced, exported])
def test_a_program_exported_in_training_mode_is_refused(tmp_path, write, layer, operator):
    path = tmp_path / ("net.pt" if write is traced else "net.pt2")
    write(path, net(layer).train())
    with pytest.raises(NetworkError, match=REFUSED.format(operator)):
        load_network(stated(path))
    path.unlink()
    write(path, net(layer).eval())
    assert answers(load_network(stated(path)), images()).shape == (3, 8)


@pytest.mark.parametrize(
    "kind, ratio, training, is_refused",
    [("Dropout", "half", "true", True), ("Dropout", "half", "false", False),
     ("Dropout", "none", "true", False), ("BatchNormalization", "", "", True)],
)  # fmt: skip
def test_a_graph_exported_in_training_mode_is_refused(tmp_path, kind, ratio, training, is_refused):
    if kind == "Dropout":
        node = helper.make_node(kind, ["map", ratio, training], ["y"])
    else:
        ones = ["ones"] * 4
        node = helper.make_node(kind, ["map", *ones], ["y", "m", "v"], training_mode=1)
    path = graph(tmp_path / "net.onnx", node)
    if is_refused:
        with pytest.raises(NetworkError, match=REFUSED.format(kind)):
            load_network(stated(path))
    else:
        assert answers(load_network(stated(path)), images()).shape == (3, 4)


def test_a_layer_before_the_dropout_may_be_used(tmp_path):
    path = exported(tmp_path / "net.pt2", net(nn.Dropout(0.5)).train())
    network = load_network(f"{stated(path)},layer=0")
    assert torch.equal(answers(network, images()), answers(network, images()))
    behind = load_network(f"{stated(path)},layer=2")
    with pytest.raises(NetworkError, match=r"other numbers when it is run again .*net.eval\(\)"):
        answers(behind, images())


def test_a_net_that_draws_at_random_is_refused_at_its_first_batch(tmp_path):
    noise = helper.make_node("RandomNormalLike", ["map"], ["noise"], scale=0.1)
    path = graph(tmp_path / "net.onnx", noise, helper.make_node("Add", ["map", "noise"], ["y"]))
    with pytest.raises(NetworkError, match="net.onnx: gives the same pictures other numbers"):
        answers(load_network(stated(path)), images())


class SeesItsBatch(nn.Module):
    """It takes off the mean of the batch, in eval mode as well."""

    def __init__(self):
        super().__init__()
        self.layers = net()

    def forward(self, given):
        features = self.layers(given)
        return features - features.mean(0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_has_the_same_descriptor_beside_any_others(tmp_path, count):
    path = exported(tmp_path / "net.pt2", SeesItsBatch().eval())
    with pytest.raises(NetworkError, match="a picture other numbers beside other pictures"):
        answers(load_network(stated(path)), images(count))


def test_a_function_of_the_users_is_tried_as_well(tmp_path, monkeypatch):
    (tmp_path / "drops_always.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Conv2d(3, 8, 3)\n"
        "    def forward(self, images):\n"
        "        return nn.functional.dropout(self.layer(images)).mean((2, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    network = load_network("drops_always:Net:input_size=16,mean=0/0/0,std=1/1/1")
    with pytest.raises(NetworkError, match=r"drops_always:Net: gives .*follow self.training"):
        answers(network, images())


class Counting(nn.Module):
    def __init__(self, noise):
        super().__init__()
        self.passes, self.noise = [], noise

    def forward(self, given):
        self.passes.append(len(given))
        return [given + self.noise * len(self.passes)]


def test_the_first_batch_alone_is_run_again_and_rounding_is_no_difference():
    counting = Counting(noise=1e-6)
    maps = Repeatable(counting, ("a sound net",), name="net", remedy="")
    for count in (5, 4):
        maps(torch.ones(count, 3, 2, 2))
    Repeatable(counting, ("a sound net",), name="net", remedy="")(torch.ones(2, 3, 2, 2))
    assert counting.passes == [5, 5, 1, 4, 2]
    with pytest.raises(NetworkError, match="net: gives the same pictures other numbers"):
        Repeatable(Counting(0.01), ("another",), name="net", remedy="")(torch.ones(2, 3, 2, 2))
