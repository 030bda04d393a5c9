"""CUB-200-2011 in its real layout, against another reading of its lists; what is refused; a run."""

import json

import numpy as np
import pandas
import pytest
from helpers.birds import CLASSES, PER_CLASS, pack_cub200, write_cub200
from helpers.loaders import state_counts
from helpers.pictures import NARROW
from PIL import Image

from vggfeat.benchmarks.datasets.registry import load_benchmark
from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.storage.folders import Folders


def load(data, cache):
    return load_benchmark("cub200", places=Folders(data, cache), offline=True)


def tables(root):
    """The lists as one table: number, path, class, train; read by pandas."""
    names = {"images": "path", "image_class_labels": "class", "train_test_split": "train"}
    read = (
        pandas.read_csv(root / f"{name}.txt", sep=" ", names=["number", column], index_col="number")
        for name, column in names.items()
    )
    return pandas.concat(read, axis=1)


def test_ids_labels_and_pixels_are_those_of_the_lists(tmp_path):
    root = write_cub200(tmp_path)
    benchmark, table = load(tmp_path, tmp_path / "cache"), tables(root)
    assert benchmark.classes == CLASSES
    for name, flag in (("train", 1), ("test", 0)):
        rows = benchmark.sets[name]
        expected = table[table["train"] == flag]
        assert [benchmark.ids[row] for row in rows] == [f"images/{p}" for p in expected["path"]]
        labels = benchmark.labels[rows].argmax(axis=1)
        assert (labels + 1 == expected["class"]).all()
        for row, path in zip(rows, expected["path"], strict=True):
            pixels = np.asarray(Image.open(root / "images" / path).convert("RGB"))
            assert (np.asarray(decode(benchmark.pictures[benchmark.ids[row]])) == pixels).all()
    (split,) = benchmark.splits
    assert (len(split.train), len(split.validation), len(split.test)) == (12, 3, 6)
    assert benchmark.notes == (
        "its authors warn that its pictures overlap with those of ImageNet, on which nets are"
        " trained",
    )


def test_the_archive_gives_the_same_and_the_list_beside_the_folder_is_no_matter(tmp_path):
    root = write_cub200(tmp_path / "a")
    unpacked = load(tmp_path / "a", tmp_path / "cache")
    packed = load(pack_cub200(root, tmp_path / "b"), tmp_path / "cache")
    assert packed.ids == unpacked.ids and np.array_equal(packed.labels, unpacked.labels)
    assert packed.splits_sha256 == unpacked.splits_sha256


def test_a_folder_within_one_of_its_name_is_found(tmp_path):
    root = write_cub200(tmp_path / "a")  # as Kaggle's copy unpacks
    root.rename(tmp_path / "a" / "aside")
    (tmp_path / "a" / "CUB_200_2011").mkdir()
    (tmp_path / "a" / "aside").rename(root / "CUB_200_2011")
    assert len(load(tmp_path / "a", tmp_path / "cache").ids) == 21


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("images", "1 ../../a.jpg\n", "not below the folder images"),
        ("images", "1 /etc/a.jpg\n", "not below the folder images"),
        ("images", "one a.jpg\n", "not a new number"),
        ("images", "1 a.jpg\n2 a.jpg\n", r"images\.txt: 'a\.jpg' is there twice"),
        ("image_class_labels", "1 1\n1 2\n", "not a new number"),
        ("image_class_labels", "1 4\n", "picture 1, .* has no class"),
        ("train_test_split", "1 2\n", "picture 1, .* no line of train_test_split.txt"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path, name, text, reason):
    (write_cub200(tmp_path) / f"{name}.txt").write_text(text)
    with pytest.raises(DatasetError, match=reason):
        load(tmp_path, tmp_path / "cache")


def test_a_missing_list_is_named(tmp_path):
    (write_cub200(tmp_path) / "train_test_split.txt").unlink()
    with pytest.raises(DatasetError, match="train_test_split.txt: cannot be read"):
        load(tmp_path, tmp_path / "cache")


def test_bench_and_verify_from_the_command_line(run, tmp_path, monkeypatch):
    write_cub200(tmp_path)
    arguments = ("--net", NARROW, "--data-dir", tmp_path, "--out", tmp_path / "out")
    result = run("bench", "cub200", "--limit", "4", "--scales", "32", *arguments, "--format",
                 "json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert record["metric"] == "accuracy" and record["protocol"]["validation_share"] == 0.2
    assert any("overlap" in note for note in record["notes"])
    verify = ("datasets", "verify", "cub200", "--data-dir", tmp_path)
    assert run(*verify).exit_code == 1
    state_counts(monkeypatch, "cub200", {n: (len(CLASSES), k) for n, k in PER_CLASS.items()})
    assert run(*verify).exit_code == 0
