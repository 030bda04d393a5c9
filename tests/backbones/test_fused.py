"""Fused layers give what the net gives, up to rounding, whatever is observed of it."""

import logging

import pytest
import torch
from torch import nn

from vggfeat.backbones import fused_convolution
from vggfeat.backbones.fused import fused
from vggfeat.backbones.fused_convolution import FusedConvolution
from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import joint_module
from vggfeat.features.forward import autocast_for
from vggfeat.features.inference import KEPT_KERNELS, for_inference, keep_kernels

IMAGES = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))


def norm(channels):
    """Batch normalisation as training leaves it."""
    layer = nn.BatchNorm2d(channels)
    for tensor, low, high in (
        (layer.weight, 0.5, 2), (layer.bias, -1, 1),
        (layer.running_mean, -1, 1), (layer.running_var, 0.1, 3),
    ):  # fmt: skip
        nn.init.uniform_(tensor, low, high)
    return layer


class Net(nn.Module):
    """Convolutions followed by what the forward pass of a subclass says."""

    def __init__(self, activation=nn.ReLU, **kinds):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1, groups=4, bias=False, **kinds)
        self.norm1, self.norm2 = norm(16), norm(16)
        self.act = activation()
        self.eval()

    def forward(self, images):
        return self.norm2(self.second(self.act(self.norm1(self.first(images)))))


class Residual(Net):
    def forward(self, images):
        images = self.act(self.first(images))
        out = self.norm2(self.second(images))
        out += images
        return self.act(out)


class InPlace(Net):
    """What is added to is used again afterwards."""

    def forward(self, images):
        before = self.first(images)
        before += self.second(torch.sin(before))
        return before + self.act(self.second(before))


class Twice(Net):
    """A convolution whose output is used before its activation, too."""

    def forward(self, images):
        before = self.first(images)
        return self.act(before) - self.norm1(before)


class Broadcast(Net):
    def forward(self, images):
        return self.second(self.first(images)) + self.first(images).mean((2, 3), keepdim=True)


def passed(module, images=IMAGES, precision="fp32"):
    with autocast_for("cpu", precision):
        return module(images)


def number_of_fused(module):
    graph = module.__dict__.get("forward")
    layers = graph.__self__.modules() if graph else []
    return sum(isinstance(layer, FusedConvolution) for layer in layers)


ACTIVATIONS = [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.GELU,
               lambda: nn.GELU("tanh"), lambda: nn.ReLU(inplace=True), lambda: nn.Hardtanh(-2, 3),
               nn.Softplus]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", [Net, Residual, InPlace, Twice, Broadcast])
def test_fused_layers_give_what_the_net_gives(kind, activation):
    net = kind(activation)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    faster = fused(net)
    right = passed(net.double(), IMAGES.double()).float()
    net.float()
    torch.testing.assert_close(passed(faster), right, rtol=1e-4, atol=1e-5)
    error = (passed(faster, precision="bf16").float() - right).norm() / right.norm()
    assert error < 2e-2
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[key])
    assert "forward" not in net.__dict__


def test_a_number_of_the_graph_may_be_added():
    class AddsItsHeight(Net):
        def forward(self, images):
            return self.act(self.first(images) + images.shape[2])

    net = AddsItsHeight()
    torch.testing.assert_close(passed(fused(net)), passed(net))


def test_what_is_fused():
    assert number_of_fused(fused(Net())) == 2
    assert number_of_fused(fused(Residual())) == 2
    assert number_of_fused(fused(Net(padding_mode="reflect"))) == 1
    assert fused(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softplus()).eval())[0].__class__ is nn.Conv2d


def test_a_net_in_training_mode_keeps_its_normalisation():
    net = Net().train()
    assert torch.allclose(passed(fused(net)), passed(net), atol=1e-5)


def test_other_devices_and_gradients_take_the_layers_of_the_net():
    faster = fused(Net())
    with torch.enable_grad():
        assert faster(IMAGES).requires_grad


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_shape_that_comes_again_gives_the_same_bits(precision, monkeypatch):
    monkeypatch.setattr(fused_convolution, "LARGE", 1)
    faster = fused(Residual())
    once, *again = (passed(faster, precision=precision) for _ in range(3))
    assert all(torch.equal(once, values) for values in again)


LAYERS = ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1", "layer2.0.downsample.1"]


def test_layers_together_are_bit_equal_to_each_alone():
    networks = [load_network(f"resnet18:layer={layer}@random:0") for layer in LAYERS]
    together = passed(fused(joint_module(networks)))
    for one, network in zip(together, networks, strict=True):
        assert torch.equal(one, passed(fused(network.module)))
        torch.testing.assert_close(one, passed(network.module), rtol=1e-4, atol=1e-5)


def test_layers_that_take_lists_are_observed_in_the_graph():
    layers = ["features.denseblock1.denselayer2", "features.denseblock1"]
    networks = [load_network(f"densenet121:layer={layer}@random:0") for layer in layers]
    module = joint_module(networks)
    faster = fused(module)
    assert number_of_fused(faster.net) > 5
    for one, other in zip(passed(faster), passed(module), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2", "densenet121", "googlenet"])
def test_nets_of_torchvision(name):
    network = load_network(f"{name}@random:0")
    faster = fused(network.module)
    assert faster is not network.module
    torch.testing.assert_close(passed(faster), passed(network.module), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (1, 3, 75, 98), (1, 3, 97, 70)])
def test_nets_of_timm(shape):
    """With TensorFlow's padding, and batch normalisation that holds its activation."""
    pytest.importorskip("timm")
    module = load_network("timm/tf_efficientnet_lite0@random:0").module
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        passed(fused(module), images), passed(module, images), rtol=1e-3, atol=1e-5
    )
    inner = load_network("timm/tf_efficientnet_lite0:layer=blocks.1.0.bn1.act@random:0").module
    torch.testing.assert_close(
        passed(fused(inner), images), passed(inner, images), rtol=1e-3, atol=1e-5
    )


def test_what_amx_computes_wrongly_is_left_to_the_layers(monkeypatch):
    faster, images = fused(Net()), IMAGES[..., :2]  # of which the stride leaves one column
    taken = []
    at_once = FusedConvolution._at_once

    def noted(self, values, other):
        taken.append(self.convolution.stride)
        return at_once(self, values, other)

    monkeypatch.setattr(FusedConvolution, "_at_once", noted)
    for has_amx, expected in ((False, [(2, 2), (1, 1)]), (True, [(1, 1)])):
        monkeypatch.setattr(fused_convolution, "cpu_has_amx", lambda has_amx=has_amx: has_amx)
        taken.clear()
        passed(faster, images, "bf16")
        assert taken == expected


class OtherOnceTraced(Net):
    """Code that looks at its input, and computes something else where that is a stand-in."""

    def forward(self, images):
        out = self.act(self.first(images))
        return out if isinstance(images, torch.Tensor) else 1.01 * out


class OtherAtOddSizes(Net):
    """Code that looks at the size of its input where that is no stand-in."""

    def forward(self, images):
        if isinstance(images, torch.Tensor) and images.shape[2] % 2:
            images = nn.functional.pad(images, (0, 0, 0, 1), value=1.0)
        return self.act(self.first(images))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_net_that_looks_at_sizes_is_run_as_it_is(precision):
    net = OtherAtOddSizes()
    assert for_inference(net, load_network("resnet18@random:0"), "cpu", precision) is net


def test_layers_are_compared_each_by_itself():
    class TwoMaps(Net):
        def forward(self, images):
            out = self.act(self.first(images))
            return 1e6 * out, out if isinstance(images, torch.Tensor) else 1.01 * out

    net = TwoMaps()
    assert for_inference(net, load_network("resnet18@random:0"), "cpu", "fp32") is net


def only_below_six(images):
    return images.clamp(0, 6)


def test_layers_with_code_of_their_own_are_not_taken_for_torchs():
    class Capped(nn.ReLU):
        forward = staticmethod(only_below_six)

    class Conv2dSame(nn.Conv2d):  # as timm names another one
        def forward(self, images):
            return super().forward(nn.functional.pad(images, (3, 0, 0, 0)))

    changed, patched = Net(Capped), Net()
    changed.first = Conv2dSame(3, 16, 3, stride=2, padding=1).eval()
    patched.act.forward = only_below_six
    patched.first.forward = lambda images: 20 * images[:, :1].expand(-1, 16, -1, -1)
    for net in (changed, patched):
        with torch.no_grad():
            net.first.weight.mul_(40)
        torch.testing.assert_close(passed(fused(net)), passed(net), rtol=1e-4, atol=1e-4)


def test_a_net_that_keeps_values_keeps_no_stand_ins():
    class Keeping(Net):
        mask = None

        def forward(self, images):
            out = self.act(self.first(images))
            if self.mask is None:
                self.mask = torch.ones_like(out[:1, :, :1, :1])
            return out * self.mask if images.shape[2] > 1 else out

    net = Keeping()
    fused(net)
    assert net.mask is None
    assert passed(net).shape == (2, 16, 20, 28)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_form_that_gives_other_numbers_is_not_used(caplog, precision):
    network = load_network("resnet18@random:0")
    for net, is_used in ((Net(), True), (OtherOnceTraced(), False)):
        with caplog.at_level(logging.WARNING):
            ready = for_inference(net, network, "cpu", precision)
        assert (ready is not net) == is_used
        assert ("run layer by layer" in caplog.text) != is_used


class TwoMaps(Net):
    """A layer whose values are small beside those of another, of which the stand-in has others."""

    def forward(self, images):
        out = self.act(self.first(images))
        return [1e6 * out, out if isinstance(images, torch.Tensor) else 2 * out, 0 * out]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_of_several_layers_has_to_be_right(precision):
    net = TwoMaps()
    assert for_inference(net, load_network("resnet18@random:0"), "cpu", precision) is net


class Remembers(Net):
    """A net that keeps what it saw, and computes something once."""

    grid = None

    def __init__(self):
        super().__init__()
        self.seen, self.kept = [], {}

    def forward(self, images):
        self.last = images
        self.seen.append(images.shape)
        if self.grid is None:
            self.grid = self.kept["grid"] = images.mean()
        return self.act(self.first(self.last)) + self.kept["grid"]


def test_a_net_that_keeps_something_is_left_as_it_was():
    net, as_it_was = Remembers(), Remembers()
    fused(net)
    assert vars(net).keys() == vars(as_it_was).keys()
    assert (net.seen, net.kept) == ([], {})
    assert torch.equal(passed(net), passed(as_it_was))


def test_dropout_that_drops_is_left_in_the_net():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.9), nn.ReLU()).eval()
    assert torch.equal(passed(fused(net)) != 0, passed(net) != 0)
    net[1].train()
    assert (passed(fused(net)) == 0).float().mean() > 0.8


def test_where_an_operator_fails_the_layers_of_the_net_are_run(monkeypatch, caplog):
    def failing(*args):
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(FusedConvolution, "_at_once", failing)
    net = Residual()
    faster = fused(net)
    with caplog.at_level(logging.INFO):
        assert all(torch.equal(passed(faster), passed(net)) for _ in range(2))
    assert [record.getMessage() for record in caplog.records] == 2 * [
        "a convolution is run layer by layer: could not create a primitive"
    ]  # once for each of its two


def test_operators_that_torch_lacks_are_not_used(monkeypatch):
    def lacking(*args):
        raise AttributeError("no such operator")

    monkeypatch.setattr(FusedConvolution, "_at_once", lacking)
    net = Net()
    assert for_inference(net, load_network("resnet18@random:0"), "cpu", "fp32") is net


def test_the_user_says_how_many_kernels_are_kept():
    nothing_said, said = {}, {"DNNL_PRIMITIVE_CACHE_CAPACITY": "7"}
    keep_kernels(nothing_said)
    keep_kernels(said)
    assert nothing_said == {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(KEPT_KERNELS)}
    assert said == {"DNNL_PRIMITIVE_CACHE_CAPACITY": "7"}
