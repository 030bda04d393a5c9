"""Any module as a layer: its map, whatever its shape, and that watching a net changes nothing."""

import copy

import pytest
import torch
from helpers.foreign_nets import random_images, shaken
from torch import nn
from torch.nn import functional
from torchvision import models

from vggfeat.backbones.hooks import NUM_NAMED, OUTPUT, LayerHooks, probe_shapes
from vggfeat.errors import NetworkError, OptionError, UnknownNameError


class Rows(nn.Module):
    """[N, D, h, w] -> [N, h, w, D]."""

    def forward(self, maps):
        return maps.permute(0, 2, 3, 1)


class Tokens(nn.Module):
    """[N, D, h, w] -> [N, h w, D]."""

    def forward(self, maps):
        return maps.flatten(2).transpose(1, 2)


class Pair(nn.Module):
    def forward(self, activations):
        return activations, activations


class Windows(nn.Module):
    """[N, D, h, w] -> [4 N, D, h / 2, w / 2]: more rows than images."""

    def forward(self, maps):
        return torch.cat([half for part in maps.chunk(2, 2) for half in part.chunk(2, 3)])


class Odd(nn.Module):
    """A small net with a module of every kind; `fixed` makes it refuse any size but 16."""

    def __init__(self, *, fixed=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.rows, self.tokens, self.pair, self.windows = Rows(), Tokens(), Pair(), Windows()
        self.unused = nn.Linear(2, 2)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head = nn.Linear(6, 5)
        self.fixed = fixed
        self.passes = 0

    def forward(self, images):
        assert not self.fixed or images.shape[2:] == (16, 16)
        self.passes += 1
        maps = self.relu(self.conv(images))
        self.rows(maps), self.tokens(maps), self.pair(maps), self.windows(maps)
        maps = self.relu(maps - 0.25)
        return self.head(self.flat(self.mean(maps)))


@pytest.fixture(scope="module")
def resnet():
    return shaken(models.resnet18(weights=None))


@torch.inference_mode()
def maps_of(net, layers, images, size=64):
    shapes = probe_shapes(net, size)
    return LayerHooks(copy.deepcopy(net), layers, shapes)(images)


@pytest.mark.parametrize("fixed", [True, False])
def test_maps_rows_tokens_and_vectors_become_maps(fixed):
    """Nets of one size cannot be seen to grow: there the equal sides of a map tell its axes."""
    net = Odd(fixed=fixed).eval()
    shapes = probe_shapes(net, 16)
    assert shapes.any_size is not fixed
    layers = ["conv", "rows", "tokens", "mean", "flat", OUTPUT]
    assert [shapes.dim(layer) for layer in layers] == [6, 6, 6, 6, 6, 5]
    images = random_images(2, 3, 16, 16)
    with torch.inference_mode():
        conv, rows, tokens, mean, flat, output = LayerHooks(copy.deepcopy(net), layers, shapes)(
            images
        )
        expected = functional.conv2d(images, net.conv.weight, net.conv.bias, stride=2, padding=1)
        torch.testing.assert_close(conv, expected)
        first = expected.clamp(min=0)
        torch.testing.assert_close(rows, first)
        torch.testing.assert_close(tokens, first.reshape(2, 6, 64, 1))
        pooled = (first - 0.25).clamp(min=0).mean(dim=(2, 3))
        torch.testing.assert_close(mean, pooled[:, :, None, None])
        torch.testing.assert_close(flat, pooled[:, :, None, None])
        scores = pooled @ net.head.weight.T + net.head.bias
        torch.testing.assert_close(output, scores[:, :, None, None])


def test_rows_of_a_net_of_any_size_keep_height_and_width_apart():
    net = Odd().eval()
    conv, rows = maps_of(net, ["conv", "rows"], random_images(1, 3, 20, 34), size=16)
    assert conv.shape == rows.shape == (1, 6, 10, 17)
    assert torch.equal(conv.clamp(min=0), rows)


def test_a_module_that_is_used_twice_gives_what_it_gave_last():
    net = Odd().eval()
    images = random_images(2, 3, 16, 16)
    (relu,) = maps_of(net, ["relu"], images, size=16)
    with torch.inference_mode():
        expected = (net.conv(images).clamp(min=0) - 0.25).clamp(min=0)
    torch.testing.assert_close(relu, expected)


@pytest.mark.parametrize(
    "layer, gives",
    [
        ("pair", r"no single tensor of real numbers\. Choose"),
        ("windows", "a tensor 4x6x4x4 an image"),
    ],
)
def test_modules_that_give_no_row_for_each_image_are_refused_in_one_line(layer, gives):
    with pytest.raises(NetworkError, match=f"net: layer '{layer}' gives {gives}") as refused:
        probe_shapes(Odd().eval(), 16).check("net", layer)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("layer", ["unused", "hed"])
def test_a_layer_that_no_picture_goes_through_is_unknown(layer):
    with pytest.raises(UnknownNameError, match=f"layer of net '{layer}'") as refused:
        probe_shapes(Odd().eval(), 16).check("net", layer)
    listed = str(refused.value).partition("Known: ")[2].rstrip(".").split(", ")
    assert set(listed) == {"conv", "relu", "rows", "tokens", "mean", "flat", "head", OUTPUT}
    assert ("Did you mean 'head'?" in str(refused.value)) == (layer == "hed")


def test_the_layers_of_a_deep_net_are_listed_without_their_parts(resnet):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'layer3'\?") as refused:
        probe_shapes(resnet, 64).check("resnet18", "layr3")
    listed, _, more = str(refused.value).partition("Known: ")[2].partition(" and ")
    assert {"layer4", "layer4.1", "fc"} <= set(listed.split(", "))
    assert "layer4.1.bn2" not in listed and more.endswith("more.")
    assert len(listed.split(", ")) <= NUM_NAMED


def test_relus_in_place_do_not_spoil_what_was_seen_before_them(resnet):
    images = random_images(2, 3, 64, 80)
    found = maps_of(resnet, ["bn1", "layer1.0.bn2", "layer1.0.relu", "layer1.0"], images)
    with torch.inference_mode():
        bn1 = resnet.bn1(resnet.conv1(images))
        stem = functional.max_pool2d(bn1.clamp(min=0), 3, 2, 1)
        block = resnet.layer1[0]
        bn2 = block.bn2(block.conv2(block.bn1(block.conv1(stem)).clamp(min=0)))
        after = (bn2 + stem).clamp(min=0)
    assert all((maps < 0).any() for maps in found[:2])
    for maps, expected in zip(found, (bn1, bn2, after, after), strict=True):
        torch.testing.assert_close(maps, expected)


def test_densenets_last_norm_is_seen_before_its_relu():
    net = shaken(models.densenet121(weights=None))
    images = random_images(1, 3, 64, 64)
    (norm5,) = maps_of(net, ["features.norm5"], images)
    with torch.inference_mode():
        activations = images
        for module in list(net.features)[:-1]:
            activations = module(activations)
        torch.testing.assert_close(norm5, net.features.norm5(activations))
    assert (norm5 < 0).any()


def test_layers_together_are_bit_equal_to_each_alone_in_one_pass(resnet):
    images = random_images(2, 3, 64, 80)
    layers = ["layer4", "bn1", "layer2.1.relu", "avgpool", OUTPUT]
    alone = [maps_of(resnet, [layer], images)[0] for layer in layers]
    net = copy.deepcopy(resnet)
    passes = []
    net.conv1.register_forward_hook(lambda *_: passes.append(1))
    with torch.inference_mode():
        joint_module = LayerHooks(net, layers, probe_shapes(resnet, 64))(images)
    assert passes == [1]
    for one, other in zip(joint_module, alone, strict=True):
        assert torch.equal(one, other)


def test_a_layer_that_is_asked_for_twice_is_given_twice(resnet):
    images = random_images(1, 3, 64, 64)
    one, other, scores = maps_of(resnet, ["layer3", "layer3", OUTPUT], images)
    assert torch.equal(one, other) and scores.shape == (1, 1000, 1, 1)


def test_the_pass_ends_with_the_last_layer_and_begins_anew_at_the_next(resnet):
    net = copy.deepcopy(resnet)
    reached = []
    for name in ("layer1", "layer2", "layer3", "fc"):
        net.get_submodule(name).register_forward_hook(lambda *_, name=name: reached.append(name))
    hooks = LayerHooks(net, ["layer1.0", "layer2"], probe_shapes(resnet, 64))
    with torch.inference_mode():
        first = hooks(random_images(1, 3, 64, 64))
        hooks(random_images(3, 3, 96, 64, seed=1))
        again = hooks(random_images(1, 3, 64, 64))
    assert "layer3" not in reached and "fc" not in reached and reached.count("layer1") == 3
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_an_error_in_the_net_is_no_end_of_the_pass():
    net = Odd(fixed=True).eval()
    hooks = LayerHooks(net, [OUTPUT], probe_shapes(net, 16))
    with pytest.raises(AssertionError):
        hooks(torch.zeros(1, 3, 20, 20))
    assert hooks(torch.zeros(1, 3, 16, 16))[0].shape == (1, 5, 1, 1)


def test_probing_shapes_leaves_no_hooks_and_takes_two_pictures():
    net = Odd().eval()
    probe_shapes(net, 16, inputs_of=("head",))
    assert net.passes == 2
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_what_goes_into_a_module_is_a_layer_too():
    net = Odd().eval()
    shapes = probe_shapes(net, 16, inputs_of=("head",))
    images = random_images(2, 3, 16, 16)
    with torch.inference_mode():
        hooks = LayerHooks(copy.deepcopy(net), ["flat", "input of head"], shapes)
        one, other = hooks(images)
    assert torch.equal(one, other) and shapes.dim("input of head") == 6


def test_a_module_that_looks_at_no_picture_is_found_out():
    """What it gives for one picture looks like tokens."""

    class Constant(nn.Module):
        def forward(self, images):
            return torch.zeros(1, 4, 8)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = Constant()

        def forward(self, images):
            return images + self.positions(images).mean()

    net = Net().eval()
    hooks = LayerHooks(net, ["positions"], probe_shapes(net, 8))
    with pytest.raises(NetworkError, match="layer 'positions' gives 1 row for 3 images"):
        hooks(torch.zeros(3, 3, 8, 8))


def test_a_net_with_attention_is_of_one_size_though_it_takes_others():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(3, 1, batch_first=True)

        def forward(self, images):
            tokens = images.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens)[0].mean(dim=1)

    assert not probe_shapes(Attending().eval(), 8).any_size


@pytest.mark.parametrize("side", [0, -5])
def test_a_side_that_no_picture_has_is_refused(side):
    with pytest.raises(OptionError, match=f"input_size must be at least 1; got {side}"):
        probe_shapes(Odd().eval(), side)


def test_a_net_that_takes_no_picture_of_that_size_says_why():
    with pytest.raises(NetworkError, match="cannot take a picture of 20x20 .*input_size"):
        probe_shapes(Odd(fixed=True).eval(), 20)
