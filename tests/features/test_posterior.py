"""What a net sees of a picture, and its posteriors: against slow computations by the definition."""

import numpy as np
import pytest
import torch
import torchvision
from helpers.net_files import MEAN, STD, write_net
from helpers.pictures import write_picture
from PIL import Image

from vggfeat import vgg
from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.ilsvrc.views import HEADS, VIEWS
from vggfeat.features import store
from vggfeat.features.conditions import conditions
from vggfeat.features.crops import centre, grid
from vggfeat.features.extract import extract
from vggfeat.features.heads.posterior import Centre, Crops, Dense
from vggfeat.features.options import Extraction

SIDE = 64  # pixels of the net's input; its feature map has 2 x 2 positions there


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = write_net(tmp_path_factory.mktemp("net") / "net.safetensors", input_size=SIDE)
    return load_network(str(path))


@pytest.fixture(scope="module")
def slow_net(network):
    """The same net with fully connected layers, in float64."""
    return network.net().double()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A wide picture, a high one and one more of the first's shape."""
    folder = tmp_path_factory.mktemp("pictures")
    sizes = [(150, 110), (90, 130), (150, 110)]
    return {f"{i}": write_picture(folder / f"{i}.png", s, seed=i) for i, s in enumerate(sizes)}


def extracted(pictures, network, folder, view, *scales):
    """Posteriors [N, S, K] that extraction stores."""
    head = HEADS[view]
    options = Extraction(scales=scales, mirror=head.mirror)
    done = extract("test", pictures, network, options, folder=folder, head=head)
    return store.read(done.path, list(pictures), scales)


def prepared(path, scale):
    """The rescaled picture [3, h, w] as the net takes it, in float64, by Pillow alone."""
    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    short = min(width, height)
    size = (width * scale // short, height * scale // short)
    pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float64)
    return torch.from_numpy((pixels - MEAN) / STD).permute(2, 0, 1)


@torch.inference_mode()
def slow_dense(net, image):
    """Softmax of the class scores averaged over positions; then over picture and mirror."""
    side, posteriors = SIDE // 32, []
    for one in (image, image.flip(2)):
        pool5 = net.features(one[None])
        rows, columns = pool5.shape[2] - side + 1, pool5.shape[3] - side + 1
        scores = [
            net.classifier(pool5[:, :, y : y + side, x : x + side].flatten(1))[0].numpy()
            for y in range(rows)
            for x in range(columns)
        ]
        exponentials = np.exp(np.mean(scores, axis=0))
        posteriors.append(exponentials / exponentials.sum())
    return np.mean(posteriors, axis=0)


@torch.inference_mode()
def slow_crops(net, image):
    """One forward pass of the net with fully connected layers for each of the 50 crops."""
    posteriors = []
    for y in np.linspace(0, image.shape[1] - SIDE, 5):
        for x in np.linspace(0, image.shape[2] - SIDE, 5):
            upper, left = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
            crop = image[:, upper : upper + SIDE, left : left + SIDE]
            for one in (crop, crop.flip(2)):
                exponentials = np.exp(net(one[None])[0].numpy())
                posteriors.append(exponentials / exponentials.sum())
    assert len(posteriors) == 50
    return np.mean(posteriors, axis=0)


# The dense net.


@torch.inference_mode()
def test_without_padding_the_dense_net_is_the_net_slid_over_the_picture():
    """With 3x3 convolutions a window that is cut out is padded at its own borders and differs."""
    one_by_one = vgg.Configuration("1x1", ((1,), (1,), (1, 1), (1, 1), (1, 1)))
    net = vgg.VGG(one_by_one, num_classes=6, width=0.0625, input_size=64, ceil_mode=False)
    vgg.initialise(net.double().eval(), "glorot", seed=1)
    picture = torch.randn(1, 3, 135, 200, dtype=torch.float64)
    scores = net.dense()(picture)
    assert scores.shape == (1, 6, 3, 5)
    for y in range(3):
        for x in range(5):
            window = picture[:, :, 32 * y : 32 * y + 64, 32 * x : 32 * x + 64]
            torch.testing.assert_close(scores[:, :, y, x], net(window))


@torch.inference_mode()
def test_every_position_of_the_score_map_is_the_classifier_on_its_window_of_pool5(slow_net):
    image = torch.randn(1, 3, 130, 170, dtype=torch.float64)
    pool5, scores = slow_net.features(image), slow_net.dense()(image)
    assert pool5.shape[2:] == (4, 5) and scores.shape[2:] == (3, 4)
    for y in range(3):
        for x in range(4):
            window = pool5[:, :, y : y + 2, x : x + 2].flatten(1)
            torch.testing.assert_close(scores[:, :, y, x], slow_net.classifier(window))


def test_the_dense_posterior_is_softmax_after_the_mean_over_positions(
    tmp_path, pictures, network, slow_net
):
    found = extracted(pictures, network, tmp_path, "dense", 64, 110)
    for row, path in enumerate(pictures.values()):
        for column, scale in enumerate((64, 110)):
            expected = slow_dense(slow_net, prepared(path, scale))
            np.testing.assert_allclose(found[row, column], expected, atol=1e-5)


def test_posteriors_here_would_tell_a_softmax_before_the_mean(pictures, network):
    """Otherwise the test above could not fail."""
    image = prepared(pictures["0"], 110)[None].float()
    with torch.inference_mode():
        scores = network.output_map(image)
        before = scores.softmax(dim=1).mean(dim=(2, 3))
        after = scores.mean(dim=(2, 3)).softmax(dim=1)
    assert (before - after).abs().max() > 1e-3


def test_at_the_input_size_all_views_of_a_square_picture_are_alike(tmp_path, network):
    """One position, 25 times the same crop; the centre view alone has no mirror image."""
    square = {"a": write_picture(tmp_path / "a.png", (SIDE, SIDE), seed=7)}
    dense, crops, middle = (
        extracted(square, network, tmp_path, view, SIDE)[0, 0]
        for view in ("dense", "crops", "centre")
    )
    np.testing.assert_allclose(dense, crops, atol=1e-6)
    assert np.abs(dense - middle).max() > 1e-2


# The grid of crops.


@pytest.mark.parametrize(
    "length, side, expected",
    [
        (256, 224, [0, 8, 16, 24, 32]),
        (512, 224, [0, 72, 144, 216, 288]),
        (341, 224, [0, 29, 59, 88, 117]),  # 117 / 4 = 29.25
        (230, 224, [0, 2, 3, 5, 6]),  # 1.5 goes up, 4.5 too
        (226, 224, [0, 1, 1, 2, 2]),
        (225, 224, [0, 0, 1, 1, 1]),
        (224, 224, [0, 0, 0, 0, 0]),
    ],
)
def test_crops_begin_at_equal_steps_from_edge_to_edge(length, side, expected):
    assert grid(length, side) == expected


def test_crops_of_three_scales_are_150_forward_passes(tmp_path, pictures, network, slow_net):
    """At 64 crops coincide across a side, at 66 two by two; at 110 none does."""
    pictures, scales = dict(list(pictures.items())[:2]), (64, 66, 110)
    found = extracted(pictures, network, tmp_path, "crops", *scales).mean(axis=1)
    for row, path in enumerate(pictures.values()):
        passes = [slow_crops(slow_net, prepared(path, scale)) for scale in scales]
        np.testing.assert_allclose(found[row], np.mean(passes, axis=0), atol=1e-5)


def test_the_centre_view_is_one_crop_at_the_place_of_torchvisions(
    tmp_path, pictures, network, slow_net
):
    found = extracted(pictures, network, tmp_path, "centre", 72)[:, 0]
    for row, path in enumerate(pictures.values()):
        image = prepared(path, 72)
        upper, left = (image.shape[1] - SIDE) // 2, (image.shape[2] - SIDE) // 2
        with torch.inference_mode():
            crop = image[None, :, upper : upper + SIDE, left : left + SIDE]
            expected = slow_net(crop).softmax(dim=1)[0]
        np.testing.assert_allclose(found[row], expected, atol=1e-5)
    even = torch.rand(1, 3, 72, 90)
    theirs = torchvision.transforms.functional.center_crop(even, SIDE)
    assert torch.equal(centre(even, SIDE), theirs)


# What feature files and measurements make of them.


def test_both_is_dense_and_crops():
    assert VIEWS["both"] == VIEWS["dense"] + VIEWS["crops"] == ("dense", "crops")


def test_no_view_is_taken_for_another_in_a_feature_file(network):
    layers = {head(network).layer for head in (Dense, Crops, Centre)}
    assert len(layers | {network.backbone.layer}) == 4
    asked = [conditions("test", network, Extraction(scales=(64,)), one) for one in HEADS.values()]
    assert len({one.digest() for one in asked}) == 3


def test_score_maps_end_in_the_classes_of_the_weights(network):
    assert network.num_outputs == 6 and Dense(network).dim == 6
    assert load_network("vgg11:width=0.0625,input_size=64@random:0").num_outputs == 1000
    assert network.output_map(torch.zeros(1, 3, 64, 96)).shape == (1, 6, 1, 2)


def test_what_relu_does_to_descriptors_leaves_the_posteriors_alone(pictures, network):
    image = prepared(pictures["0"], 64)[None].float()
    before = load_network(f"vgg11:width=0.0625,input_size=64,relu=false@{network.weights_path}")
    before.module  # noqa: B018  its descriptors are read first
    with torch.inference_mode():
        torch.testing.assert_close(before.output_map(image), network.output_map(image))


@torch.inference_mode()
def test_squeezenets_score_map_averaged_is_torchvisions_own_answer():
    network = load_network("squeezenet1_0@random:5")
    theirs = torchvision.models.squeezenet1_0(weights=None).eval()
    theirs.load_state_dict(network.net().state_dict())
    images = torch.randn(1, 3, 224, 224)
    scores = network.output_map(images)
    assert scores.shape == (1, 1000, 13, 13)
    torch.testing.assert_close(scores.mean(dim=(2, 3)), theirs(images), rtol=1e-5, atol=1e-5)
