"""Net specifications: what each part means, and what is refused."""

import hashlib

import pytest
import torch
from helpers.pictures import NARROW
from safetensors.torch import save_file

from vggfeat import vgg
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec, parse_fusion
from vggfeat.errors import NetworkError, OptionError, UnknownNameError, WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS, TORCHVISION_STATISTICS
from vggfeat.weights import released


def test_random_weights_follow_from_the_seed():
    images = torch.randn(1, 3, 40, 40)
    first, again, other = (load_network(f"vgg11:width=0.0625,input_size=32@random:{seed}")
                           for seed in (0, 0, 1))  # fmt: skip
    assert torch.equal(first.module(images), again.module(images))
    assert not torch.equal(first.module(images), other.module(images))
    assert first.statistics == PAPER_STATISTICS
    assert (first.weights, first.weights_sha256) == ("random:0", "")


def test_weights_from_a_file(tmp_path):
    net = vgg.build("vgg11", width=0.0625, input_size=32, num_classes=7)
    save_file(net.state_dict(), tmp_path / "a+b@c.safetensors")
    network = load_network(f"vgg11:width=0.0625,input_size=32@{tmp_path}/a+b@c.safetensors")
    images = torch.randn(1, 3, 40, 40)
    expected = net.dense().descriptor_map(images)
    torch.testing.assert_close(network.module(images), expected)
    assert network.weights == "a+b@c.safetensors"
    content = (tmp_path / "a+b@c.safetensors").read_bytes()
    assert network.weights_sha256 == hashlib.sha256(content).hexdigest()
    assert network.statistics == TORCHVISION_STATISTICS


def test_torchvisions_weights_put_there_by_hand_are_verified(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"what torchvision serves")
    sha256 = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    file = f"vgg11-{sha256[:8]}.pth"
    monkeypatch.setitem(released.TORCHVISION_FAMILY, "vgg11", (file, 507, 69.0, 88.6))
    path = (tmp_path / "w.pth").rename(tmp_path / file)
    network = load_network("vgg11", weights_dir=tmp_path, offline=True)
    assert (network.weights, network.weights_sha256) == ("torchvision", sha256)
    path.write_bytes(b"another file")
    with pytest.raises(WeightsError, match="its SHA-256 starts with"):
        load_network("vgg11", weights_dir=tmp_path, offline=True)


def test_the_map_has_the_stated_number_of_channels():
    for specification in (NARROW, "squeezenet1_0@random:0"):
        network = load_network(specification)
        side = network.backbone.min_size
        with torch.inference_mode():
            assert network.module(torch.zeros(1, 3, side, side)).shape[1] == network.backbone.dim


def test_squeezenet_has_nothing_to_pool_below_its_smallest_side():
    network = load_network("squeezenet1_0@random:0")
    with pytest.raises(RuntimeError):
        network.module(torch.zeros(1, 3, 20, 20))


def test_fusion_splits_at_nets_and_not_in_file_names():
    assert parse_fusion("vgg16@caffe+vgg19:width=1@x+y.pth+squeezenet1_0") == (
        NetSpec("vgg16", "caffe"), NetSpec("vgg19", "x+y.pth", width=1.0), NetSpec("squeezenet1_0"),
    )  # fmt: skip
    assert parse_fusion("vgg16_1x1+vgg16") == (NetSpec("vgg16_1x1"), NetSpec("vgg16"))


@pytest.mark.parametrize(
    "one, other",
    [
        ("vgg11:width=0.5,input_size=32@random:0", "vgg11:input_size=32,width=0.50@random:0"),
        ("vgg11:width=1,input_size=224,ceil_mode=FALSE@random:0", "vgg11@random:0"),
        ("vgg11:@random:0", "vgg11@random:0"),
    ],
)
def test_equal_nets_have_equal_names(one, other):
    assert load_network(one).name == load_network(other).name


@pytest.mark.parametrize(
    "specification, error, message",
    [
        ("vgg-16", UnknownNameError, "Did you mean 'vgg16'"),
        ("resnet5", UnknownNameError, "Did you mean 'resnet50'.*Known: vgg11, .* and 76 more"),
        ("vgg16:widht=0.5@random:0", UnknownNameError, "Did you mean 'width'"),
        ("vgg16:width=much@random:0", OptionError, "width='much' is not a valid value"),
        ("vgg16:input_size=100@random:0", OptionError, "multiple of 32 .*got 100"),
        ("vgg16:width=0@random:0", OptionError, "width must be above 0"),
        ("vgg16:width=nan@random:0", OptionError, "width must be above 0"),
        ("vgg16@random:x", OptionError, "need a seed, such as random:0"),
        ("vgg16@gone.safetensors", WeightsError, "gone.safetensors: no such weights file"),
        ("vgg16@cafe", UnknownNameError, "weights of vgg16 'cafe'. Did you mean 'caffe'"),
        ("vgg16@DEFAULT", UnknownNameError, "weights of vgg16 'DEFAULT'. Known: IMAGENET1K_FEAT"),
        ("vgg99@cafe", UnknownNameError, "Unknown network 'vgg99'"),
        ("resnet50@IMAGENET1K_V3", UnknownNameError, "Did you mean 'IMAGENET1K_V"),
        ("vgg16@.", WeightsError, "unknown kind of weights file"),
        ("vgg16:width=0.5", WeightsError, "no released weights for a net with another width"),
        ("vgg16_1x1", WeightsError, "no released weights of 'vgg16_1x1'"),
        ("vgg16:width=1,width=2@random:0", OptionError, "width is given twice"),
        ("vgg16:input_size=1024@random:0", OptionError, "from 32 to 512; got 1024"),
        ("squeezenet1_0:width=2@random:0", NetworkError, "no option 'width'"),
    ],
)
def test_what_is_refused(specification, error, message):
    with pytest.raises(error, match=message):
        load_network(specification)


@pytest.mark.parametrize("name", ["vgg16:width=0.0625,input_size=32", "squeezenet1_0"])
def test_descriptors_before_the_relu_are_what_the_relu_takes_in(name):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    after = load_network(f"{name}@random:0")
    before = load_network(NetSpec.parse(f"{name}@random:0").with_option("relu", False))
    assert before.backbone.layer == f"{after.backbone.layer} before ReLU"
    with torch.inference_mode():
        activations = before.module(images)
        assert (activations < 0).any()
        assert torch.equal(activations.relu(), after.module(images))
