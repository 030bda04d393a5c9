"""SUN397 by its partitions' lists, as it lies on disk and as torchvision reads it."""

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.loaders import fetched_by, records_of_bench, state_counts, stated_by
from helpers.odd_pictures import KINDS
from helpers.pictures import NARROW
from helpers.places import CLASSES, pack_places, write_places
from PIL import Image

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.datasets.sun397 import SUN397
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return write_places(tmp_path_factory.mktemp("data"))


@pytest.fixture
def changed(places, tmp_path):
    """A copy that a test may change."""
    for name in ("SUN397", "SUN397-partitions"):
        shutil.copytree(places.parent / name, tmp_path / "data" / name)
    return tmp_path / "data" / "SUN397"


def load(name, data, cache):
    return load_benchmark(name, places=Folders(data, cache), offline=True)


def listed(root, word, n):
    text = (root.parent / "SUN397-partitions" / f"{word}_{n:02d}.txt").read_text()
    return [line.removeprefix("/") for line in text.splitlines()]


def test_pictures_and_labels_are_those_of_torchvisions_loader(places, tmp_path):
    """torchvision's order is that of the disk, so pictures are found by their paths."""
    from torchvision import datasets

    loader = datasets.SUN397(places.parent)
    of_path = {path: k for k, path in enumerate(map(Path, loader._image_files))}
    bench = load("sun397", places.parent, tmp_path)
    assert bench.classes == tuple(loader.classes)
    kinds = set()
    for picture, labels in zip(bench.ids, bench.labels, strict=True):
        image, label = loader[of_path[places / picture]]
        assert (labels > 0).nonzero()[0].tolist() == [label]
        assert (np.asarray(decode(bench.pictures[picture])) == np.asarray(image)).all()
        with Image.open(places / picture) as opened:
            kinds.add((opened.format, opened.mode))
    assert kinds == set(KINDS.values())


def test_each_partition_is_a_split_of_its_authors_lists(places, tmp_path):
    bench = load("sun397", places.parent, tmp_path)
    assert len(bench.splits) == 10 == bench.protocol["splits"]
    for n, split in enumerate(bench.splits, start=1):
        assert [bench.ids[row] for row in bench.sets[f"train{n}"]] == listed(places, "Training", n)
        assert [bench.ids[row] for row in split.test] == listed(places, "Testing", n)
        assert {bench.ids[row] for row in split.both} == set(listed(places, "Training", n))
        assert len(split.validation) == len(CLASSES)
    for picture, labels in zip(bench.ids, bench.labels, strict=True):
        assert bench.classes[labels.argmax()] == "/".join(picture.split("/")[1:-1])
    assert bench.task.metric == "accuracy" and bench.scales == (256,)


def test_the_first_partition_alone_uses_the_same_features(places, tmp_path):
    ten, first = (load(name, places.parent, tmp_path) for name in ("sun397", "sun397_1"))
    assert first.feature_set == ten.feature_set == "sun397"
    assert len(first.ids) < len(ten.ids)
    assert all(first.pictures[i] == ten.pictures[i] for i in first.ids)
    assert [first.ids[row] for row in first.splits[0].test] == [
        ten.ids[row] for row in ten.splits[0].test
    ]


def test_nothing_depends_on_the_order_of_files_on_disk(places, tmp_path, monkeypatch):
    before = load("sun397", places.parent, tmp_path)
    scandir = os.scandir

    class Shuffled(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def shuffled(path="."):
        with scandir(path) as entries:
            found = list(entries)
        random.Random(1).shuffle(found)
        return Shuffled(found)

    monkeypatch.setattr(os, "scandir", shuffled)
    after = load("sun397", places.parent, tmp_path)
    assert after.ids == before.ids and after.splits_sha256 == before.splits_sha256
    assert (after.labels == before.labels).all()


@pytest.mark.parametrize("place", ["", "sun397"])
def test_the_archives_give_the_same_benchmark(places, tmp_path, place):
    pack_places(places, tmp_path / "data" / place)
    packed = load("sun397", tmp_path / "data", tmp_path / "cache")
    whole = load("sun397", places.parent, tmp_path)
    assert packed.ids == whole.ids and packed.splits_sha256 == whole.splits_sha256
    assert (packed.labels == whole.labels).all()


def test_what_torchvision_has_unpacked_takes_the_lists_alone(places, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "SUN397").symlink_to(places)
    pack_places(places, tmp_path / "archives")
    (tmp_path / "archives" / "Partitions.zip").rename(tmp_path / "data" / "Partitions.zip")
    joined = load("sun397_1", tmp_path / "data", tmp_path / "cache")
    assert joined.ids == load("sun397_1", places.parent, tmp_path).ids


def test_address_and_digest_of_the_pictures_are_torchvisions(tmp_path):
    from torchvision import datasets

    stated = stated_by(SUN397)
    torchvisions = fetched_by(datasets.SUN397, tmp_path, {})
    assert torchvisions.items() <= stated.items()
    (lists,) = set(stated) - set(torchvisions)
    assert lists.endswith("/Partitions.zip")


def test_a_listed_picture_that_is_missing_is_named(changed, tmp_path, run, monkeypatch):
    gone = listed(changed, "Testing", 1)[3]
    (changed / gone).unlink()
    where = ("--data-dir", changed.parent, "--cache-dir", tmp_path / "cache")
    state_counts(monkeypatch, "sun397_1", {"train1": (5, 5), "test1": (5, 2)})
    verified = run("datasets", "verify", "sun397_1", *where)
    assert verified.exit_code == 1 and f"  {gone} is named and not there" in verified.stdout
    bench = ("bench", "sun397_1", "--net", NARROW, "--scales", 32, "--out", tmp_path / "out")
    stopped = run(*bench, *where, "--offline")
    assert stopped.exit_code == 1 and f"{gone}: no such picture" in stopped.stderr
    skipped = run(*bench, *where, "--offline", "--on-error", "skip", "--format", "json")
    assert skipped.exit_code == 0, skipped.stderr
    (record,) = json.loads(skipped.stdout)
    assert list(record["skipped"]) == [gone]


def test_lists_of_other_pictures_are_refused(changed, tmp_path):
    shutil.rmtree(changed / "a")
    with pytest.raises(DatasetError, match="01.txt: names pictures in 'a/abbey' and 1 more folder"):
        load("sun397", changed.parent, tmp_path / "cache")
    lists = changed.parent / "SUN397-partitions" / "Training_01.txt"
    lists.write_text("/c/church/indoor/../../../../secret.jpg\n")
    with pytest.raises(DatasetError, match="pictures in 'c/church/indoor/../../../..'"):
        load("sun397", changed.parent, tmp_path / "cache")
    lists.write_bytes(b"/c/church/indoor/sun_\0a.jpg")
    with pytest.raises(DatasetError, match="is no picture's path"):
        load("sun397", changed.parent, tmp_path / "cache")
    (changed.parent / "SUN397-partitions" / "Testing_01.txt").unlink()
    lists.write_text("/c/church/indoor/sun_a.jpg\n")
    with pytest.raises(DatasetError, match="Testing_01.txt: cannot be read as a list"):
        load("sun397", changed.parent, tmp_path / "cache")


def test_counts_of_each_partition_are_compared(places, tmp_path, run, monkeypatch):
    where = ("--data-dir", places.parent, "--cache-dir", tmp_path)
    differing = run("datasets", "verify", "sun397_1", *where)
    assert differing.exit_code == 1 and "  train1: 25 found, 19,850 known" in differing.stdout
    stand_in = {
        f"{name}{n}": (5, k) for n in range(1, 11) for name, k in (("train", 5), ("test", 2))
    }
    state_counts(monkeypatch, "sun397", stand_in)
    whole = run("datasets", "verify", "sun397", *where)
    assert whole.exit_code == 0, whole.stdout
    assert "sun397: 120 of 120 counts as known" in whole.stdout


def test_measured_from_the_command_line(places, tmp_path, run):
    ten, first = records_of_bench(
        run, ["sun397", "sun397_1"], places.parent, tmp_path, "--scales", 32
    )
    assert (ten["protocol"]["splits"], first["protocol"]["splits"]) == (10, 1)
    assert first["metric"] == "accuracy" and first["protocol"]["validation_share"] == 0.2
    assert len(list((tmp_path / "cache" / "features").glob("*.h5"))) == 1
    of_ten, of_first = (record["metrics"]["accuracy"]["per_split"] for record in (ten, first))
    assert len(of_ten) == 10 and of_ten[:1] == of_first
