"""Counts of what is there against the known ones."""

import pytest
from helpers.pictures import write_classes

from vggfeat.benchmarks.datasets.registry import DATASETS, definition_of, load_benchmark
from vggfeat.benchmarks.datasets.synthetic_drawing import write_devkit
from vggfeat.benchmarks.known_counts import counts
from vggfeat.benchmarks.protocols.voc_protocol import CLASSES
from vggfeat.storage.folders import Folders


def known(benchmark, set_name):
    (counts_of_set,) = [k for k in definition_of(benchmark).known_counts if k.set == set_name]
    return counts_of_set


def test_totals_are_the_published_ones():
    assert known("caltech101", "all").total == 9144 and known("caltech256", "all").total == 30607
    assert [known("voc2007", s).total for s in ("train", "val", "test")] == [2501, 2510, 4952]
    assert [known("voc2012", s).total for s in ("train", "val")] == [5717, 5823]
    for setting in ("voc2012_actions", "voc2012_actions_box"):
        assert [known(setting, s).total for s in ("train", "val")] == [3134, 3144]
    assert known("caltech101", "all").classes["BACKGROUND_Google"] == 467
    assert known("caltech256", "all").classes["257.clutter"] == 827


def test_caltechs_classes_add_up_to_their_totals():
    for name, num_classes in (("caltech101", 102), ("caltech256", 257)):
        stated = known(name, "all")
        assert len(stated.classes) == num_classes
        assert sum(stated.classes.values()) == stated.total == definition_of(name).num_pictures


def test_every_count_has_a_source_and_every_class_is_one_the_benchmark_has():
    for definition in DATASETS:
        for stated in definition.known_counts:
            assert stated.source
            protocol = definition.protocol
            if classes := getattr(protocol, "actions", getattr(protocol, "classes", ())):
                assert tuple(stated.classes) in (tuple(classes), ())


def load(name, tmp_path):
    return load_benchmark(name, places=Folders(tmp_path, tmp_path / "cache"), offline=True)


@pytest.mark.slow
def test_a_whole_dataset_has_no_difference(tmp_path):
    """Caltech-101 with empty files: counting opens none."""
    root = tmp_path / "101_ObjectCategories"
    for name, count in known("caltech101", "all").classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"image_{number:04d}.jpg").touch()
    compared = counts(load("caltech101", tmp_path))
    assert len(compared) == 103 and all(count.actual == count.expected for count in compared)
    (root / "accordion" / "image_0000.jpg").unlink()
    differing = [c for c in counts(load("caltech101", tmp_path)) if c.actual != c.expected]
    assert [(c.class_name, c.expected - c.actual) for c in differing] == [
        (None, 1),
        ("accordion", 1),
    ]


def test_sets_and_positives_of_voc_are_counted(tmp_path):
    write_devkit(tmp_path / "VOC2007", CLASSES, {"train": 9, "val": 8, "test": 7})
    bench = load("voc2007", tmp_path)
    actual = {(count.set, count.class_name): count.actual for count in counts(bench)}
    assert len(actual) == 3 * 21
    assert [actual[s, None] for s in ("train", "val", "test")] == [9, 8, 7]
    for k, name in enumerate(CLASSES):
        assert actual["test", name] == (bench.labels[bench.sets["test"], k] == 1).sum()


def test_the_test_set_of_2012_is_counted_only_where_it_is(tmp_path):
    write_devkit(tmp_path / "VOC2012", CLASSES, {"train": 9, "val": 8})
    assert {count.set for count in counts(load("voc2012", tmp_path))} == {"train", "val"}


def test_nothing_is_known_of_other_benchmarks(tmp_path):
    write_classes(tmp_path / "unpacked" / "digits", {"0": 4, "1": 4})
    assert counts(load_benchmark("digits", places=Folders(tmp_path, tmp_path))) == []
