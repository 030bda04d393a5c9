"""Caltech-style splits: sizes, purity, and classes too small for the protocol."""

import hashlib
import os

import numpy as np
import pytest
from helpers.pictures import write_classes

from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.protocols.class_folder_protocol import (
    ClassFolderProtocol,
    class_folder_benchmark,
)
from vggfeat.benchmarks.sources.local_folder import LocalFolder
from vggfeat.errors import DatasetError, OptionError
from vggfeat.layouts.options import DataOptions

DEFINITION = DatasetDefinition(
    name="folders",
    title="Folders",
    source=LocalFolder("."),
    build=class_folder_benchmark,
    protocol=ClassFolderProtocol(
        train_per_class=5, test_per_class=4, background="BACKGROUND_Google"
    ),
    scales=(32,),
    aggregate="stack",
)


def benchmark(root, **options):
    return class_folder_benchmark(DEFINITION, root, DataOptions(**options))


@pytest.fixture
def root(tmp_path):
    """Empty files: splits are drawn from names alone."""
    counts = {"BACKGROUND_Google": 7, "ant": 20, "bee": 6}
    for name, count in counts.items():
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"image_{i:04d}.jpg").touch()
    return tmp_path


def members(bench, part):
    """Class name -> sorted ids of one part of a split."""
    found = {name: [] for name in bench.classes}
    for row in part:
        found[bench.ids[row].partition("/")[0]].append(bench.ids[row])
    return found


def test_sizes_of_the_parts(root):
    bench = benchmark(root)
    assert bench.classes == ("BACKGROUND_Google", "ant", "bee")
    assert len(bench.splits) == 3
    for split in bench.splits:
        for name, tested in (("BACKGROUND_Google", 2), ("ant", 4), ("bee", 1)):
            assert len(members(bench, split.train)[name]) == 4
            assert len(members(bench, split.validation)[name]) == 1  # 20 % of 5
            assert len(members(bench, split.test)[name]) == tested
        parts = np.concatenate([split.train, split.validation, split.test])
        assert len(set(parts)) == len(parts)


def test_labels_say_which_class_a_picture_is_of(root):
    bench = benchmark(root)
    assert bench.labels.shape == (33, 3) and set(np.unique(bench.labels)) == {-1, 1}
    for i, signs in zip(bench.ids, bench.labels, strict=True):
        assert bench.classes[signs.argmax()] == i.partition("/")[0]
        assert (signs == 1).sum() == 1


def test_the_draw_is_the_stated_function_of_version_seed_split_and_id(root):
    ids = [f"ant/image_{i:04d}.jpg" for i in range(20)]
    order = sorted(ids, key=lambda i: hashlib.sha256(f"1/7/2/{i}".encode()).hexdigest())
    bench = benchmark(root, seed=7)
    split = bench.splits[2]
    assert members(bench, split.train)["ant"] == order[:4]
    assert members(bench, split.validation)["ant"] == order[4:5]
    assert members(bench, split.test)["ant"] == order[5:9]


def test_splits_and_seeds_differ_and_repeat(root):
    first, again, other = benchmark(root), benchmark(root), benchmark(root, seed=1)
    assert first.splits_sha256 == again.splits_sha256 != other.splits_sha256
    assert len({split.test.tobytes() for split in first.splits}) == 3


def test_leaving_out_the_background_changes_no_other_class(root):
    whole, without = benchmark(root), benchmark(root, background=False)
    assert without.classes == ("ant", "bee")
    assert len(whole.classes) == 3 and without.protocol["background"] is False
    for a, b in zip(whole.splits, without.splits, strict=True):
        assert members(whole, a.test)["ant"] == members(without, b.test)["ant"]


def test_other_files_and_hidden_folders_are_no_pictures(root):
    before = benchmark(root)
    (root / "ant" / "tmp").touch()
    (root / "ant" / "notes.txt").touch()
    (root / "ant" / "._image_0001.jpg").touch()  # macOS
    (root / "ant" / "folder.jpg").mkdir()
    (root / ".cache").mkdir()
    (root / "readme.txt").touch()
    assert benchmark(root).ids == before.ids


def test_a_class_too_small_is_halved_and_named(root):
    for i in range(1, 6):
        (root / "bee" / f"image_{i:04d}.jpg").unlink()
    (root / "bee" / "image_0001.jpg").touch()
    (root / "bee" / "image_0002.jpg").touch()
    bench = benchmark(root)
    assert bench.notes == (
        "class 'bee' has 3 pictures, too few for 5 training pictures: 1 were trained on,"
        " the others tested",
    )
    split = bench.splits[0]
    assert len(members(bench, split.test)["bee"]) == 2
    assert bench.protocol["train_per_class"] == "1 to 5"  # so the number will not be comparable
    # Its one training picture serves as validation too; every class must be in both.
    assert members(bench, split.train)["bee"] == members(bench, split.validation)["bee"]


@pytest.mark.parametrize("count, told", [(0, "0 pictures"), (1, "1 picture")])
def test_a_class_with_nothing_to_test_is_left_out_and_named(root, count, told):
    (root / "cow").mkdir()
    for i in range(count):
        (root / "cow" / f"{i}.jpg").touch()
    bench = benchmark(root)
    assert bench.classes == ("BACKGROUND_Google", "ant", "bee")
    assert bench.notes == (f"class 'cow' was left out: it has {told}, and two are needed",)


def test_limit_takes_so_many_pictures_a_class_and_marks_the_benchmark(root):
    bench = benchmark(root, limit=3)
    assert len(bench.ids) == 9 and bench.limited
    assert bench.notes == ("limited to 3 pictures a class",)
    assert not benchmark(root).limited


def test_a_name_that_is_not_utf8_is_named(root):
    (root / "ant" / os.fsdecode(b"caf\xe9.jpg")).touch()
    with pytest.raises(DatasetError, match="not UTF-8"):
        benchmark(root)


@pytest.mark.parametrize("options", [{"limit": 1}, {"num_splits": 0}])
def test_impossible_split_options(options):
    with pytest.raises(OptionError, match="must be"):
        DataOptions(**options)


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="at least two class folders"):
        benchmark(tmp_path)


def test_the_picture_of_an_id_lies_below_the_root(tmp_path):
    write_classes(tmp_path, {"ant": 3, "bee": 3})
    bench = benchmark(tmp_path)
    assert bench.pictures["ant/image_0001.jpg"] == tmp_path / "ant" / "image_0001.jpg"
