"""SVHN: MATLAB files whose last axis counts the pictures, and whose label 10 is the digit 0.

torchvision compares MD5s, so those of the tree stand in for those of the real files.
"""

import shutil

import numpy as np
import pytest
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.svhn import write_svhn
from helpers.torchvision_md5 import accept
from torchvision import datasets

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.datasets.svhn import SVHN
from vggfeat.benchmarks.known_counts import counts
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("svhn")
    return root, write_svhn(root)


@pytest.fixture
def root(tree, monkeypatch):
    accept(monkeypatch, datasets.SVHN, tree[0])
    return tree[0]


def load(data, cache):
    return load_benchmark("svhn", places=Folders(data, cache), offline=True)


def test_pictures_and_labels_are_those_of_torchvisions_loader(root, tree, tmp_path):
    bench = load(root, tmp_path)
    for name in ("train", "test"):
        assert_same_as_loader(bench, name, datasets.SVHN(root, split=name))
        first = np.asarray(decode(bench.pictures[f"{name}/00"]))
        assert (first == tree[1][name][0]).all()
    assert bench.classes == tuple("0123456789")
    assert (bench.labels[bench.sets["train"]] > 0).sum(axis=0).tolist() == [6] * 10
    assert bench.task.metric == "accuracy" and bench.protocol["validation"] == "drawn from train"


def test_files_beside_each_other_in_a_folder_of_its_name(root, tmp_path):
    shutil.copytree(root, tmp_path / "data" / "svhn")
    assert load(tmp_path / "data", tmp_path).splits_sha256 == load(root, tmp_path).splits_sha256


def test_another_file_is_named(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    with (tmp_path / "copy" / "test_32x32.mat").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DatasetError) as error:
        load(tmp_path / "copy", tmp_path)
    path = tmp_path / "copy" / "test_32x32.mat"
    assert str(error.value).startswith(f"{path}: is not the file that is distributed, whose MD5 is")
    assert f"Move {path.resolve()} away" in str(error.value)


def test_counts_are_compared_with_known_ones(root, monkeypatch, tmp_path):
    state_counts(monkeypatch, "svhn", {"train": (10, 6), "test": (10, 4)})
    compared = counts(load(root, tmp_path))
    assert {c.set for c in compared if c.actual != c.expected} == {"test"}


def test_known_counts_addresses_and_digests():
    assert {k.set: k.total for k in SVHN.known_counts} == {"train": 73_257, "test": 26_032}
    stated = [(s.url, s.name, s.digest) for (s,) in SVHN.source.files]
    assert stated == [tuple(datasets.SVHN.split_list[name]) for name in ("train", "test")]
    assert [part.path for part in SVHN.source.parts] == [name for _, name, _ in stated]
