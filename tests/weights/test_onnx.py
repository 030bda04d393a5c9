"""Nets as ONNX files: the card and the weights come back to the bit, and others can run them."""

import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torchvision import models

from vggfeat import vgg
from vggfeat.errors import WeightsError
from vggfeat.weights import checkpoint
from vggfeat.weights import onnx as onnx_file
from vggfeat.weights.checkpoint import Card

CARD = Card(
    net="vgg11:width=0.0625,input_size=32",
    classes=("cat", "dog", "Käfer"),
    mean=(123.68, 116.779, 103.939),
    std=(1.0, 1.0, 1.0),
    training={"recipe": {"name": "demo"}},
)


def vgg11():
    torch.manual_seed(0)
    return vgg.build("vgg11", width=0.0625, input_size=32, num_classes=3)


def with_moved_statistics(net):
    """Running statistics that are not 0 and 1, so that folding or mixing them up would show."""
    for key, tensor in net.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5)
    return net


class Tied(nn.Module):
    """Scores with a weight under two keys, and one that nothing is computed with."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.second = nn.Conv2d(3, 3, 1)
        self.second.weight = self.first.weight
        self.spare = nn.Linear(2, 2)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(self.second(self.first(images))).mean((2, 3)) + torch.tensor([1.0, 2, 3])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A narrow net of the family and its file."""
    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    net = vgg11()
    onnx_file.write(path, net, CARD, input_size=32)
    return path, net


def scores(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["images"]
    assert [value.name for value in session.get_outputs()] == ["scores"]
    return torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0])


def needed(net):
    return {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}


def assert_same_bits(tensors, net):
    wanted = needed(net)
    assert tensors.keys() == wanted.keys()
    assert all(tensors[key].dtype == torch.float32 for key in tensors)
    assert all(torch.equal(tensors[key], wanted[key]) for key in wanted)


def test_card_and_weights_come_back_to_the_bit(exported):
    path, net = exported
    assert onnx_file.read_card(path) == CARD
    assert_same_bits(onnx_file.read(path), net)
    again = vgg11()
    nn.init.zeros_(again.features[0].weight)
    checkpoint.load(again, onnx_file.read(path), path)
    assert torch.equal(again.features[0].weight, net.features[0].weight)


@pytest.mark.parametrize("count", [1, 3])
def test_other_programs_compute_the_same_scores(exported, count):
    path, net = exported
    images = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(scores(path, images), net.eval()(images), atol=1e-4, rtol=0)


def test_the_file_does_not_tell_where_it_was_made(exported):
    path, _ = exported
    assert b".py" not in path.read_bytes()
    onnx.checker.check_model(path, full_check=True)


@pytest.mark.parametrize(
    "make, side",
    [
        (Tied, 8),
        pytest.param(lambda: models.resnet18(num_classes=5), 64, marks=pytest.mark.slow),
        pytest.param(lambda: models.mobilenet_v3_small(num_classes=5), 64, marks=pytest.mark.slow),
        pytest.param(lambda: models.squeezenet1_0(num_classes=5), 64, marks=pytest.mark.slow),
        pytest.param(
            lambda: models.VisionTransformer(64, 32, 2, 2, 32, 64), 64, marks=pytest.mark.slow
        ),
    ],
)
def test_nets_of_other_families_keep_their_keys_and_bits(tmp_path, capfd, make, side):
    torch.manual_seed(0)
    net = with_moved_statistics(make()).train()
    capfd.readouterr()
    onnx_file.write(tmp_path / "net.onnx", net, CARD, input_size=side)
    assert capfd.readouterr() == ("", "")
    assert net.training and all(module.training for module in net.modules())
    assert_same_bits(onnx_file.read(tmp_path / "net.onnx"), net)
    images = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        expected = net.eval()(images)
    torch.testing.assert_close(scores(tmp_path / "net.onnx", images), expected, atol=1e-4, rtol=0)
    checkpoint.load(net, onnx_file.read(tmp_path / "net.onnx"), tmp_path / "net.onnx")


def test_half_precision_weights_become_float32(tmp_path):
    net = Tied().half()
    onnx_file.write(tmp_path / "net.onnx", net, CARD, input_size=8)
    assert torch.equal(onnx_file.read(tmp_path / "net.onnx")["spare.bias"], net.spare.bias.float())


def relu_file(path):
    """An ONNX file of somebody else's."""
    images = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [images], [output])
    onnx.save(helper.make_model(graph), path)
    return path


def test_files_of_others_have_no_card_and_no_known_keys(tmp_path):
    path = relu_file(tmp_path / "theirs.onnx")
    assert onnx_file.read_card(path) is None
    with pytest.raises(WeightsError, match="theirs.onnx: .*not exported by vggfeat.*Name it alone"):
        onnx_file.read(path)


@pytest.mark.parametrize("read", [onnx_file.read, onnx_file.read_card])
@pytest.mark.parametrize("keep", [0, 10, -10])
def test_truncated_files_are_refused_by_name(exported, tmp_path, read, keep):
    path = tmp_path / "cut.onnx"
    path.write_bytes(exported[0].read_bytes()[:keep])
    with pytest.raises(WeightsError, match="cut.onnx: not a whole ONNX file"):
        read(path)


@pytest.mark.parametrize("read", [onnx_file.read, onnx_file.read_card])
def test_other_files_are_refused_by_name(tmp_path, read):
    (tmp_path / "w.onnx").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(WeightsError, match="w.onnx: not a whole ONNX file"):
        read(tmp_path / "w.onnx")
    with pytest.raises(WeightsError, match="gone.onnx: no such ONNX file"):
        read(tmp_path / "gone.onnx")


def changed(source, target, change):
    model = onnx.load(source)
    change(model)
    onnx.save(model, target)
    return target


def test_a_file_that_lacks_a_tensor_it_lists_is_refused(exported, tmp_path):
    path = changed(exported[0], tmp_path / "w.onnx", lambda model: model.graph.initializer.pop())
    with pytest.raises(WeightsError, match="w.onnx: lacks the tensor 'classifier.6.bias'"):
        onnx_file.read(path)


@pytest.mark.parametrize(
    "key, read", [("vggfeat", onnx_file.read_card), (onnx_file.KEYS, onnx_file.read)]
)
def test_metadata_that_cannot_be_understood_is_refused(exported, tmp_path, key, read):
    def spoil(model):
        next(entry for entry in model.metadata_props if entry.key == key).value = "{"

    path = changed(exported[0], tmp_path / "w.onnx", spoil)
    with pytest.raises(WeightsError, match="w.onnx: its .* cannot be understood"):
        read(path)


def test_a_net_that_onnx_cannot_hold_is_refused_before_it_is_exported(tmp_path):
    with torch.device("meta"):
        net = nn.Linear(2**15, 2**14)  # 2 GiB
    with pytest.raises(WeightsError, match="has 2.0 GiB of weights.*Write a .safetensors file"):
        onnx_file.write(tmp_path / "net.onnx", net, CARD, input_size=32)
    assert not list(tmp_path.iterdir())


def test_a_net_that_cannot_be_exported_leaves_no_file(tmp_path):
    class Odd(nn.Module):
        def forward(self, images):
            raise ValueError("takes no pictures")

    with pytest.raises(WeightsError, match="net.onnx: the net cannot be exported to ONNX: "):
        onnx_file.write(tmp_path / "net.onnx", Odd(), CARD, input_size=8)
    assert not list(tmp_path.iterdir())
