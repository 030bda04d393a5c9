"""What a net sees of a picture, and several layers in one pass, by computing each by hand."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from helpers.interrupts import interrupted_at
from helpers.pictures import NARROW, write_picture
from PIL import Image
from torch import nn

from vggfeat.backbones import factory
from vggfeat.backbones.fused_convolution import FusedConvolution
from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import joint_module, sharing_forward
from vggfeat.errors import NetworkError, OptionError, PictureError
from vggfeat.features import store
from vggfeat.features.conditions import check_scales, conditions
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction

MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
SIZES = [(48, 36), (40, 60), (37, 37), (90, 31)]
NAME = NARROW.partition("@")[0]


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures in four shapes, id -> path."""
    return {
        f"{i}": write_picture(tmp_path / "pictures" / f"{i}.png", SIZES[i % 4], seed=i)
        for i in range(8)
    }


def linear():
    """A net of one size: each of 8 numbers is a weighted sum of the pixels of 32x32."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))
    generator = torch.Generator().manual_seed(0)
    nn.init.normal_(net[1].weight, std=0.02, generator=generator)
    nn.init.normal_(net[1].bias, generator=generator)
    return net


@pytest.fixture
def fixed(monkeypatch):
    """The specification of `linear` with a view, to be filled in."""
    monkeypatch.setattr(factory, "build", lambda name: linear().eval())
    return "test_layers_and_views:linear:input_size=32,view={}"


def stored(path, pictures, scales):
    return store.read(path, list(pictures), scales)


def run(pictures, folder, net, shared_with=(), **options):
    network = load_network(net)
    options = Extraction(**({"scales": (40,)} | options))
    others = [load_network(other) for other in shared_with]
    return extract("test", pictures, network, options, folder=folder, shared_with=others)


def by_hand(path, scale, view, *, mirror):
    """Descriptor of `linear`: PIL for the sizes, numpy for the crops and the sums."""
    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    if view == "resized":
        size = (scale, scale)
    elif width <= height:
        size = (scale, int(scale * height / width))
    else:
        size = (int(scale * width / height), scale)
    pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).astype(np.float64)
    pixels = (pixels - MEAN) / STD
    bottom, right = pixels.shape[0] - 32, pixels.shape[1] - 32
    places = [(bottom // 2, right // 2)]
    if view == "corners":
        places += [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    seen = [pixels[y : y + 32, x : x + 32] for y, x in places]
    if mirror:
        seen += [crop[:, ::-1] for crop in seen]
    layer = linear()[1]
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    flat = np.stack([crop.transpose(2, 0, 1).ravel() for crop in seen])
    return (flat @ weight.T + bias).mean(axis=0)


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize(
    "view, scales",
    [("centre", (32, 45)), ("corners", (32, 45)), ("resized", (32,))],
)
def test_views_of_a_net_of_one_size(tmp_path, pictures, fixed, view, scales, mirror):
    found = run(pictures, tmp_path, fixed.format(view), scales=scales, mirror=mirror)
    descriptors = stored(found.path, pictures, scales)
    for row, path in enumerate(pictures.values()):
        for column, scale in enumerate(scales):
            expected = by_hand(path, scale, view, mirror=mirror)
            np.testing.assert_allclose(descriptors[row, column], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("view", ["centre", "corners", "resized"])
def test_views_of_a_net_of_any_size(tmp_path, pictures, view):
    """Crops and squares go through the dense net, whose map is averaged."""
    found = run(pictures, tmp_path, f"{NAME},view={view}@random:0", scales=(40, 64), mirror=False)
    descriptors = stored(found.path, pictures, (40, 64))
    net = load_network(NARROW).net().dense()
    for row, path in enumerate(pictures.values()):
        picture = Image.open(path).convert("RGB")
        for column, scale in enumerate((40, 64)):
            width, height = picture.size
            short = min(width, height)
            size = (scale * width // short, scale * height // short)
            if view == "resized":
                size = (scale, scale)
            pixels = torch.from_numpy(np.array(picture.resize(size, Image.Resampling.BILINEAR)))
            image = pixels.permute(2, 0, 1)[None] - torch.tensor([123.68, 116.779, 103.939]).view(
                1, 3, 1, 1
            )
            right, bottom = size[0] - 32, size[1] - 32
            places = {
                "resized": [(0, 0, size[1], size[0])],
                "centre": [(bottom // 2, right // 2, 32, 32)],
                "corners": [
                    (y, x, 32, 32)
                    for y, x in [(0, 0), (0, right), (bottom, 0), (bottom, right),
                                 (bottom // 2, right // 2)]
                ],
            }[view]  # fmt: skip
            with torch.inference_mode():
                seen = [
                    net.descriptor_map(image[:, :, y : y + h, x : x + w]).mean(dim=(2, 3))[0]
                    for y, x, h, w in places
                ]
            expected = torch.stack(seen).mean(dim=0).numpy()
            np.testing.assert_allclose(descriptors[row, column], expected, rtol=1e-4, atol=1e-4)


def test_feature_files_name_the_view_and_none_serves_for_another(tmp_path, pictures):
    options = Extraction(scales=(40,))
    specifications = [NARROW, *(f"{NAME},view={v}@random:0" for v in ("centre", "corners"))]
    specifications += [f"{NAME},view=resized@random:0", f"{NAME},layer=fc6@random:0"]
    asked = [conditions("d", load_network(text), options) for text in specifications]
    assert [one.layer for one in asked] == [
        "fc7", "fc7, centre crop of 32", "fc7, centre and corner crops of 32",
        "fc7, resized to a square", "fc6",
    ]  # fmt: skip
    assert len({one.digest() for one in asked}) == 5
    paths = {run(pictures, tmp_path, text).path for text in specifications}
    assert len(paths) == 5
    for text, one in zip(specifications, asked, strict=True):
        again = run(pictures, tmp_path, text)
        assert again.num_new == 0
        with h5py.File(again.path) as file:
            assert file.attrs["layer"] == one.layer


@pytest.mark.parametrize(
    "net, scales, message",
    [
        (f"{NAME},view=centre,layer=conv5_2@random:0", (31,), "scale 31 .* at least 32"),
        # Dense, this layer would take 40; the crops are of 64.
        (
            "vgg11:width=0.0625,input_size=64,view=centre,layer=conv5_2@random:0",
            (40,),
            "scale 40 .* at least 64",
        ),
        (f"{NAME},view=resized@random:0", (24, 40), "scale 24 .* at least 32"),
        ("fixed:centre", (31, 64), "scale 31 is too small .* at least 32"),
        ("fixed:resized", (40,), "takes squares of 32 only: give --scales 32, or view=centre"),
        ("fixed:resized", (32, 64), "takes squares of 32 only"),
        ("fixed:resized", (16,), "scale 16 is too small"),
    ],
)
def test_scales_that_do_not_fit_the_view_are_refused(
    tmp_path, pictures, fixed, net, scales, message
):
    if net.startswith("fixed"):
        net = fixed.format(net.partition(":")[2])
    with pytest.raises(OptionError, match=message):
        run(pictures, tmp_path, net, scales=scales)
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize(
    "net, fitting, other",
    [
        ("fixed:resized", (32,), (33,)),
        ("fixed:corners", (32, 512), (31, 512)),
        (f"{NAME},view=resized@random:0", (32, 77), (32, 31)),
    ],
)
def test_scales_that_fit_are_taken_and_a_pixel_beside_them_not(fixed, net, fitting, other):
    view = net.removeprefix("fixed:")
    network = load_network(net if view == net else fixed.format(view))

    def is_refused(scales):
        try:
            return check_scales(network, Extraction(scales=scales)) is not None
        except OptionError:
            return True

    assert not is_refused(fitting) and is_refused(other)


def test_a_net_of_one_size_has_no_dense_view(fixed):
    assert load_network(fixed.partition(",")[0]).backbone.view == "centre"
    with pytest.raises(NetworkError, match="no dense view of it.*view=resized"):
        load_network(fixed.format("dense"))


LAYERS = [
    f"{NAME}@random:0", f"{NAME},layer=pool4@random:0", f"{NAME},layer=fc6,relu=false@random:0",
    f"{NAME},layer=conv3_1@random:0", f"{NAME},layer=fc8@random:0",
]  # fmt: skip


def test_layers_of_the_family_against_its_modules():
    """Before a ReLU or after it, whatever works in place."""
    images = torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    net = load_network(NARROW).net()
    positions = {"conv1_1": (0, 1), "conv3_1": (6, 7), "conv5_2": (18, 19)}
    assert [type(net.features[i]) for i, _ in positions.values()] == [nn.Conv2d] * 3
    with torch.inference_mode():
        for layer, (conv, relu) in positions.items():
            for text, end in ((f"layer={layer}", relu), (f"layer={layer},relu=false", conv)):
                expected = net.features[: end + 1](images)
                network = load_network(f"{NAME},{text}@random:0")
                torch.testing.assert_close(network.module(images), expected)
                assert network.backbone.dim == expected.shape[1]
        pooled = net.features[:16](images)
        assert isinstance(net.features[15], nn.MaxPool2d)
        torch.testing.assert_close(load_network(LAYERS[1]).module(images), pooled)


def test_layers_together_are_bit_equal_to_each_alone():
    networks = [load_network(text) for text in LAYERS]
    images = torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for one, network in zip(joint_module(networks)(images), networks, strict=True):
            assert torch.equal(one, network.module(images))
            assert one.shape[1] == network.backbone.dim


def test_files_of_layers_together_equal_those_of_each_alone(tmp_path, pictures, monkeypatch):
    passes = []
    convolve = FusedConvolution.forward

    def counted(self, images, *other):
        passes.extend([1] if self.convolution.in_channels == 3 else [])
        return convolve(self, images, *other)

    monkeypatch.setattr(FusedConvolution, "forward", counted)
    run(pictures, tmp_path / "one", LAYERS[0])
    in_one = len(passes)
    first = run(pictures, tmp_path / "all", LAYERS[0], LAYERS[1:])
    assert len(passes) == 2 * in_one and first.num_new == 8
    for text in LAYERS:
        alone = run(pictures, tmp_path / "alone", text)
        found = run(pictures, tmp_path / "all", text)
        assert found.num_new == 0 and found.path.name == alone.path.name
        assert np.array_equal(
            stored(found.path, pictures, (40,)), stored(alone.path, pictures, (40,))
        )
        assert store.inspect(found.path).conditions == store.inspect(alone.path).conditions
        assert found.path.name.startswith("test-vgg11")


@pytest.mark.parametrize("num_layers", [2, 3])
def test_one_file_complete_and_another_half_done(tmp_path, pictures, num_layers):
    whole = [run(pictures, tmp_path / "whole", text, batch_size=1) for text in LAYERS[:num_layers]]
    networks = [load_network(text) for text in LAYERS[:num_layers]]
    options = Extraction(scales=(40,), batch_size=1)

    with interrupted_at(3):
        extract("test", pictures, networks[0], options, folder=tmp_path, shared_with=networks[1:])
    done = [store.inspect(path).num_done for path in tmp_path.glob("*.h5")]
    assert done == [3] * num_layers
    assert run(pictures, tmp_path, LAYERS[0], batch_size=1).num_new == 5  # now it is complete
    rest = extract("test", pictures, networks[1], options, folder=tmp_path,
                   shared_with=sharing_forward(networks[1], networks))  # fmt: skip
    assert rest.num_new == 5
    for one, text in zip(whole, LAYERS[:num_layers], strict=True):
        found = run(pictures, tmp_path, text, batch_size=1)
        assert found.num_new == 0
        assert np.array_equal(
            stored(found.path, pictures, (40,)), stored(one.path, pictures, (40,))
        )


def test_what_one_file_has_and_another_lacks(tmp_path, pictures):
    """Each picture that any of them lacks goes through the net; what is there stays."""
    few = dict(list(pictures.items())[:3])
    before = run(few, tmp_path, LAYERS[0], batch_size=1)
    old = stored(before.path, few, (40,))
    both = run(pictures, tmp_path, LAYERS[0], LAYERS[1:2], batch_size=1)
    assert both.num_new == 8 and both.path == before.path
    assert np.array_equal(stored(both.path, few, (40,)), old)
    other = run(pictures, tmp_path, LAYERS[1], batch_size=1)
    alone = run(pictures, tmp_path / "alone", LAYERS[1], batch_size=1)
    assert other.num_new == 0
    assert np.array_equal(stored(other.path, pictures, (40,)), stored(alone.path, pictures, (40,)))


@pytest.mark.parametrize("keep", [0, 120])
def test_unreadable_pictures_are_skipped_in_every_layers_file(tmp_path, pictures, keep):
    pictures["5"].write_bytes(pictures["5"].read_bytes()[:keep])
    with pytest.raises(PictureError, match="--on-error skip"):
        run(pictures, tmp_path, LAYERS[0], LAYERS[1:2])
    found = run(pictures, tmp_path, LAYERS[0], LAYERS[1:2], on_error="skip")
    assert list(found.skipped) == ["5"]
    files = list(tmp_path.glob("*.h5"))
    assert len(files) == 2 and {store.inspect(file).num_done for file in files} == {7}


def test_a_scale_that_is_too_small_for_a_layer_beside_is_refused_before_any_file(
    tmp_path, pictures
):
    big = "vgg11:width=0.0625,input_size=64"
    with pytest.raises(OptionError, match="scale 40 is too small .* at least 64"):
        run(pictures, tmp_path, f"{big},layer=conv5_1@random:0", [f"{big}@random:0"])
    assert not list(tmp_path.glob("*.h5"))
    run(pictures, tmp_path, f"{big},layer=conv5_1@random:0")


def test_siblings_are_the_other_layers_once():
    networks = [load_network(text) for text in (*LAYERS[:3], LAYERS[1])]
    others = [load_network(f"{NAME}@random:1"), load_network(f"{NAME},view=centre@random:0")]
    found = sharing_forward(networks[0], [*networks, *others])
    assert [one.name for one in found] == [networks[1].name, networks[2].name]


WORK = """
import sys, time
from pathlib import Path
from vggfeat.backbones.load import load_network
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction

me, other, folder, first, second = sys.argv[1:]
folder = Path(folder)
pictures = {path.stem: path for path in sorted((folder / "pictures").glob("*.png"))}
networks = [load_network(first), load_network(second)]
(folder / me).touch()
while not (folder / other).exists():
    time.sleep(0.01)
options = Extraction(scales=(40, 64), batch_size=1, precision="fp32")  # as the tests' own process
extract("test", pictures, networks[0], options, folder=folder, shared_with=networks[1:])
"""


@pytest.mark.slow
def test_two_processes_with_the_same_layers_in_another_order_end(tmp_path, pictures):
    orders = [("a", "b", LAYERS[0], LAYERS[1]), ("b", "a", LAYERS[1], LAYERS[0])]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, me, other, str(tmp_path), *layers],
            stderr=subprocess.PIPE, text=True,
        )
        for me, other, *layers in orders
    ]  # fmt: skip
    try:
        for process in started:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr
    finally:
        for process in started:
            process.kill()
    for text in LAYERS[:2]:
        found = run(pictures, tmp_path, text, scales=(40, 64), batch_size=1)
        alone = run(pictures, tmp_path / "alone", text, scales=(40, 64), batch_size=1)
        assert found.num_new == 0
        assert np.array_equal(
            stored(found.path, pictures, (40, 64)), stored(alone.path, pictures, (40, 64))
        )
