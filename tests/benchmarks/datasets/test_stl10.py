"""STL-10: pixels that lie columns first, ten folds, and 2.8 GB without labels that nobody reads.

torchvision compares MD5s, so those of the tree stand in for those of the real files.
"""

import shutil

import numpy as np
import pytest
from helpers import stl10
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.packing import pack
from helpers.pictures import NARROW
from helpers.torchvision_md5 import accept
from torchvision import datasets

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.datasets.stl10 import FOLDS, STL10, STL10_FOLDS
from vggfeat.benchmarks.known_counts import counts
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("stl10")
    return root, stl10.write_stl10(root)


@pytest.fixture
def root(tree, monkeypatch):
    accept(monkeypatch, datasets.STL10, tree[0] / stl10.FOLDER)
    return tree[0]


def load(name, data, cache, **options):
    return load_benchmark(
        name, options=DataOptions(**options), places=Folders(data, cache), offline=True
    )


def test_pictures_and_labels_are_those_of_torchvisions_loader(root, tree, tmp_path):
    bench = load("stl10", root, tmp_path)
    for name in ("train", "test"):
        assert_same_as_loader(bench, name, datasets.STL10(root, split=name))
    assert list(bench.classes) == stl10.CLASSES
    pixels = np.asarray(decode(bench.pictures["train/03"]))
    assert (pixels == tree[1]["train"][3]).all()  # as they were drawn, not on their side


def test_the_archive_as_it_is_distributed_gives_the_same(root, tmp_path):
    pack(tmp_path / "data" / "stl10_binary.tar.gz", root, [stl10.FOLDER])
    packed = load("stl10", tmp_path / "data", tmp_path / "cache")
    assert packed.splits_sha256 == load("stl10", root, tmp_path).splits_sha256
    assert not list((tmp_path / "cache").rglob("unlabeled_X.bin"))


def test_a_list_of_classes_of_another_dataset_is_not_taken_for_its_own(root, tmp_path):
    """Which nobody compares with a digest; so what one archive holds is found together."""
    pack(tmp_path / "data" / "stl10_binary.tar.gz", root, [stl10.FOLDER])
    zoo = tmp_path / "data" / "zoo"
    zoo.mkdir()
    (zoo / "class_names.txt").write_text("".join(f"animal {n}\n" for n in range(10)))
    assert load("stl10", tmp_path / "data", tmp_path / "cache").classes == tuple(stl10.CLASSES)
    for path in (root / stl10.FOLDER).iterdir():  # all of it, unpacked to a folder of any name
        shutil.copy(path, zoo)
    (tmp_path / "data" / "stl10_binary.tar.gz").unlink()
    assert load("stl10", tmp_path / "data", tmp_path / "cache").classes == tuple(stl10.CLASSES)


def test_pictures_without_labels_are_neither_needed_nor_compared(root, tmp_path):
    for name in ("without", "damaged"):
        shutil.copytree(root, tmp_path / name)
        unlabelled = tmp_path / name / stl10.FOLDER / "unlabeled_X.bin"
        unlabelled.unlink()
        if name == "damaged":
            unlabelled.write_bytes(b"cut short")
        assert len(load("stl10", tmp_path / name, tmp_path / "cache").ids) == 60
        with pytest.raises(RuntimeError, match="not found or corrupted"):
            datasets.STL10(tmp_path / name)


def test_a_file_that_is_read_is_compared(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    path = tmp_path / "copy" / stl10.FOLDER / "train_y.bin"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(DatasetError, match=r"train_y\.bin: is not the file that is distributed"):
        load("stl10", tmp_path / "copy", tmp_path)


def test_each_fold_has_the_pictures_of_torchvisions(root, tmp_path):
    bench, whole = load("stl10_folds", root, tmp_path), load("stl10", root, tmp_path)
    assert len(bench.splits) == 10 and bench.feature_set == "stl10"
    for number, name in enumerate(FOLDS):
        assert_same_as_loader(bench, name, datasets.STL10(root, folds=number))
        split = bench.splits[number]
        assert sorted(split.both) == sorted(bench.sets[name])
        assert len(split.train) == 10 and len(split.validation) == 10  # one of two of each class
        assert len(split.test) == 20
    assert set(bench.ids) <= set(whole.ids)
    assert bench.protocol["splits"] == 10
    assert bench.protocol["trained_on"] == "each of ten folds of 1,000"
    assert bench.protocol["validation"] == "drawn from each fold"


@pytest.mark.parametrize(
    "text",
    ["", "0 1 2\n", *("0 1\n" * 9 + last for last in ("0 x\n", "0 99\n", "0 -1\n", "0 0\n"))],
)
def test_folds_that_are_none_are_an_error(root, tmp_path, text):
    shutil.copytree(root, tmp_path / "copy")
    path = tmp_path / "copy" / stl10.FOLDER / "fold_indices.txt"
    path.write_text(text)
    with pytest.raises(DatasetError) as error:
        load("stl10_folds", tmp_path / "copy", tmp_path)
    assert str(error.value).startswith(f"{path}: does not name the rows of ten folds")


def test_counts_are_compared_with_known_ones(root, monkeypatch, tmp_path):
    state_counts(monkeypatch, "stl10", {"train": (10, 4), "test": (10, 3)})
    compared = counts(load("stl10", root, tmp_path))
    assert {c.set for c in compared if c.actual != c.expected} == {"test"}
    state_counts(monkeypatch, "stl10_folds", {name: (10, 2) for name in FOLDS})
    assert all(c.actual == c.expected for c in counts(load("stl10_folds", root, tmp_path)))


def test_known_counts_and_addresses():
    assert {k.set: k.total for k in STL10.known_counts} == {"train": 5000, "test": 8000}
    assert {k.total for k in STL10_FOLDS.known_counts} == {1000, 8000}
    ((source,),) = STL10.source.files
    assert (source.url, source.digest) == (datasets.STL10.url, datasets.STL10.tgz_md5)
    read = {name for name, _ in datasets.STL10.train_list + datasets.STL10.test_list}
    beside = {datasets.STL10.class_names_file, datasets.STL10.folds_list_file}
    assert {p.name for p in STL10.source.parts} == read - {"unlabeled_X.bin"} | beside
    assert STL10_FOLDS.source == STL10.source


def test_folds_use_the_features_of_all_pictures(root, run, tmp_path):
    options = ("--net", NARROW, "--data-dir", root, "--out", tmp_path / "out", "--offline")
    result = run("bench", "stl10", "stl10_folds", *options)
    assert result.exit_code == 0, result.stderr
    assert "STL-10, ten folds, accuracy (%)" in result.stdout
    assert len(list((tmp_path / "home").rglob("*.h5"))) == 1
