"""Heads of boxes: values of each picture's class, position by position, against the net's map."""

import numpy as np
import pytest
import torch
from helpers.net_files import write_net
from helpers.pictures import write_picture

from vggfeat import images
from vggfeat.backbones.load import load_network
from vggfeat.errors import NetworkError
from vggfeat.features import store
from vggfeat.features.extract import extract
from vggfeat.features.forward import to_input
from vggfeat.features.heads.box import CentreBox, DenseBoxes, DensePosteriors, Labels
from vggfeat.features.options import Extraction

SIZES = {"wide": (100, 40), "tall": (40, 100), "small": (64, 64)}  # at 40: 3, 3 and 1 positions
LABELS = Labels({"wide": 0, "tall": 3, "small": 5}, "abc")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return {i: write_picture(folder / f"{i}.png", size) for i, size in SIZES.items()}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Nets of random weights: one box a class, one box for all, six classes."""
    folder = tmp_path_factory.mktemp("nets")
    outputs = {"pcr": 24, "scr": 4, "classes": 6}
    return {
        name: load_network(
            str(write_net(folder / f"{name}.safetensors", num_outputs=count, input_size=32))
        )
        for name, count in outputs.items()
    }


def extracted(head, network, pictures, folder, scale):
    """Vectors [N, D] of the pictures."""
    options = Extraction(scales=(scale,), mirror=False)
    result = extract("test", pictures, network, options, folder=folder, head=head)
    return store.read(result.path, list(pictures), (scale,))[:, 0]


@torch.no_grad()
def output_map(network, path, scale):
    """What the net's last layer gives for a whole picture: [outputs, h, w]."""
    (array,) = images.load_batch([path], [scale])
    return network.output_map(to_input(array, network.statistics, "cpu"))[0].numpy()


@pytest.mark.parametrize("kind", ["pcr", "scr"])
def test_dense_boxes_are_those_of_the_class_then_zeros(networks, pictures, tmp_path, kind):
    network = networks[kind]

    def head(net):
        return DenseBoxes(net, LABELS, num_positions=5)

    vectors = extracted(head, network, pictures, tmp_path, 40)
    assert vectors.shape == (3, 4 * 5)
    counts = []
    for (i, path), vector in zip(pictures.items(), vectors, strict=True):
        outputs = output_map(network, path, 40)
        first = 4 * LABELS.numbers[i] if kind == "pcr" else 0
        expected = outputs[first : first + 4].reshape(4, -1)
        count = expected.shape[1]
        np.testing.assert_allclose(vector.reshape(4, 5)[:, :count], expected, atol=1e-5)
        assert not vector.reshape(4, 5)[:, count:].any()
        counts.append(count)
    assert counts == [3, 3, 1]


def test_dense_posteriors_are_the_softmax_at_each_position(networks, pictures, tmp_path):
    network = networks["classes"]

    def head(net):
        return DensePosteriors(net, LABELS, num_positions=4)

    vectors = extracted(head, network, pictures, tmp_path, 40)
    for (i, path), vector in zip(pictures.items(), vectors, strict=True):
        scores = np.exp(output_map(network, path, 40))
        expected = (scores / scores.sum(axis=0))[LABELS.numbers[i]].ravel()
        np.testing.assert_allclose(vector[: len(expected)], expected, atol=1e-5)
        assert not vector[len(expected) :].any()


def test_the_box_of_the_centre_crop_is_that_of_its_only_position(networks, pictures, tmp_path):
    network = networks["pcr"]
    square = {"small": pictures["small"]}
    alone = extracted(lambda net: CentreBox(net, LABELS), network, square, tmp_path, 32)
    dense = extracted(lambda net: DenseBoxes(net, LABELS, 1), network, square, tmp_path, 32)
    assert alone.shape == (1, 4) and np.ptp(alone) > 0
    np.testing.assert_allclose(alone, dense, atol=1e-5)


def test_other_labels_or_positions_are_another_layer(networks):
    network, other = networks["pcr"], Labels(LABELS.numbers, "def")
    layers = [
        head(network, labels, count).layer
        for labels in (LABELS, other)
        for head in (DenseBoxes, DensePosteriors)
        for count in (4, 5)
    ]
    layers += [CentreBox(network, labels).layer for labels in (LABELS, other)]
    assert len(set(layers)) == 10


def test_a_picture_with_more_positions_than_there_is_room_for(networks, pictures, tmp_path):
    with pytest.raises(NetworkError, match="a picture has more than 2 positions"):
        extracted(lambda net: DenseBoxes(net, LABELS, 2), networks["pcr"], pictures, tmp_path, 40)


def test_boxes_are_of_vgg_nets(networks):
    network = load_network("squeezenet1_0@random:0")
    with pytest.raises(NetworkError, match="predicted and scored by the VGG nets only"):
        CentreBox(network, LABELS).module  # noqa: B018
