"""Country211 in its real layout: torchvision's loader and ours, its archive, and its counts."""

import json

import numpy as np
import pytest
from helpers.countries import CODES, PER_CLASS, SPACED, pack_country211, write_country211
from helpers.loaders import assert_same_as_loader, fetched_by, state_counts, stated_by
from helpers.pictures import NARROW
from torchvision import datasets

from vggfeat.benchmarks.datasets import country211
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.storage.folders import Folders


def load(data, cache):
    return load_benchmark("country211", places=Folders(data, cache), offline=True)


def test_ids_labels_and_pixels_are_those_of_torchvisions_loader(tmp_path):
    write_country211(tmp_path)
    benchmark = load(tmp_path, tmp_path / "cache")
    for name in ("train", "valid", "test"):
        assert_same_as_loader(benchmark, name, datasets.Country211(tmp_path, name))
    assert benchmark.classes == tuple(sorted(CODES))
    assert f"train/AD/{SPACED}" in benchmark.ids
    (split,) = benchmark.splits
    counts = [len(split.train), len(split.validation), len(split.test)]
    assert counts == [4 * 3, 4 * 2, 4 * 2]


def test_the_archive_gives_the_same_and_shadows_of_files_are_no_pictures(tmp_path):
    root = write_country211(tmp_path / "a")
    unpacked = load(tmp_path / "a", tmp_path / "cache")
    packed = load(pack_country211(root, tmp_path / "b"), tmp_path / "cache")
    assert packed.ids == unpacked.ids and np.array_equal(packed.labels, unpacked.labels)
    assert packed.classes == unpacked.classes


def test_a_set_that_lacks_a_country_is_not_whole(tmp_path):
    root = write_country211(tmp_path)
    for path in (root / "valid" / "CH").iterdir():
        path.rename(root / "valid" / "AD" / path.name)
    (root / "valid" / "CH").rmdir()
    with pytest.raises(DatasetError, match="class 1 of .*Country211 is 'CH' in"):
        load(tmp_path, tmp_path / "cache")


def test_address_and_digest_are_torchvisions(tmp_path):
    assert stated_by(country211.COUNTRY211) == fetched_by(datasets.Country211, tmp_path, {})


def test_counts_are_compared(run, tmp_path, monkeypatch):
    write_country211(tmp_path)
    verify = ("datasets", "verify", "country211", "--data-dir", tmp_path)
    whole = run(*verify)
    assert whole.exit_code == 1 and "31,650" in whole.stdout
    state_counts(monkeypatch, "country211", {n: (len(CODES), k) for n, k in PER_CLASS.items()})
    assert run(*verify).exit_code == 0


def test_bench_from_the_command_line(run, tmp_path):
    write_country211(tmp_path)
    arguments = ("--net", NARROW, "--data-dir", tmp_path, "--out", tmp_path / "out")
    result = run(
        "bench", "country211", "--limit", "2", "--scales", "32", *arguments, "--format", "json"
    )
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert (record["metric"], record["protocol"]["trained_on"]) == ("accuracy", "train and valid")
    assert record["protocol"]["images"] == 3 * 2 * len(CODES)
