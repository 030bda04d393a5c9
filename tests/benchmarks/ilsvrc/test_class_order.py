"""Folders named by numbers, by English names or by WordNet ids, and nets that name no classes."""

import pytest
from helpers.net_files import write_net
from helpers.pictures import write_classes

from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import parse_fusion
from vggfeat.benchmarks.ilsvrc.class_checks import check_classes
from vggfeat.benchmarks.ilsvrc.class_order import are_numbers, assumption, check_order
from vggfeat.benchmarks.ilsvrc.test_set import open_test_set
from vggfeat.errors import DatasetError
from vggfeat.records.record import read_all
from vggfeat.records.scores import read_scores
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
    assert "the order of the folders' names is taken" in assumption("a net", names)


def test_a_net_is_not_scored_in_the_order_of_another_beside_it(unnamed):
    with pytest.raises(DatasetError, match="the folder '10' as class 2. Evaluate each"):
        check_order(unnamed, sorted(TWELVE))
    with pytest.raises(DatasetError, match="the folder '11' as class 0"):
        check_order(unnamed, [str(n) for n in range(11, -1, -1)])


def test_numbers_that_do_not_start_at_0_are_refused_where_text_has_them_in_another_order(unnamed):
    with pytest.raises(DatasetError, match="other numbers than 0 to 11, such as '12'"):
        check_order(unnamed, sorted(str(n) for n in range(1, 13)))
    check_order(unnamed, [f"{n:03}" for n in range(1, 13)])  # one order by either reading


def test_english_names_of_ilsvrcs_classes_are_refused_as_their_order_is_another(unnamed):
    names = [f"{name} {n}" if n % 3 == 0 else name for n, name in enumerate(imagenet_classes())]
    with pytest.raises(DatasetError, match="WordNet ids") as caught:
        check_order(unnamed, sorted(names))
    assert "\n" not in str(caught.value)


def test_what_is_taken_for_the_order_is_a_warning_unless_folders_have_wordnet_ids(
    tmp_path, unnamed, caplog
):
    check_classes(unnamed, [f"n{n:08}" for n in range(1000)], tmp_path)
    assert not caplog.messages
    for kind, names in (("names", "kind {:03}"), ("numbers", "{}")):
        check_classes(unnamed, [names.format(n) for n in range(1000)], tmp_path)
        assert f"the order of the folders' {kind} is taken for theirs" in caplog.messages.pop()


def test_a_card_says_how_its_net_numbers_such_folders(tmp_path):
    names = sorted(TWELVE)  # as text, which is how training numbered them: 0, 1, 10, 11, 2, ...
    write_classes(tmp_path / "val", TWELVE)
    write_net(tmp_path / "net.safetensors", names)
    (spec,) = parse_fusion(str(tmp_path / "net.safetensors"))
    network = load_network(spec, weights_dir=folders().weights)
    assert open_test_set(tmp_path, [network], None).labels["val/10/image_0001.jpg"] == 2


def test_the_record_says_so_and_scores_are_of_the_classes_of_these_numbers(run, tmp_path):
    write_classes(tmp_path / "val", TWELVE)
    net = write_net(tmp_path / "bare.safetensors", list(TWELVE), has_card=False)
    name, out = f"vgg11:width=0.0625,input_size=32@{net}", tmp_path / "out"
    result = run(
        "evaluate", "--net", name, "--data", tmp_path, "--views", "centre", "--scales", "32",
        "--out", out, "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0 and "folders' numbers is taken for theirs" in result.stderr
    (record,) = read_all(out)
    assert "folders' numbers is taken for theirs" in record.notes[0]
    (path,) = (out / record.benchmark).glob("*.scores.h5")
    scores = read_scores(path)
    assert scores.classes == tuple(TWELVE)
    assert {i: int(row.argmax()) for i, row in zip(scores.ids, scores.labels, strict=True)} == {
        f"val/{n}/image_0001.jpg": n for n in range(12)
    }
