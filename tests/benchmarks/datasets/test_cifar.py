"""CIFAR-10 and CIFAR-100: pickles of Python 2, to the pictures and labels of torchvision's loader.

torchvision compares MD5s, so those of the trees stand in for those of the real files.
"""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from helpers import cifar
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.packing import pack
from helpers.pictures import NARROW
from helpers.torchvision_md5 import accept
from torchvision import datasets

from vggfeat.benchmarks.datasets.cifar10 import CIFAR10
from vggfeat.benchmarks.datasets.cifar100 import CIFAR100
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.known_counts import counts
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.folders import Folders

WRITE = {"cifar10": cifar.write_cifar10, "cifar100": cifar.write_cifar100}
LOADERS = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
DEFINITIONS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Data folders by dataset; nothing changes them."""
    data = tmp_path_factory.mktemp("cifar")
    return {name: write(data / name).parent for name, write in WRITE.items()}


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request, trees, monkeypatch):
    accept(monkeypatch, LOADERS[request.param], _folder(trees[request.param]))
    return request.param


@pytest.fixture
def cifar10(trees, monkeypatch):
    accept(monkeypatch, datasets.CIFAR10, _folder(trees["cifar10"]))
    return trees["cifar10"]


def _folder(root):
    (folder,) = root.iterdir()
    return folder


def load(name, data, cache, **options):
    return load_benchmark(
        name, options=DataOptions(**options), places=Folders(data, cache), offline=True
    )


def test_pictures_and_labels_are_those_of_torchvisions_loader(name, trees, tmp_path):
    root = trees[name]
    bench = load(name, root, tmp_path)
    loader = LOADERS[name]
    for set_name in ("train", "test"):
        assert_same_as_loader(bench, set_name, loader(root, train=set_name == "train"))
    assert list(bench.classes) == loader(root, train=True).classes
    assert bench.task.metric == "accuracy" and len(bench.splits) == 1
    assert bench.protocol["validation"] == "drawn from train"


def test_pixels_are_those_that_the_datasets_page_explains(cifar10, tmp_path):
    """1,024 red values of a picture, row by row, then green and blue ones."""
    with (cifar10 / cifar.CIFAR10 / "data_batch_2").open("rb") as file:
        entry = pickle.load(file, encoding="bytes")
    assert sorted(entry) == [b"batch_label", b"data", b"filenames", b"labels"]
    bench = load("cifar10", cifar10, tmp_path)
    pixels = np.asarray(decode(bench.pictures["train/23"]))
    assert (pixels == entry[b"data"][3].reshape(3, 32, 32).transpose(1, 2, 0)).all()
    assert bench.classes[entry[b"labels"][3]].encode() == entry[b"filenames"][3].split(b"_")[0]
    assert bench.labels[23, entry[b"labels"][3]] == 1


def test_the_archive_as_it_is_distributed_gives_the_same(name, trees, tmp_path):
    """Another archive than the distributed one, which a warning says."""
    root, folder = trees[name], _folder(trees[name])
    archive = DEFINITIONS[name].source.files[0][0].name
    pack(tmp_path / "data" / archive, root, [folder.name])
    packed = load(name, tmp_path / "data", tmp_path / "cache")
    bench = load(name, root, tmp_path)
    assert packed.splits_sha256 == bench.splits_sha256 and packed.classes == bench.classes
    first = bench.ids[0]
    assert packed.pictures[first].read() == bench.pictures[first].read()


def test_ids_are_set_and_row(cifar10, tmp_path):
    bench = load("cifar10", cifar10, tmp_path)
    assert bench.ids[0] == "train/00" and bench.ids[-1] == "test/19"
    assert len(bench.sets["train"]) == 100 and len(bench.sets["test"]) == 20


def test_a_file_with_another_md5_is_never_unpickled(cifar10, tmp_path):
    """Neither the batches nor batches.meta: a pickle may hold any program."""

    class Program:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    for changed in ("batches.meta", "data_batch_3", "test_batch"):
        copy = tmp_path / changed
        shutil.copytree(cifar10, copy)
        path = copy / cifar.CIFAR10 / changed
        path.write_bytes(pickle.dumps(Program()))
        with pytest.raises(DatasetError) as error:
            load("cifar10", copy, tmp_path / "cache")
        assert str(error.value).startswith(f"{path}: is not the file that is distributed, whose")
        assert "it was not read" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_a_missing_batch_is_named(cifar10, tmp_path):
    shutil.copytree(cifar10, tmp_path / "copy")
    (tmp_path / "copy" / cifar.CIFAR10 / "data_batch_5").unlink()
    with pytest.raises(
        DatasetError, match="data_batch_5: is missing. Move .*-py away, and its archive"
    ):
        load("cifar10", tmp_path / "copy", tmp_path)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_addresses_and_digests_are_torchvisions(name):
    loader = LOADERS[name]
    ((source,),) = DEFINITIONS[name].source.files
    assert (source.url, source.algorithm, source.digest) == (loader.url, "md5", loader.tgz_md5)
    (part,) = DEFINITIONS[name].source.parts
    assert part.path == loader.base_folder and part.marker == loader.meta["filename"]


def test_known_counts_are_balanced():
    for name, num_classes in (("cifar10", 10), ("cifar100", 100)):
        stated = {known.set: known for known in DEFINITIONS[name].known_counts}
        assert {k: v.total for k, v in stated.items()} == {"train": 50_000, "test": 10_000}
        assert all(known.total == num_classes * known.per_class for known in stated.values())


def test_counts_are_compared_with_known_ones(cifar10, monkeypatch, tmp_path):
    state_counts(monkeypatch, "cifar10", {"train": (10, 10), "test": (10, 3)})
    compared = counts(load("cifar10", cifar10, tmp_path))
    assert len(compared) == 22
    assert {c.set for c in compared if c.actual != c.expected} == {"test"}
    assert {(c.class_name, c.actual, c.expected) for c in compared if c.set == "test"} == {
        (None, 20, 30), *((name, 2, 3) for name in cifar.CLASSES10)
    }  # fmt: skip


def test_bench_and_verify_from_the_command_line(cifar10, run, monkeypatch, tmp_path):
    out = tmp_path / "out"
    result = run("bench", "cifar10", "--limit", 4, "--net", NARROW, "--data-dir", cifar10,
                 "--out", out, "--offline")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "CIFAR-10, accuracy (%)" in result.stdout
    (path,) = (out / "cifar10").glob("*.json")
    record = json.loads(path.read_text())
    assert record["protocol"] | {
        "images": 60, "split": "official", "trained_on": "train", "validation": "drawn from train",
        "scored_on": "test", "validation_share": 0.2, "seed": 0, "scales": [32],
    } == record["protocol"]  # fmt: skip
    assert "the scale of 32 pixels is 1 x the net's input" in record["remarks"]
    assert "accuracy" in record["metrics"]
    state_counts(monkeypatch, "cifar10", {"train": (10, 10), "test": (10, 2)})
    assert run("datasets", "verify", "cifar10", "--data-dir", cifar10).exit_code == 0
    state_counts(monkeypatch, "cifar10", {"train": (10, 10), "test": (10, 3)})
    verified = run("datasets", "verify", "cifar10", "--data-dir", cifar10)
    assert verified.exit_code == 1
    assert "bird" in verified.stdout + verified.stderr
