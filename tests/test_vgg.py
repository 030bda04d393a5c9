"""The six nets: their table, their dense form, their keys, their random weights."""

import pytest
import timm
import torch
import torchvision
from timm.layers import ClassifierHead
from timm.models.vgg import ConvMlp
from torch import nn

from vggfeat import vgg
from vggfeat.errors import NetworkError, OptionError, UnknownNameError

# Weights and biases, from the paper's Table 1 worked out by hand.
NUM_PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg11_lrn": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16_1x1": 133_638_952,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
}
NUM_WEIGHT_LAYERS = {
    "vgg11": 11, "vgg11_lrn": 11, "vgg13": 13, "vgg16_1x1": 16, "vgg16": 16, "vgg19": 19,
}  # fmt: skip
ALL_NETS = list(vgg.CONFIGURATIONS)
IN_TORCHVISION = ("vgg11", "vgg13", "vgg16", "vgg19")


def narrow(name: str, **options) -> vgg.VGG:
    net = vgg.build(name, width=0.125, input_size=64, num_classes=10, **options)
    vgg.initialise(net, "glorot", seed=1)
    return net.eval()


@pytest.mark.parametrize("name", ALL_NETS)
def test_number_of_parameters_and_weight_layers(name):
    with torch.device("meta"):
        net = vgg.build(name)
    assert sum(parameter.numel() for parameter in net.parameters()) == NUM_PARAMETERS[name]
    assert vgg.CONFIGURATIONS[name].num_weight_layers == NUM_WEIGHT_LAYERS[name]


@pytest.mark.parametrize("name", IN_TORCHVISION)
def test_keys_and_shapes_are_torchvisions(name):
    with torch.device("meta"):
        ours = vgg.build(name).state_dict()
        theirs = torchvision.models.get_model(name, weights=None).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items()
    }


@pytest.mark.parametrize("name", ALL_NETS)
@torch.inference_mode()
def test_dense_net_equals_the_fully_connected_one_at_the_input_size(name):
    net = narrow(name)
    images = torch.randn(2, 3, 64, 64)
    dense = net.dense()(images)
    assert dense.shape == (2, 10, 1, 1)
    torch.testing.assert_close(dense.flatten(1), net(images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_NETS)
@torch.inference_mode()
def test_dense_net_equals_the_fully_connected_one_at_full_size(name):
    net = vgg.build(name)
    vgg.initialise(net, "glorot", seed=1)
    images = torch.randn(1, 3, 224, 224)
    scores = net.eval()(images)
    torch.testing.assert_close(net.dense()(images).flatten(1), scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ALL_NETS)
@torch.inference_mode()
def test_dense_net_equals_timms_head_on_larger_images(name):
    net = narrow(name)
    units = vgg.scaled(4096, 0.125)
    kinds = {"conv_layer": nn.Conv2d, "act_layer": nn.ReLU}  # which timm 1.0.12 does not assume
    mlp = ConvMlp(vgg.scaled(512, 0.125), units, kernel_size=2, **kinds).eval()
    head = ClassifierHead(units, 10, pool_type="avg").eval()
    fc6, fc7, fc8 = (net.classifier[i] for i in (0, 3, 6))
    mlp.fc1.weight.copy_(fc6.weight.view_as(mlp.fc1.weight))
    mlp.fc1.bias.copy_(fc6.bias)
    mlp.fc2.weight.copy_(fc7.weight.view_as(mlp.fc2.weight))
    mlp.fc2.bias.copy_(fc7.bias)
    head.fc.load_state_dict(fc8.state_dict())
    images = torch.randn(2, 3, 150, 203)
    their_map = mlp(net.features(images))
    dense = net.dense()
    torch.testing.assert_close(dense.descriptor_map(images), their_map, rtol=1e-5, atol=1e-5)
    # Averaging scores over positions or descriptors before fc8 is the same, fc8 being linear.
    torch.testing.assert_close(
        dense(images).mean(dim=(2, 3)), head(their_map), rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_TORCHVISION)
@torch.inference_mode()
def test_dense_net_equals_the_whole_timm_net_at_full_size(name):
    ours = vgg.build(name)
    vgg.initialise(ours, "glorot", seed=1)
    theirs = timm.create_model(name, pretrained=False).eval()
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2",
             "classifier.6": "head.fc"}  # fmt: skip
    tensors = {}
    for key, value in ours.state_dict().items():
        layer, _, kind = key.rpartition(".")
        key = f"{names.get(layer, layer)}.{kind}"
        tensors[key] = value.view_as(theirs.state_dict()[key])
    theirs.load_state_dict(tensors)
    images = torch.randn(1, 3, 256, 320)
    dense = ours.dense()
    torch.testing.assert_close(dense(images).mean(dim=(2, 3)), theirs(images), rtol=1e-5, atol=1e-5)
    descriptor = dense.descriptor_map(images).mean(dim=(2, 3))
    pre_logits = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
    torch.testing.assert_close(descriptor, pre_logits, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_position_of_the_dense_map_is_the_net_on_that_window_away_from_padding():
    """fc6 slides over the last feature map with stride 32 pixels."""
    net = narrow("vgg11")
    feature_map = net.features(torch.randn(1, 3, 192, 224))  # 6 x 7 positions
    dense = net.dense()
    scores = dense.fc8(torch.relu(dense.fc7(torch.relu(dense.fc6(feature_map)))))
    window = feature_map[:, :, 3:5, 2:4]
    torch.testing.assert_close(scores[:, :, 3, 2], net.classifier(window.flatten(1)))


@pytest.mark.parametrize(
    "side, positions",
    [(224, 1), (256, 2), (288, 3), (352, 5), (384, 6), (416, 7), (512, 10), (640, 14), (768, 18)],
)
def test_positions_of_the_score_map_at_the_papers_scales(side, positions):
    with torch.device("meta"):
        dense = vgg.build("vgg11", width=0.02).dense()
        assert dense(torch.empty(1, 3, side, side)).shape[-2:] == (positions, positions)


@pytest.mark.parametrize(
    "scale, floor, ceil",
    [(256, 10, 11), (384, 16, 16), (512, 21, 22), (640, 26, 27), (768, 32, 32)],
)
def test_ceil_mode_pools_a_500x375_photograph_as_caffe_does(scale, floor, ceil):
    long_side = scale * 500 // 375
    for ceil_mode, expected in ((False, floor), (True, ceil)):
        with torch.device("meta"):
            net = vgg.build("vgg11", width=0.02, ceil_mode=ceil_mode)
            assert net.features(torch.empty(1, 3, scale, long_side)).shape[-1] == expected


def test_lrn_is_alexnets_formula():
    """b_i = a_i / (2 + 1e-4 * sum over 5 neighbouring channels of a_j^2) ^ 0.75."""
    lrn = vgg.build("vgg11_lrn", width=0.125).features[2]
    a = 100 * torch.rand(1, 8, 2, 2, dtype=torch.float64)
    for i in range(8):
        squares = (a[:, max(0, i - 2) : i + 3] ** 2).sum(dim=1)
        expected = a[:, i] / (2 + 1e-4 * squares) ** 0.75
        torch.testing.assert_close(lrn(a)[:, i], expected)


def test_dense_net_shares_the_weights():
    net = narrow("vgg11")
    assert net.dense().fc6.weight.data_ptr() == net.classifier[0].weight.data_ptr()


def test_normal_initialisation_has_the_papers_deviation_and_zero_biases():
    net = vgg.build("vgg11", width=0.25)
    vgg.initialise(net, "normal", seed=0)
    assert net.classifier[0].weight.std().item() == pytest.approx(0.1, rel=0.01)
    vgg.initialise(net, "normal", std=0.01, seed=0)
    assert net.classifier[0].weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert not net.classifier[0].bias.any() and not net.features[0].bias.any()


def test_glorot_initialisation_has_variance_two_over_fan_in_plus_fan_out():
    net = vgg.build("vgg11", width=0.25)
    vgg.initialise(net, "glorot", seed=0)
    weight = net.features[8].weight  # 64 channels to 64, 3x3
    assert weight.var().item() == pytest.approx(2 / (9 * 64 + 9 * 64), rel=0.05)


def test_initialisation_depends_on_the_seed_alone():
    first, again, other = (narrow("vgg11") for _ in range(3))
    vgg.initialise(other, "glorot", seed=2)
    assert torch.equal(first.features[0].weight, again.features[0].weight)
    assert not torch.equal(first.features[0].weight, other.features[0].weight)


@pytest.mark.parametrize("size", [0, -32, 100, 544])
def test_input_size_must_be_a_multiple_of_32(size):
    with pytest.raises(OptionError, match=f"multiple of 32 from 32 to 512; got {size}"):
        vgg.build("vgg16", input_size=size)


def test_unknown_net_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg16'"):
        vgg.build("vgg-16")


def test_images_below_the_input_size_are_refused_with_the_limit():
    with pytest.raises(NetworkError, match="at least 64"):
        narrow("vgg11").dense()(torch.zeros(1, 3, 63, 80))


def test_fully_connected_net_refuses_other_sizes():
    with pytest.raises(NetworkError, match="exactly 64x64. Use dense"):
        narrow("vgg11")(torch.zeros(1, 3, 64, 96))
