"""Folders named by numbers, by English names or by WordNet ids, and nets that name no classes."""

import pytest
from helpers.net_files import write_net
from helpers.pictures import write_classes

from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import parse_fusion
from vggfeat.benchmarks.ilsvrc.class_order import are_numbers, basis_of_order, check_order
from vggfeat.benchmarks.ilsvrc.test_set import open_test_set
from vggfeat.errors import DatasetError
from vggfeat.storage.folders import folders
from vggfeat.weights.torchvision import imagenet_classes

TWELVE = dict.fromkeys(map(str, range(12)), 1)


@pytest.fixture(scope="module")
def unnamed():
    """A net whose weights do not name their classes."""
    (spec,) = parse_fusion("vgg11:width=0.0625,input_size=32@random:0")
    return load_network(spec, weights_dir=folders().weights)


def test_folders_named_by_numbers_are_classes_of_these_numbers(tmp_path, unnamed):
    write_classes(tmp_path / "val", TWELVE)
    test_set = open_test_set(tmp_path, [unnamed], None)
    assert test_set.pictures.classes == tuple(map(str, range(12)))
    assert test_set.labels == {f"val/{n}/image_0001.jpg": n for n in range(12)}


def test_leading_zeros_do_not_matter(tmp_path, unnamed):
    write_classes(tmp_path / "val", {f"{n:03}": 1 for n in range(12)})
    assert open_test_set(tmp_path, [unnamed], None).labels["val/010/image_0001.jpg"] == 10


@pytest.mark.parametrize("names", [["1", "2", "3"], ["0", "1", "3"], ["0", "00"], ["0", "a"]])
def test_other_numbers_are_names(names):
    assert not are_numbers(names)
    assert basis_of_order(names) == "the order of the folders' names"


def test_a_net_is_not_scored_in_the_order_of_another_beside_it(unnamed):
    with pytest.raises(DatasetError, match="'10' third, not 2"):
        check_order(unnamed, sorted(TWELVE))


def test_english_names_of_ilsvrcs_classes_are_refused_as_their_order_is_another(unnamed):
    names = [f"{name} {n}" if n % 3 == 0 else name for n, name in enumerate(imagenet_classes())]
    with pytest.raises(DatasetError, match="WordNet ids") as caught:
        check_order(unnamed, sorted(names))
    assert "\n" not in str(caught.value)


def test_wordnet_ids_and_names_of_ones_own_are_not(unnamed):
    check_order(unnamed, [f"n{n:08}" for n in range(1000)])
    check_order(unnamed, [f"kind {n:03}" for n in range(1000)])


def test_a_card_says_how_its_net_numbers_such_folders(tmp_path):
    names = sorted(TWELVE)  # as text, which is how training numbered them: 0, 1, 10, 11, 2, ...
    write_classes(tmp_path / "val", TWELVE)
    write_net(tmp_path / "net.safetensors", names)
    (spec,) = parse_fusion(str(tmp_path / "net.safetensors"))
    network = load_network(spec, weights_dir=folders().weights)
    assert open_test_set(tmp_path, [network], None).labels["val/10/image_0001.jpg"] == 2
