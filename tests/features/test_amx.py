"""Convolutions in bf16 that processors with AMX compute wrongly."""

from contextlib import nullcontext, suppress

import numpy as np
import pytest
import torch
from helpers.pictures import write_picture
from torch import nn
from torch.nn.functional import conv1d, conv2d, conv3d, conv_transpose2d
from torch.utils._python_dispatch import TorchDispatchMode

from vggfeat import amx
from vggfeat.backbones.exported.backbone import exported_backbone
from vggfeat.backbones.hooks import LayerHooks, probe_shapes
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec
from vggfeat.boxes import NO_BOXES
from vggfeat.features import store
from vggfeat.features.extract import extract
from vggfeat.features.forward import autocast_for
from vggfeat.features.options import Extraction
from vggfeat.pretraining import trainer
from vggfeat.pretraining.colours import Colours
from vggfeat.pretraining.data_loader import MicroBatch
from vggfeat.pretraining.objective import Classification
from vggfeat.pretraining.runtime import Precision

BF16, FP32 = torch.bfloat16, torch.float32
WRONG = [  # images, weights, options
    ((2, 16, 15, 3), (32, 16, 3, 3), {"stride": 2}),
    ((2, 16, 15, 2), (32, 16, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 3, 40, 5), (24, 3, 7, 7), {"stride": 4, "padding": 2}),
    ((32, 17, 9, 2), (5, 17, 2, 2), {"stride": 3}),
    ((2, 8, 20, 5), (16, 8, 1, 4), {"stride": (1, 2)}),
    ((2, 8, 20, 5), (16, 8, 5, 2), {"stride": (2, 4), "padding": (1, 0)}),
    ((2, 8, 20, 6), (16, 8, 3, 3), {"stride": 2, "dilation": 2}),
    ((2, 16, 12, 3), (32, 4, 3, 3), {"stride": 2, "groups": 4}),
    ((2, 16, 12, 3), (16, 1, 3, 3), {"stride": 2, "groups": 16}),
    ((16, 15, 3), (32, 16, 3, 3), {"stride": 2}),  # one picture, without an axis for it
    ((2, 16, 7, 2), (32, 16, 2, 2), {"stride": 2, "padding": "valid"}),
    ((2, 16, 3, 3), (32, 16, 3, 3), {"stride": 2}),  # one row: right, but little to compute
    ((1, 8, 5, 9, 3), (16, 8, 3, 3, 3), {"stride": 2}),
    ((1, 8, 4, 6, 6), (16, 8, 3, 3, 3), {"padding": "same"}),
    ((8, 4, 6, 6), (16, 8, 1, 1, 1), {}),
]
RIGHT = [
    ((2, 16, 15, 5), (32, 16, 3, 3), {"stride": 2}),  # two columns
    ((2, 16, 15, 3), (32, 16, 3, 3), {}),
    ((2, 16, 15, 3), (32, 16, 3, 3), {"stride": (2, 1)}),
    ((2, 16, 15, 2), (32, 16, 1, 1), {"stride": 2}),
    ((2, 16, 15, 1), (32, 16, 3, 1), {"stride": 2}),
    ((2, 16, 3, 15), (32, 16, 3, 3), {"stride": 2}),  # one row, and seven columns
    ((2, 16, 15, 3), (32, 16, 3, 3), {"padding": "same"}),
    ((2, 16, 9), (32, 16, 3), {"stride": 2}),
    ((2, 16, 3), (32, 16, 3), {"stride": 2}),
]


class Convolutions(TorchDispatchMode):
    """Notes in which type convolutions are computed in the end."""

    def __init__(self):
        super().__init__()
        self.forward, self.backward = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "convolution_backward" in func.name():
            self.backward.append(args[0].dtype)
        elif "conv" in func.name():
            assert func in amx.FORWARD
            self.forward.append(args[0].dtype)
            assert args[0].dtype == args[1].dtype
        return func(*args, **(kwargs or {}))


@pytest.fixture
def with_amx(monkeypatch):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": True}
    )


def rounded(shape, seed=0):
    """Random numbers of bf16's, as float32."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(BF16).float()


def operands(case, channels_last=False):
    images, weight, options = case
    images, weight = rounded(images), rounded(weight, 1)
    if channels_last and images.ndim == weight.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, weight, rounded(len(weight), 2), options


def convolved(images, weight, bias, options):
    return {3: conv1d, 4: conv2d, 5: conv3d}[weight.ndim](images, weight, bias, **options)


def assert_rounded(found, exact):
    """Equal but for rounding to bf16, 8 digits, of the result and of what is summed up."""
    assert found.dtype == BF16
    largest = exact.detach().abs().max().item()
    torch.testing.assert_close(found.float(), exact, rtol=2**-7, atol=2**-8 * largest)


@pytest.mark.this_processor
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("case", WRONG + RIGHT, ids=str)
def test_this_processor_convolves_rightly_in_bf16(case, channels_last):
    images, weight, bias, options = operands(case, channels_last)
    exact = convolved(images, weight, bias, options)
    with autocast_for("cpu", "bf16"):
        assert_rounded(convolved(images, weight, bias, options), exact)


@pytest.mark.this_processor
@pytest.mark.parametrize("kernel", [2, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_this_processor_convolves_rightly_whatever_the_sides(kernel, stride):
    for columns in (1, 2, 3):
        for rows in (1, 2, 8, 21):
            sides = [(count - 1) * stride + kernel for count in (rows, columns)]
            case = ((2, 19, *sides), (33, 19, kernel, kernel), {"stride": stride})
            images, weight, bias, options = operands(case)
            exact = convolved(images, weight, bias, options)
            with autocast_for("cpu", "bf16"):
                assert_rounded(convolved(images, weight, bias, options), exact)


@pytest.mark.this_processor
@pytest.mark.parametrize("case", WRONG + RIGHT, ids=str)
def test_this_processors_gradients_are_right_in_bf16(case):
    assert_gradients(case)


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_gradients_of_what_is_in_fp32_are_those_of_fp32(case, with_amx):
    with Convolutions() as seen:
        assert_gradients(case)
    assert seen.forward == [FP32, FP32] and seen.backward == [FP32, FP32]


@pytest.mark.parametrize("case", RIGHT, ids=str)
def test_gradients_of_the_others_stay_in_bf16(case, with_amx):
    with Convolutions() as seen:
        assert_gradients(case)
    assert seen.forward == [FP32, BF16] and seen.backward == [FP32, BF16]


def assert_gradients(case):
    """Of a convolution as an update of pretraining makes it, against fp32."""
    *tensors, options = operands(case)
    tensors = [tensor.requires_grad_() for tensor in tensors]
    exact = convolved(*tensors, options)
    above = rounded(exact.shape, 3)
    expected = torch.autograd.grad(exact, tensors, above)
    precision = Precision("cpu", bf16=True)
    with precision.forward():
        output = convolved(*tensors, options)
    with precision.backward():
        found = torch.autograd.grad(output, tensors, above.to(BF16))
    assert_rounded(output, exact)
    for gradient, right in zip(found, expected, strict=True):
        assert gradient.dtype == FP32
        assert_rounded(gradient.to(BF16), right)


@pytest.mark.parametrize("around", [nullcontext, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(
    "case, dtype", [*((c, FP32) for c in WRONG), *((c, BF16) for c in RIGHT)], ids=str
)
def test_what_amx_computes_wrongly_and_nothing_else_is_in_fp32(case, dtype, around, with_amx):
    images, weight, bias, options = operands(case)
    exact = convolved(images, weight, bias, options)
    with around(), Convolutions() as seen:
        with autocast_for("cpu", "bf16"), autocast_for("cpu", "bf16"):
            found = convolved(images, weight, bias, options)
    assert seen.forward == [dtype]
    assert_rounded(found, exact)
    if dtype == FP32:
        assert torch.equal(found, exact.to(BF16))


def test_inference_mode_inside_changes_nothing(with_amx):
    for case, dtype in ((WRONG[0], FP32), (WRONG[10], FP32), (WRONG[13], FP32), (RIGHT[6], BF16)):
        images, weight, bias, options = operands(case)
        with Convolutions() as seen, autocast_for("cpu", "bf16"), torch.inference_mode():
            found = convolved(images, weight, bias, options)
        assert seen.forward == [dtype] and found.dtype == BF16


def test_arguments_may_be_given_in_any_way(with_amx):
    images, weight, bias, _ = operands(WRONG[0])
    with Convolutions() as seen, autocast_for("cpu", "bf16"):
        torch.conv2d(images, weight, bias, 2)
        torch.conv2d(input=images, weight=weight, stride=[2, 2], padding=0)
        torch.convolution(images, weight, None, [2], [0], [1], False, [0], 1)
        torch.ops.aten.conv2d(images.to(BF16), weight.to(BF16), None, [2, 2])
        torch.ops.aten.convolution.default(
            images.to(BF16), weight.to(BF16), None, [2, 2], [0, 0], [1, 1], False, [0, 0], 1
        )
    assert seen.forward == [FP32] * 5


def test_transposed_convolutions_are_left_as_they_are(with_amx):
    images, weight = rounded((2, 16, 9, 1)), rounded((16, 8, 3, 3))
    with Convolutions() as seen, autocast_for("cpu", "bf16"):
        conv_transpose2d(images, weight, stride=2)
    assert seen.forward == [BF16]


def test_a_mode_is_entered_once_and_only_where_it_is_needed(monkeypatch, with_amx):
    def entered(device, bf16=True):
        return not isinstance(amx.right_convolutions(device, bf16=bf16), nullcontext)

    assert entered("cpu")
    assert not entered("cuda") and not entered("cpu", bf16=False)
    with autocast_for("cpu", "fp32"):
        assert entered("cpu")
    with autocast_for("cpu", "bf16"):
        assert not entered("cpu")
    with suppress(KeyError), autocast_for("cpu", "bf16"):
        raise KeyError
    assert entered("cpu")
    for capabilities in ({"avx512_bf16": True, "amx_bf16": False}, {}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert not entered("cpu")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not entered("cpu")


class Strided(nn.Module):
    """A net whose last map has one column and several rows."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.second = nn.Conv2d(16, 8, (3, 16), stride=4, padding=1)

    def forward(self, images):
        return self.second(self.first(images).relu()).relu()


def strided():
    torch.manual_seed(0)
    return Strided().eval()


def test_layers_are_found_by_hooks_as_elsewhere(with_amx):
    net, images = strided(), rounded((2, 3, 32, 32))
    hooks = LayerHooks(net, ["first", "second"], probe_shapes(net, 32))
    with autocast_for("cpu", "fp32"):
        exact = hooks(images)
    with Convolutions() as seen, autocast_for("cpu", "bf16"):
        found = hooks(images)
    assert seen.forward == [BF16, FP32]
    assert [tuple(one.shape) for one in found] == [(2, 16, 16, 16), (2, 8, 4, 1)]
    for one, right in zip(found, exact, strict=True):
        torch.testing.assert_close(one.float(), right, rtol=0.05, atol=0.02)


class InBf16(nn.Module):
    """A net that a program in bf16 is made of."""

    def __init__(self):
        super().__init__()
        self.net = strided().to(BF16)

    def forward(self, images: torch.Tensor):
        return self.net(images.to(torch.bfloat16)).float()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("kind", ["pt2", "script", "trace"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_programs_in_bf16_are_right_at_any_precision(kind, precision, tmp_path, with_amx):
    """Autocast does not reach them, and nor does --precision."""
    example, path = torch.zeros(2, 3, 32, 32), tmp_path / ("net.pt2" if kind == "pt2" else "net.pt")
    match kind:
        case "pt2":
            torch.export.save(torch.export.export(InBf16().eval(), (example,)), path)
        case "script":
            torch.jit.save(torch.jit.script(InBf16().eval()), path)
        case "trace":
            torch.jit.save(torch.jit.trace(InBf16().eval(), example), path)
    backbone = exported_backbone(NetSpec(weights=str(path), input_size=32))
    module = backbone.to_maps(backbone.build(None), [backbone.layer_name])
    images = rounded((2, 3, 32, 32))
    with autocast_for("cpu", precision):
        module(images)  # the first batch is run again, to see that it gives the same
    with Convolutions() as seen, autocast_for("cpu", precision):
        (found,) = module(images)
    assert seen.forward == [BF16, FP32] and found.dtype == FP32
    torch.testing.assert_close(found, strided()(images), rtol=0.05, atol=0.02)


def descriptors(folder, precision):
    """Of tall and narrow pictures, whose last maps have one column."""
    pictures = {str(i): write_picture(folder / f"{i}.png", (40, 420), seed=i) for i in range(2)}
    options = Extraction(scales=(32,), precision=precision, device="cpu")
    network = load_network("resnet18@random:0")
    extracted = extract("test", pictures, network, options, folder=folder / precision)
    return store.read(extracted.path, list(pictures), (32,))[:, 0]


def cosines(one, other):
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.this_processor
def test_descriptors_of_narrow_pictures_are_right_on_this_processor(tmp_path):
    fp32, auto = (descriptors(tmp_path, precision) for precision in ("fp32", "auto"))
    assert np.isfinite(auto).all() and cosines(fp32, auto).min() > 0.9999


def test_descriptors_of_narrow_pictures_are_right_with_amx(tmp_path, with_amx):
    with Convolutions() as seen:
        fp32, auto = (descriptors(tmp_path, precision) for precision in ("fp32", "auto"))
    assert cosines(fp32, auto).min() > 0.9999
    assert BF16 in seen.forward
    half = len(seen.forward) // 2
    assert 0 < seen.forward[half:].count(FP32) < seen.forward[half:].count(BF16)


class Small(nn.Module):
    """What an update takes, with a layer that is wrong in bf16."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=4), nn.ReLU(), nn.Conv2d(16, 8, (1, 2), stride=2), nn.ReLU(),
            nn.Flatten(), nn.LazyLinear(3),
        )  # fmt: skip

    def forward(self, images):
        return self.layers(images)


GREY = Colours(mean=(128.0,) * 3, eigenvalues=(0.0,) * 3, eigenvectors=((0.0,) * 3,) * 3)


def test_an_update_in_bf16_goes_along_the_gradient_of_fp32(monkeypatch, with_amx):
    monkeypatch.setattr(trainer, "seed_dropout", lambda *rest: None)  # it has no dropout
    pixels = np.random.default_rng(0).integers(0, 256, (4, 11, 11, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 1])
    shifts, boxes = np.zeros((4, 3), np.float32), np.repeat(NO_BOXES[None], 4, axis=0)
    batch = MicroBatch(pixels, shifts, labels, boxes, slice(0, 4), 4)
    torch.manual_seed(0)
    net = Small()
    net(torch.zeros(1, 3, 11, 11))
    for parameter in net.parameters():
        parameter.data *= 0.3

    def gradients(bf16):
        net.zero_grad()
        trainer.Trainer(
            net=net,
            objective=Classification(3),
            optimiser=torch.optim.SGD(net.parameters(), lr=0.0),
            colours=GREY,
            precision=Precision("cpu", bf16),
            device=torch.device("cpu"),
        ).update([batch], step=0)
        return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}

    exact = gradients(bf16=False)
    with Convolutions() as seen:
        found = gradients(bf16=True)
    assert seen.forward == [BF16, FP32] and seen.backward == [FP32, BF16]
    for name, right in exact.items():
        assert right.norm() > 0
        assert (found[name] - right).norm() < 0.03 * right.norm(), name
