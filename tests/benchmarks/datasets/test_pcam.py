"""PatchCamelyon in HDF5 files: torchvision's loader and ours, compressed files, damaged ones."""

import json

import h5py
import numpy as np
import pytest
from helpers.loaders import assert_same_as_loader, state_counts, stated_by
from helpers.patches import pack_pcam, write_pcam
from helpers.pictures import NARROW
from torchvision import datasets

from vggfeat.benchmarks.datasets import pcam
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.images import picture_content
from vggfeat.storage.folders import Folders

COUNT = 40  # patches of a set: more than are read at once


def load(data, cache):
    return load_benchmark("pcam", places=Folders(data, cache), offline=True)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """A data folder with the six files as torchvision decompresses them."""
    data = tmp_path_factory.mktemp("patches")
    write_pcam(data, COUNT)
    return data


def test_ids_labels_and_pixels_are_those_of_torchvisions_loader(patches, tmp_path):
    benchmark = load(patches, tmp_path)
    for name in ("train", "val", "test"):
        assert_same_as_loader(benchmark, name, datasets.PCAM(patches, name))
    assert benchmark.ids[0] == "train/00" and benchmark.ids[-1] == "test/39"
    (split,) = benchmark.splits
    assert (len(split.train), len(split.validation), len(split.test)) == (COUNT, COUNT, COUNT)
    assert benchmark.protocol["trained_on"] == "train and val"


def test_the_compressed_files_give_the_same(patches, tmp_path):
    packed = load(pack_pcam(patches / "pcam", tmp_path / "data"), tmp_path / "cache")
    unpacked = load(patches, tmp_path)
    assert packed.ids == unpacked.ids and np.array_equal(packed.labels, unpacked.labels)
    last = packed.ids[-1]
    assert picture_content(packed.pictures[last]) == picture_content(unpacked.pictures[last])


def test_digests_are_torchvisions_and_of_the_compressed_files():
    theirs = {
        f"{pcam.ZENODO}{name}.gz": md5
        for files in datasets.PCAM._FILES.values()
        for name, _, md5 in files.values()
    }
    assert stated_by(pcam.PCAM) == theirs


@pytest.mark.parametrize(
    ("part", "array", "reason"),
    [
        ("y", np.zeros((8, 1), np.uint8), r"y must be \[N, 1, 1, 1\]"),
        ("y", np.full((8, 1, 1, 1), 2, np.uint8), "each 0 or 1"),
        ("x", np.zeros((7, 96, 96, 3), np.uint8), r"x must be \(8, 96, 96, 3\) of uint8"),
        ("x", np.zeros((8, 96, 96, 3), np.float32), "of float32"),
    ],
)
def test_other_arrays_are_refused(tmp_path, part, array, reason):
    root = write_pcam(tmp_path)
    with h5py.File(root / f"camelyonpatch_level_2_split_valid_{part}.h5", "w") as file:
        file[part] = array
    with pytest.raises(DatasetError, match=reason):
        load(tmp_path, tmp_path / "cache")


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = write_pcam(tmp_path) / "camelyonpatch_level_2_split_test_x.h5"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DatasetError, match="split_test_x.h5: cannot be read"):
        load(tmp_path, tmp_path / "cache")


def test_counts_are_compared(patches, run, monkeypatch):
    verify = ("datasets", "verify", "pcam", "--data-dir", patches)
    real = run(*verify)
    assert real.exit_code == 1 and "262,144" in real.stdout
    state_counts(monkeypatch, "pcam", {n: (2, COUNT // 2) for n in ("train", "val", "test")})
    assert run(*verify).exit_code == 0


def test_bench_from_the_command_line(patches, run, tmp_path):
    arguments = ("--net", NARROW, "--data-dir", patches, "--out", tmp_path / "out")
    result = run("bench", "pcam", "--limit", "4", *arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert record["metric"] == "accuracy" and record["protocol"]["images"] == 3 * 2 * 4
    assert record["protocol"]["scales"] == [32]
