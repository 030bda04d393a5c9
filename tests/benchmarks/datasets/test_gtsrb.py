"""GTSRB in its real layout: torchvision's loader and ours, tracks, archives, and a whole run."""

import json

import numpy as np
import pytest
from helpers.loaders import assert_same_as_loader, fetched_by, state_counts, stated_by
from helpers.pictures import NARROW
from helpers.traffic_signs import NUM_CLASSES, pack_gtsrb, write_gtsrb
from torchvision import datasets

from vggfeat.benchmarks.datasets import gtsrb
from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.storage.folders import Folders


def load(data, cache, **options):
    return load_benchmark(
        "gtsrb", options=DataOptions(**options), places=Folders(data, cache), offline=True
    )


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    """A data folder with GTSRB as torchvision unpacks it."""
    data = tmp_path_factory.mktemp("signs")
    write_gtsrb(data)
    return data


def test_ids_labels_and_pixels_are_those_of_torchvisions_loader(signs, tmp_path):
    benchmark = load(signs, tmp_path)
    for name in ("train", "test"):
        assert_same_as_loader(benchmark, name, datasets.GTSRB(signs, name))
    ids = [benchmark.ids[row] for row in benchmark.sets["train"]]
    assert ids[:2] == [f"GTSRB/Training/00000/00000_{frame:05d}.ppm" for frame in (0, 1)]
    assert benchmark.ids[benchmark.sets["test"][0]] == "GTSRB/Final_Test/Images/00000.ppm"
    assert len(benchmark.classes) == NUM_CLASSES and benchmark.task.metric == "accuracy"


def test_a_track_validates_whole_or_not_at_all(signs, tmp_path):
    (split,) = load(signs, tmp_path).splits
    benchmark = load(signs, tmp_path)
    train, validation = (
        {gtsrb.track_of(benchmark.ids[row]) for row in rows}
        for rows in (split.train, split.validation)
    )
    assert not train & validation
    assert (len(train), len(validation)) == (4 * NUM_CLASSES, NUM_CLASSES)
    assert len(split.validation) == 2 * NUM_CLASSES  # both frames of each
    assert benchmark.protocol["drawn_as"] == "whole tracks"
    assert benchmark.protocol["validation"] == "drawn from train"


def test_few_shots_are_drawn_picture_by_picture_and_say_nothing_of_tracks(signs, tmp_path):
    benchmark = load(signs, tmp_path, shots=2)
    assert len(benchmark.splits[0].train) == NUM_CLASSES
    assert "drawn_as" not in benchmark.protocol and benchmark.protocol["shots"] == 2


@pytest.mark.parametrize("place", ["", "gtsrb", "downloads"])
def test_the_archives_as_they_are_distributed_give_the_same(signs, tmp_path, place):
    if place == "downloads":  # unpacked by hand into a folder of another name
        write_gtsrb(tmp_path).rename(tmp_path / "downloads")
        data = tmp_path
    else:
        data = pack_gtsrb(signs / "gtsrb", tmp_path / "data" / place).parent
        data = data / "data" if not place else data
    packed, unpacked = load(data, tmp_path / "cache"), load(signs, tmp_path)
    assert packed.ids == unpacked.ids
    assert np.array_equal(packed.labels, unpacked.labels)
    assert packed.splits_sha256 == unpacked.splits_sha256
    last = packed.ids[-1]
    assert packed.pictures[last].read_bytes() == unpacked.pictures[last].read_bytes()


def test_addresses_and_digests_are_torchvisions(tmp_path):
    splits = ({"split": "train"}, {"split": "test"})
    assert stated_by(gtsrb.GTSRB) == fetched_by(datasets.GTSRB, tmp_path, *splits)


def test_a_list_without_the_classes_is_not_taken_for_the_labels(tmp_path):
    root = write_gtsrb(tmp_path, tracks=1, frames=1)
    contest = root / "GTSRB" / "Final_Test" / "Images" / "GT-final_test.test.csv"
    contest.replace(root / "GT-final_test.csv")
    with pytest.raises(DatasetError, match="GTSRB, split test cannot be read.*'ClassId'"):
        load(tmp_path, tmp_path / "cache")


def test_counts_are_compared(signs, run, monkeypatch):
    verify = ("datasets", "verify", "gtsrb", "--data-dir", signs)
    real = run(*verify)
    assert real.exit_code == 1 and "26,640" in real.stdout and "12,630" in real.stdout
    state_counts(monkeypatch, "gtsrb", {"train": (NUM_CLASSES, 10), "test": (NUM_CLASSES, 1)})
    assert run(*verify).exit_code == 0
    assert sum(gtsrb.TEST) == 12630


def test_bench_from_the_command_line(signs, run, tmp_path):
    arguments = ("--net", NARROW, "--data-dir", signs, "--out", tmp_path / "out")
    result = run("bench", "gtsrb", "--limit", "4", *arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)
    protocol = record["protocol"]
    assert (record["benchmark"], record["metric"]) == ("gtsrb", "accuracy")
    assert protocol["split"] == "official" and protocol["drawn_as"] == "whole tracks"
    assert protocol["images"] == (4 + 1) * NUM_CLASSES
    assert "limited to 4 pictures a class of each set" in record["notes"]


@pytest.mark.parametrize("called", ["7", "../../elsewhere"])
def test_a_class_folder_of_another_name_does_not_shift_the_others(tmp_path, called):
    write_gtsrb(tmp_path, tracks=1)
    training = tmp_path / "gtsrb" / "GTSRB" / "Training"
    (training / "00007").rename(training / called)
    with pytest.raises(DatasetError, match=r"Training: has no folder 00007 of pictures"):
        load(tmp_path, tmp_path / "cache")
