"""ImageNet by a probe, and the test sets of its classes: layouts, labels, features used again."""

import json

import numpy as np
import pytest
from helpers.imagenet_folders import (
    IN_200,
    WNIDS,
    pack_test_set,
    write_200,
    write_imagenet,
    write_sketch,
    write_test_set,
    write_v2,
)
from helpers.loaders import assert_same_as_loader, state_counts
from helpers.pictures import NARROW
from torchvision.datasets import ImageFolder

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.datasets.registry import definition_of, load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.features.extract import missing
from vggfeat.storage.folders import Folders


def load(name, data, cache):
    return load_benchmark(name, places=Folders(data, cache), offline=True)


@pytest.fixture
def data(tmp_path):
    """A data folder with ImageNet, -V2, -R, -A and -Sketch, as they are unpacked into it."""
    folder = tmp_path / "data"
    write_imagenet(folder / "imagenet")
    write_v2(folder)
    write_sketch(folder)
    for name in ("imagenet-r", "imagenet-a"):
        write_200(folder, name)
    return folder


def test_imagenets_labels_and_pixels_are_those_of_its_folders(data, tmp_path):
    benchmark = load("imagenet", data, tmp_path)
    for name in ("train", "val"):
        assert_same_as_loader(benchmark, name, ImageFolder(data / "imagenet" / name))
    assert benchmark.classes == tuple(WNIDS.values())
    assert benchmark.ids[0] == "train/n01440764/n01440764_26.JPEG"
    (split,) = benchmark.splits
    assert (len(split.train), len(split.validation), len(split.test)) == (20, 5, 10)
    assert benchmark.protocol["scored_on"] == "val"
    assert benchmark.protocol["validation"] == "drawn from train"
    assert benchmark.notes == ("995 of ImageNet's 1,000 classes are not there: another benchmark",)


def test_validation_pictures_in_one_folder_have_the_classes_of_kaggles_list(data, tmp_path):
    kaggle = tmp_path / "kaggle"
    write_imagenet(kaggle / "ILSVRC" / "Data" / "CLS-LOC", flat=True)
    flat, by_class = load("imagenet", kaggle / "ILSVRC", tmp_path), load("imagenet", data, tmp_path)
    assert [i.rsplit("/", 1)[1] for i in flat.ids] == [i.rsplit("/", 1)[1] for i in by_class.ids]
    assert np.array_equal(flat.labels, by_class.labels)
    assert "val/ILSVRC2012_val_00000001.JPEG" in flat.ids


@pytest.mark.parametrize("name", ["imagenet", "imagenet_r"])
def test_without_imagenet_the_error_says_where_to_get_it_and_where_to_put_it(name, tmp_path):
    write_200(tmp_path, "imagenet-r")
    how = "holds no imagenet/train .*image-net.org: unpack .*imagenet/train/<class>/.* Put"
    with pytest.raises(DatasetError, match=how):
        load(name, tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "folder"),
    [("imagenet_r", "imagenet-r"), ("imagenet_a", "imagenet-a"), ("imagenet_sketch", "sketch")],
)
def test_a_test_sets_labels_and_pixels_are_those_of_its_folders(data, tmp_path, name, folder):
    benchmark = load(name, data, tmp_path)
    tested = ImageFolder(data / folder)
    assert_same_as_loader(benchmark, "test", tested)
    assert benchmark.classes == tuple(tested.classes)
    train = ImageFolder(data / "imagenet" / "train")
    expected = [path for path, k in train.samples if train.classes[k] in tested.classes]
    rows = benchmark.sets["train"]
    assert [str(benchmark.pictures[benchmark.ids[row]]) for row in rows] == expected
    imagenet = load("imagenet", data, tmp_path)
    assert {benchmark.ids[row] for row in rows} <= set(imagenet.ids)
    assert not {benchmark.ids[row] for row in benchmark.sets["test"]} & set(imagenet.ids)


def test_v2s_folders_are_numbers_in_the_order_of_wordnet_ids(data, tmp_path):
    benchmark = load("imagenet_v2", data, tmp_path)
    assert benchmark.classes == tuple(WNIDS.values())
    for row in benchmark.sets["test"]:
        number = int(benchmark.ids[row].split("/")[1])
        assert benchmark.classes[benchmark.labels[row].argmax()] == WNIDS[number]
    assert len(benchmark.sets["test"]) == 10


@pytest.mark.parametrize(
    ("name", "folder", "archive"),
    [
        ("imagenet_v2", "imagenetv2-matched-frequency-format-val",
         "imagenetv2-matched-frequency.tar.gz"),
        ("imagenet_r", "imagenet-r", "imagenet-r.tar"),
        ("imagenet_a", "imagenet-a", "imagenet-a.tar"),
        ("imagenet_sketch", "sketch", "ImageNet-Sketch.zip"),
    ],
)  # fmt: skip
def test_the_archives_give_the_same(data, tmp_path, name, folder, archive):
    unpacked = load(name, data, tmp_path)
    if name == "imagenet_v2":  # its .tar.gz is a plain tar
        pack_test_set(data / folder, data / "v2.tar").rename(data / archive)
    else:
        pack_test_set(data / folder, data / archive)
    (data / folder).rename(tmp_path / "away")
    packed = load(name, data, tmp_path / "cache")
    assert packed.ids == unpacked.ids and np.array_equal(packed.labels, unpacked.labels)


@pytest.mark.parametrize(
    ("name", "folder", "class_name", "reason"),
    [
        ("imagenet_v2", "imagenetv2-matched-frequency-format-val", "1000", "'1000' is no number"),
        ("imagenet_v2", "imagenetv2-matched-frequency-format-val", "fish", "'fish' is no number"),
        ("imagenet_v2", "imagenetv2-matched-frequency-format-val", "01", "second folder of class"),
        ("imagenet_r", "imagenet-r", "n00000001", "'n00000001' is no class of ImageNet"),
        ("imagenet_r", "imagenet-r", "n01491361", "no folder n01491361, a class of imagenet-r"),
    ],
)
def test_a_folder_that_is_no_class_is_refused(data, tmp_path, name, folder, class_name, reason):
    write_test_set(data / folder, {7: class_name}, ".jpg")
    with pytest.raises(DatasetError, match=reason):
        load(name, data, tmp_path)


def test_features_of_training_pictures_are_computed_once(data, tmp_path):
    network, folder = load_network(NARROW), tmp_path / "features"
    imagenet, renditions = (load(name, data, tmp_path) for name in ("imagenet", "imagenet_r"))
    settings = imagenet.settings([network], scales=(32,))
    imagenet.run(network, settings, folder=folder)
    path, lacking = missing(
        renditions.feature_set, renditions.used, network, settings.extraction, folder=folder
    )
    assert path.name.startswith("imagenet-")
    assert lacking == {renditions.ids[row] for row in renditions.sets["test"]}


def test_bench_from_the_command_line(data, run, tmp_path):
    arguments = ("--net", NARROW, "--scales", "32", "--data-dir", data, "--out", tmp_path / "out")
    result = run("bench", "imagenet", "imagenet_r", *arguments, "--limit", "4", "--format", "json")
    assert result.exit_code == 0, result.stderr
    imagenet, renditions = json.loads(result.stdout)
    assert imagenet["protocol"]["classes"] == len(WNIDS)
    assert renditions["protocol"]["classes"] == len(IN_200)
    trained_on = renditions["protocol"]["training_pictures"]
    assert trained_on == "ImageNet's, of the test set's classes alone"
    assert renditions["metric"] == imagenet["metric"] == "accuracy"
    assert "README" not in result.stderr


def test_counts_are_compared(data, run, monkeypatch):
    verify = ("datasets", "verify", "imagenet_v2", "--data-dir", data)
    assert run(*verify).exit_code == 1
    state_counts(monkeypatch, "imagenet_v2", {"test": (len(WNIDS), 2)})
    assert run(*verify).exit_code == 0
    assert [c.total for c in definition_of("imagenet").known_counts] == [1_281_167, 50_000]
