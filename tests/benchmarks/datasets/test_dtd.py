"""DTD by ten partitions and by one, as it lies on disk and as torchvision reads it."""

import shutil

import pytest
from helpers.loaders import (
    assert_same_as_loader,
    fetched_by,
    records_of_bench,
    state_counts,
    stated_by,
)
from helpers.textures import CLASSES, SETS, pack_textures, write_textures

from vggfeat.benchmarks.datasets.dtd import DTD
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def textures(tmp_path_factory):
    return write_textures(tmp_path_factory.mktemp("data"))


def load(name, data, cache):
    return load_benchmark(name, places=Folders(data, cache), offline=True)


def test_pictures_and_labels_are_those_of_torchvisions_loader(textures, tmp_path):
    from torchvision import datasets

    data = textures.parents[1]
    bench = load("dtd", data, tmp_path)
    assert bench.classes == CLASSES and len(bench.ids) == 18
    for partition in range(1, 11):
        for name in SETS:
            loader = datasets.DTD(data, split=name, partition=partition)
            assert_same_as_loader(bench, f"{name}{partition}", loader)


def test_each_partition_is_a_split_of_its_authors_lists(textures, tmp_path):
    bench = load("dtd", textures.parents[1], tmp_path)
    assert len(bench.splits) == 10 == bench.protocol["splits"]
    for partition, split in enumerate(bench.splits, start=1):
        rows = dict(zip(SETS, (split.train, split.validation, split.test), strict=True))
        for name in SETS:
            listed = (textures / "labels" / f"{name}{partition}.txt").read_text().split()
            assert {bench.ids[row] for row in rows[name]} == {f"images/{line}" for line in listed}
    assert bench.task.metric == "accuracy" and bench.scales == (256,)


def test_the_key_attribute_is_the_label_whatever_joint_labels_say(textures, tmp_path):
    bench = load("dtd", textures.parents[1], tmp_path)
    for picture, labels in zip(bench.ids, bench.labels, strict=True):
        assert [bench.classes[k] for k in (labels == 1).nonzero()[0]] == [picture.split("/")[1]]


def test_the_first_partition_alone_uses_the_same_features(textures, tmp_path):
    ten, first = (load(name, textures.parents[1], tmp_path) for name in ("dtd", "dtd_1"))
    assert first.feature_set == ten.feature_set == "dtd"
    (split,) = first.splits
    assert [first.ids[row] for row in split.test] == [ten.ids[row] for row in ten.splits[0].test]
    assert set(first.ids) == set(ten.ids)
    assert all(first.pictures[i] == ten.pictures[i] for i in first.ids)


@pytest.mark.parametrize("place", ["", "dtd"])
def test_the_archive_gives_the_same_benchmark(textures, tmp_path, place):
    data = tmp_path / "data"
    pack_textures(textures, data / place)
    packed, whole = (
        load("dtd", data, tmp_path / "cache"),
        load("dtd", textures.parents[1], tmp_path),
    )
    assert packed.ids == whole.ids and packed.splits_sha256 == whole.splits_sha256
    assert (packed.labels == whole.labels).all()


def test_address_and_digest_are_torchvisions(tmp_path):
    from torchvision import datasets

    assert stated_by(DTD) == fetched_by(datasets.DTD, tmp_path, {})


def test_a_list_without_a_class_is_noticed(textures, tmp_path):
    """torchvision numbers the classes that a list names: labels would mean something else."""
    root = tmp_path / "dtd" / "dtd"
    shutil.copytree(textures, root)
    lists = root / "labels" / "val3.txt"
    kept = [line for line in lists.read_text().splitlines() if not line.startswith("banded/")]
    lists.write_text("\n".join(kept))
    with pytest.raises(DatasetError, match="0 .*DTD is 'banded' in .*'train1' and 'cross-.*'val3'"):
        load("dtd", tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("line", ["banded/../../../../secret.jpg", "/secret.jpg", "banded/a\0.jpg"])
def test_a_list_that_leads_elsewhere_is_refused(textures, tmp_path, line):
    root = tmp_path / "dtd" / "dtd"
    shutil.copytree(textures, root)
    lists = root / "labels" / "train1.txt"
    lists.write_text(f"{lists.read_text()}{line}\n")
    with pytest.raises(DatasetError) as error:
        load("dtd", tmp_path, tmp_path / "cache")
    assert "\n" not in str(error.value) and "\0" not in str(error.value)


def test_counts_of_each_partition_are_compared(textures, tmp_path, run, monkeypatch):
    where = ("--data-dir", textures.parents[1], "--cache-dir", tmp_path)
    differing = run("datasets", "verify", "dtd_1", *where)
    assert differing.exit_code == 1 and "  train1: 6 found, 1,880 known" in differing.stdout
    state_counts(monkeypatch, "dtd", {f"{s}{n}": (3, 2) for n in range(1, 11) for s in SETS})
    whole = run("datasets", "verify", "dtd", *where)
    assert whole.exit_code == 0, whole.stdout
    assert "dtd: 120 of 120 counts as known" in whole.stdout


def test_measured_from_the_command_line(textures, tmp_path, run):
    ten, first = records_of_bench(
        run, ["dtd", "dtd_1"], textures.parents[1], tmp_path, "--scales", 32
    )
    assert (ten["metric"], first["metric"]) == ("accuracy", "accuracy")
    assert (ten["protocol"]["splits"], first["protocol"]["splits"]) == (10, 1)
    assert first["protocol"]["trained_on"] == "train1 and val1"
    assert len(list((tmp_path / "cache" / "features").glob("*.h5"))) == 1
    of_ten, of_first = (record["metrics"]["accuracy"]["per_split"] for record in (ten, first))
    assert len(of_ten) == 10 and of_ten[:1] == of_first
