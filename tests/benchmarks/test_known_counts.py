"""Counts of what is there against the known ones."""

import csv

import pytest
from helpers.pictures import write_classes

from vggfeat.benchmarks.datasets.registry import BENCHMARKS, load_benchmark
from vggfeat.benchmarks.datasets.synthetic_drawing import write_devkit
from vggfeat.benchmarks.datasets.voc_protocol import CLASSES
from vggfeat.benchmarks.known_counts import KNOWN_COUNTS, counts
from vggfeat.storage.folders import Folders


@pytest.fixture(scope="module")
def known():
    with KNOWN_COUNTS.open(newline="") as file:
        return list(csv.DictReader(file))


def of(known, benchmark, set_name, name=""):
    (row,) = [
        row for row in known if (row["benchmark"], row["set"], row["class"])
        == (benchmark, set_name, name)
    ]  # fmt: skip
    return int(row["count"])


def test_totals_are_the_published_ones(known):
    assert of(known, "caltech101", "all") == 9144 and of(known, "caltech256", "all") == 30607
    assert [of(known, "voc2007", s) for s in ("train", "val", "test")] == [2501, 2510, 4952]
    assert [of(known, "voc2012", s) for s in ("train", "val")] == [5717, 5823]
    assert [of(known, "voc2012_actions", s) for s in ("train", "val")] == [3134, 3144]
    assert of(known, "caltech101", "all", "BACKGROUND_Google") == 467
    assert of(known, "caltech256", "all", "257.clutter") == 827


def test_caltechs_classes_add_up_to_their_totals(known):
    for name, num_classes in (("caltech101", 102), ("caltech256", 257)):
        classes = [row for row in known if row["benchmark"] == name and row["class"]]
        assert len(classes) == num_classes
        assert sum(int(row["count"]) for row in classes) == of(known, name, "all")


def test_every_class_is_one_the_benchmark_has(known):
    assert {row["benchmark"] for row in known} <= set(BENCHMARKS)
    for row in known:
        if row["benchmark"] in ("voc2007", "voc2012") and row["class"]:
            assert row["class"] in CLASSES
        assert row["source"]


def load(name, tmp_path):
    return load_benchmark(name, places=Folders(tmp_path, tmp_path / "cache"), offline=True)


@pytest.mark.slow
def test_a_whole_dataset_has_no_difference(known, tmp_path):
    """Caltech-101 with empty files: counting opens none."""
    root = tmp_path / "101_ObjectCategories"
    for row in known:
        if row["benchmark"] == "caltech101" and row["class"]:
            (root / row["class"]).mkdir(parents=True)
            for number in range(int(row["count"])):
                (root / row["class"] / f"image_{number:04d}.jpg").touch()
    found = counts(load("caltech101", tmp_path))
    assert len(found) == 103 and all(count.found == count.known for count in found)
    (root / "accordion" / "image_0000.jpg").unlink()
    differing = [c for c in counts(load("caltech101", tmp_path)) if c.found != c.known]
    assert [(c.name, c.known - c.found) for c in differing] == [("", 1), ("accordion", 1)]


def test_sets_and_positives_of_voc_are_counted(tmp_path):
    write_devkit(tmp_path / "VOC2007", CLASSES, {"train": 9, "val": 8, "test": 7})
    bench = load("voc2007", tmp_path)
    found = {(count.set, count.name): count.found for count in counts(bench)}
    assert len(found) == 3 * 21
    assert [found[s, ""] for s in ("train", "val", "test")] == [9, 8, 7]
    for k, name in enumerate(CLASSES):
        assert found["test", name] == (bench.labels[bench.sets["test"], k] == 1).sum()


def test_the_test_set_of_2012_is_counted_only_where_it_is(tmp_path):
    write_devkit(tmp_path / "VOC2012", CLASSES, {"train": 9, "val": 8})
    assert {count.set for count in counts(load("voc2012", tmp_path))} == {"train", "val"}


def test_nothing_is_known_of_other_benchmarks(tmp_path):
    write_classes(tmp_path / "unpacked" / "digits", {"0": 4, "1": 4})
    assert counts(load_benchmark("digits", places=Folders(tmp_path, tmp_path))) == []
