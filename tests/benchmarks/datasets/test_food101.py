"""Food-101 as it lies on disk, as it is distributed, and as torchvision reads it."""

import json
from collections import Counter

import pytest
from helpers.dishes import DISHES, pack_dishes, write_dishes
from helpers.loaders import (
    assert_same_as_loader,
    fetched_by,
    records_of_bench,
    state_counts,
    stated_by,
)

from vggfeat.benchmarks.datasets.food101 import FOOD101
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def dishes(tmp_path_factory):
    return write_dishes(tmp_path_factory.mktemp("data"))


def load(data, cache):
    return load_benchmark("food101", places=Folders(data, cache), offline=True)


def test_pictures_and_labels_are_those_of_torchvisions_loader(dishes, tmp_path):
    from torchvision.datasets import Food101

    bench = load(dishes.parent, tmp_path)
    for name, count in (("train", 5), ("test", 2)):
        loader = Food101(dishes.parent, split=name)
        assert len(loader) == count * len(DISHES)
        assert_same_as_loader(bench, name, loader)
    assert bench.classes == DISHES and len(bench.ids) == 7 * len(DISHES)


def test_sets_are_those_of_the_text_lists_too(dishes, tmp_path):
    """train.txt and test.txt say the same as the JSON that torchvision reads."""
    bench = load(dishes.parent, tmp_path)
    for name in ("train", "test"):
        listed = (dishes / "meta" / f"{name}.txt").read_text().split()
        assert [bench.ids[row] for row in bench.sets[name]] == [f"images/{i}.jpg" for i in listed]
    for picture, labels in zip(bench.ids, bench.labels, strict=True):
        assert bench.classes[labels.argmax()] == picture.split("/")[1]


def test_a_fifth_of_each_dish_validates(dishes, tmp_path):
    bench = load(dishes.parent, tmp_path)
    (split,) = bench.splits
    of_class = Counter(bench.labels[split.validation].argmax(axis=1).tolist())
    assert of_class == dict.fromkeys(range(len(DISHES)), 1)
    assert set(split.both) == set(bench.sets["train"])
    assert bench.protocol["validation"] == "drawn from train"
    assert bench.task.metric == "accuracy" and bench.scales == (256,)


@pytest.mark.parametrize("place", ["", "food101", "food-101"])
def test_the_archive_gives_the_same_benchmark(dishes, tmp_path, place):
    pack_dishes(dishes, tmp_path / "data" / place)
    packed = load(tmp_path / "data", tmp_path / "cache")
    whole = load(dishes.parent, tmp_path)
    assert packed.ids == whole.ids and packed.splits_sha256 == whole.splits_sha256
    assert (packed.labels == whole.labels).all()


def test_address_and_digest_are_torchvisions(tmp_path):
    from torchvision.datasets import Food101

    assert stated_by(FOOD101) == fetched_by(Food101, tmp_path, {})


def test_a_list_that_is_cut_short_is_told_in_a_line(tmp_path):
    root = write_dishes(tmp_path)
    path = root / "meta" / "test.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(DatasetError, match="Food101, split test cannot be read there: JSONDecode"):
        load(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("name", ["../../secret", "apple_pie/../../../secret", "apple_pie/a\0"])
def test_a_list_that_leads_elsewhere_is_refused(tmp_path, name):
    """As torchvision joins whatever the list names to the folder of pictures."""
    path = write_dishes(tmp_path) / "meta" / "train.json"
    listed = json.loads(path.read_text())
    listed["apple_pie"].append(name)
    path.write_text(json.dumps(listed))
    with pytest.raises(DatasetError, match="food-101: a list names '.*jpg'. Fetch the dataset"):
        load(tmp_path, tmp_path / "cache")


def test_counts_are_compared(dishes, tmp_path, run, monkeypatch):
    where = ("--data-dir", dishes.parent, "--cache-dir", tmp_path)
    differing = run("datasets", "verify", "food101", *where)
    assert differing.exit_code == 1 and "  train: 15 found, 75,750 known" in differing.stdout
    state_counts(monkeypatch, "food101", {"train": (3, 5), "test": (3, 2)})
    whole = run("datasets", "verify", "food101", *where)
    assert whole.exit_code == 0, whole.stdout
    assert "food101: 8 of 8 counts as known" in whole.stdout


def test_measured_from_the_command_line(dishes, tmp_path, run):
    (record,) = records_of_bench(run, ["food101"], dishes.parent, tmp_path)
    assert record["metric"] == "accuracy" and record["limited"]
    assert record["protocol"]["images"] == 3 * (4 + 2)
    assert record["protocol"]["scales"] == [256]
    assert record["protocol"]["validation_share"] == 0.2
