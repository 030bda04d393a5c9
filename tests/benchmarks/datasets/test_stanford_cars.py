"""Stanford Cars: MATLAB lists, labels from 1, and nobody who serves it any more."""

import shutil

import pytest
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.packing import pack
from helpers.stanford_cars import CLASSES, write_cars
from torchvision import datasets

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.datasets.stanford_cars import STANFORD_CARS
from vggfeat.benchmarks.known_counts import counts
from vggfeat.errors import DatasetError
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_cars(root)
    return root


def load(data, cache):
    return load_benchmark("stanford_cars", places=Folders(data, cache), offline=True)


def test_pictures_and_labels_are_those_of_torchvisions_loader(root, tmp_path):
    bench = load(root, tmp_path)
    for name in ("train", "test"):
        assert_same_as_loader(bench, name, datasets.StanfordCars(root, split=name))
    assert list(bench.classes) == CLASSES
    assert bench.ids[0] == "cars_train/00001.jpg" and bench.ids[-1] == "cars_test/00012.jpg"
    assert bench.task.metric == "accuracy" and bench.scales == (256,)


def test_the_archives_as_they_were_distributed_give_the_same(root, tmp_path):
    folder, data = root / "stanford_cars", tmp_path / "data"
    for archive, name in (("car_devkit", "devkit"), ("cars_train", "cars_train"),
                          ("cars_test", "cars_test")):  # fmt: skip
        pack(data / f"{archive}.tgz", folder, [name])
    shutil.copy(folder / "cars_test_annos_withlabels.mat", data)
    packed = load(data, tmp_path / "cache")
    assert packed.splits_sha256 == load(root, tmp_path).splits_sha256


def test_a_copy_that_nests_its_folders_gives_the_same(root, tmp_path):
    folder, data = root / "stanford_cars", tmp_path / "data" / "stanford_cars"
    shutil.copytree(folder / "cars_train", data / "cars_train" / "cars_train")
    shutil.copytree(folder / "cars_test", data / "cars_test" / "cars_test")
    shutil.copytree(folder / "devkit", data / "devkit")
    shutil.copy(folder / "cars_test_annos_withlabels.mat", data)
    nested = load(tmp_path / "data", tmp_path / "cache")
    assert nested.splits_sha256 == load(root, tmp_path).splits_sha256


def test_what_is_missing_and_where_it_belongs_is_said(root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "data" / "stanford_cars" / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DatasetError) as error:
        load(tmp_path / "data", tmp_path)
    text = str(error.value)
    assert "holds no stanford_cars/cars_test_annos_withlabels.mat" in text
    assert "cannot be fetched" in text and "Stanford is gone" in text and "\n" not in text
    with pytest.raises(DatasetError, match=r"cars_train\.tgz, cars_test\.tgz, car_devkit\.tgz"):
        load(tmp_path / "nothing", tmp_path)


def test_torchvision_cannot_fetch_it_either(tmp_path):
    with pytest.raises(ValueError, match="cannot be downloaded"):
        datasets.StanfordCars(tmp_path, download=True)
    assert not STANFORD_CARS.source.is_served and STANFORD_CARS.source.files == ()


def test_counts_are_compared_with_known_ones(root, monkeypatch, tmp_path):
    state_counts(monkeypatch, "stanford_cars", {"train": (4, 5), "test": (4, 4)})
    compared = counts(load(root, tmp_path))
    assert {c.set for c in compared if c.actual != c.expected} == {"test"}
    stated = {known.set: known.total for known in STANFORD_CARS.known_counts}
    assert stated == {"train": 8144, "test": 8041}
    assert "8,144 training images and 8,041 testing images" in datasets.StanfordCars.__doc__
