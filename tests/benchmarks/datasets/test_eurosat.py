"""EuroSAT: class folders in a zip, without sets, so random splits of ours."""

import shutil

import pytest
from helpers.eurosat import CLASSES, write_eurosat
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.packing import pack
from torchvision import datasets
from torchvision.datasets import eurosat as loader_module

from vggfeat.benchmarks.datasets.eurosat import EUROSAT
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.benchmarks.known_counts import counts
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_eurosat(root / "eurosat")
    return root


def load(data, cache, **options):
    return load_benchmark(
        "eurosat", options=DataOptions(**options), places=Folders(data, cache), offline=True
    )


def test_pictures_and_labels_are_those_of_torchvisions_loader(root, tmp_path):
    bench = load(root, tmp_path)
    assert_same_as_loader(bench, "all", datasets.EuroSAT(root))
    assert list(bench.classes) == CLASSES
    assert bench.ids[1] == "2750/AnnualCrop/AnnualCrop_10.jpg"


def test_random_stratified_splits_are_stated(root, tmp_path):
    bench = load(root, tmp_path, seed=3, num_splits=2)
    assert len(bench.splits) == 2
    assert bench.protocol | {
        "split": "random, stratified", "test_share": 0.2, "validation_share": 0.2, "seed": 3,
        "splits": 2,
    } == bench.protocol  # fmt: skip
    for split in bench.splits:
        assert (bench.labels[split.test] > 0).sum(axis=0).tolist() == [2] * 10
        assert len(split.test) + len(split.validation) + len(split.train) == 120


@pytest.mark.parametrize("name", ["2750", "EuroSAT_RGB"])
def test_other_copies_give_the_same(root, tmp_path, name):
    """The archive, and the folder of another one, unpacked by hand."""
    expected = load(root, tmp_path).splits_sha256
    if name == "2750":
        pack(tmp_path / "data" / "EuroSAT.zip", root / "eurosat", ["2750"])
    else:
        shutil.copytree(root / "eurosat" / "2750", tmp_path / "data" / name)
    assert load(tmp_path / "data", tmp_path / "cache").splits_sha256 == expected


def test_what_a_mac_puts_beside_the_folder_in_an_archive_is_no_matter(root, tmp_path):
    shutil.copytree(root / "eurosat" / "2750", tmp_path / "copy" / "EuroSAT_RGB")
    (tmp_path / "copy" / ".DS_Store").write_bytes(b"\0Bud1")
    pack(tmp_path / "data" / "EuroSAT.zip", tmp_path / "copy", ["EuroSAT_RGB", ".DS_Store"])
    expected = load(root, tmp_path).splits_sha256
    assert load(tmp_path / "data", tmp_path / "cache").splits_sha256 == expected


def test_an_archive_of_something_else_says_what_it_lacks(tmp_path):
    (tmp_path / "copy" / "Forest").mkdir(parents=True)
    (tmp_path / "copy" / "Forest" / "x.jpg").write_bytes(b"")
    pack(tmp_path / "data" / "EuroSAT.zip", tmp_path / "copy", ["Forest"])
    with pytest.raises(DatasetError, match=r"EuroSAT\.zip: holds no AnnualCrop\. Fetch"):
        load(tmp_path / "data", tmp_path / "cache")


def test_counts_are_compared_with_known_ones(root, monkeypatch, tmp_path):
    state_counts(monkeypatch, "eurosat", {"all": (10, 12)})
    assert all(c.actual == c.expected for c in counts(load(root, tmp_path)))
    (stated,) = EUROSAT.known_counts
    assert list(stated.classes) == CLASSES and sum(stated.classes.values()) == stated.total == 27000


def test_address_and_digest_are_torchvisions(monkeypatch, tmp_path):
    asked = []

    def fetch(url, **given):
        asked.append((url, given["md5"]))

    monkeypatch.setattr(loader_module, "download_and_extract_archive", fetch)
    with pytest.raises(RuntimeError, match="not found"):
        datasets.EuroSAT(tmp_path, download=True)
    ((source,),) = EUROSAT.source.files
    assert asked == [(source.url, source.digest)]
