"""Pictures of the user's as a benchmark: named by their path, split, measured, and told of."""

import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import NARROW, write_classes, write_picture
from PIL import Image

from vggfeat import DataOptions, load_benchmark
from vggfeat.benchmarks.datasets import registry
from vggfeat.errors import DatasetError, UnknownNameError
from vggfeat.records.record import Record

THREE = {"ant": 12, "bee": 10, "cat": 7}


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch, tmp_path):
    """Commands write their results into a folder of the test's."""
    monkeypatch.setattr(registry, "_from_paths", {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path):
    return write_classes(tmp_path / "pictures", THREE)


def touch(root, *paths):
    """Files of their own content each: splits are drawn of names, and copies stay together."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def load(path, **options):
    return load_benchmark(str(path), options=DataOptions(**options))


def counts(benchmark, part, number=0):
    """Pictures of each class in one part of a split."""
    rows = getattr(benchmark.splits[number], part)
    return dict(
        zip(benchmark.classes, (benchmark.labels[rows] > 0).sum(axis=0).tolist(), strict=True)
    )


def bench(run, *arguments):
    """The records that a command makes, and what it prints on stderr."""
    result = run("bench", *arguments, "--net", NARROW, "--scales", 32, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return [Record(**values) for values in json.loads(result.stdout)], result.stderr


# Names


def test_a_folder_a_list_and_a_path_object_lead_to_pictures(pictures, tmp_path, monkeypatch):
    (tmp_path / "some.csv").write_text("path,label\n" + "".join(
        f"pictures/{name}/image_000{n}.jpg,{name}\n" for name in ("ant", "bee") for n in (1, 2)
    ))  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("pictures", "./pictures", pictures, pictures / ""):
        benchmark = load_benchmark(name)
        assert (benchmark.name, benchmark.title) == ("pictures", "pictures")
        assert benchmark.classes == ("ant", "bee", "cat") and len(benchmark.ids) == 29
    assert load_benchmark("some.csv").name == "some" and len(load_benchmark("some.csv").ids) == 4


def test_a_benchmarks_name_comes_first_and_its_folder_has_another(tmp_path, monkeypatch):
    write_classes(tmp_path / "digits", THREE)
    monkeypatch.chdir(tmp_path)
    assert registry.definition_of("digits").title == "Digits"
    definition = registry.definition_of("./digits")
    assert (definition.name, definition.title) == ("own_digits", "digits")


@pytest.mark.parametrize("name", ["./nowhere", "no/where", "nowhere.csv", "~/nowhere"])
def test_a_path_to_nothing_says_so(name):
    with pytest.raises(UnknownNameError, match="no such folder or file.* Known: caltech101"):
        registry.definition_of(name)


def test_a_file_of_another_kind_says_what_is_needed(tmp_path):
    touch(tmp_path, "x.txt")
    with pytest.raises(UnknownNameError, match="it is no folder and no .csv file of pictures"):
        registry.definition_of(str(tmp_path / "x.txt"))


def test_two_folders_of_one_name_are_refused_in_one_command(run, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "more" / "pictures")
    both = run("bench", pictures, tmp_path / "more" / "pictures", "--net", NARROW)
    assert both.exit_code == 1 and both.stderr.startswith(f"Error: {pictures} and {tmp_path}")
    assert "both are called 'pictures'. Rename one of them, or measure them by" in both.stderr
    once = run("bench", pictures, f"{pictures}/", "--net", NARROW, "--dry-run", "--scales", 32)
    assert once.exit_code == 0 and "1 measurement" in once.stdout


def test_an_earlier_folder_does_not_stand_in_for_one_of_the_same_name(
    run, pictures, tmp_path, monkeypatch
):
    write_classes(tmp_path / "here" / "pictures", {"dog": 4, "eel": 4})
    monkeypatch.chdir(tmp_path / "here")
    for path, classes in ((pictures, {"ant", "bee", "cat"}), ("pictures", {"dog", "eel"})):
        lines = run("datasets", "splits", path).stdout.splitlines()[1:]
        assert {line.rpartition(",")[2] for line in lines} == classes


def test_after_a_change_of_the_current_folder_a_relative_path_leads_to_what_is_there(
    pictures, tmp_path, monkeypatch
):
    write_classes(tmp_path / "here" / "pictures", {"dog": 4, "eel": 4})
    assert registry.names_of(["pictures"]) == ["pictures"]
    monkeypatch.chdir(tmp_path / "here")
    assert load_benchmark("pictures").classes == ("dog", "eel")
    monkeypatch.chdir(tmp_path / "here" / "pictures")  # where nothing is called so
    assert load_benchmark("pictures").classes == ("ant", "bee", "cat")


def test_a_name_leads_to_the_path_that_was_given_though_a_folder_here_is_called_so(
    pictures, tmp_path, monkeypatch
):
    write_classes(tmp_path / "here" / "pictures", {"dog": 4, "eel": 4})
    monkeypatch.chdir(tmp_path / "here")
    (name,) = registry.names_of([pictures])
    assert load_benchmark(name).classes == ("ant", "bee", "cat")


# Splits


def test_random_splits_are_stratified_and_as_many_as_asked_for(pictures):
    benchmark = load(pictures, num_splits=5, seed=3)
    assert len(benchmark.splits) == 5
    for number, split in enumerate(benchmark.splits):
        assert counts(benchmark, "test", number) == {"ant": 2, "bee": 2, "cat": 1}
        assert counts(benchmark, "validation", number) == {"ant": 2, "bee": 2, "cat": 1}
        parts = np.concatenate([split.train, split.validation, split.test])
        assert sorted(parts) == list(range(29))
    assert len({tuple(split.test) for split in benchmark.splits}) > 1
    assert load(pictures, num_splits=5, seed=3).splits_sha256 == benchmark.splits_sha256
    assert load(pictures, num_splits=5, seed=4).splits_sha256 != benchmark.splits_sha256
    assert benchmark.protocol == {
        "own": True, "images": 29, "split": "random, stratified", "test_share": 0.2,
        "validation_share": 0.2, "splits": 5, "seed": 3,
    }  # fmt: skip
    assert benchmark.remarks == (
        "29 pictures, 3 classes, one class each; splits 5 random, seed 3: 19 train, 5 validate,"
        " 5 are tested",
    )


def test_copies_stay_with_their_original_in_random_splits(pictures):
    for name in THREE:
        for n in range(1, 7):
            original = pictures / name / f"image_{n:04d}.jpg"
            shutil.copy(original, pictures / name / f"copy_{n}.jpg")
            shutil.copy(original, pictures / "cat" / f"{name}_{n}.jpg")  # even of another class
    benchmark = load(pictures, num_splits=5)
    assert len(benchmark.ids) == 29 + 36 and benchmark.leaks == []
    for split in benchmark.splits:
        assert sorted(np.concatenate([*vars(split).values()])) == list(range(65))


def test_a_class_of_two_copies_is_left_out(pictures):
    (pictures / "aaa").mkdir()
    shutil.copy(pictures / "bee" / "image_0001.jpg", pictures / "aaa" / "1.jpg")
    shutil.copy(pictures / "bee" / "image_0001.jpg", pictures / "aaa" / "2.jpg")
    write_picture(pictures / "one" / "1.jpg")
    benchmark = load(pictures)
    assert benchmark.classes == ("ant", "bee", "cat") and benchmark.leaks == []
    assert benchmark.notes == (
        "classes left out, of one picture but for copies: aaa",
        "classes left out, of one picture: one",
    )


@pytest.mark.parametrize(
    "layout", [{"ant": 5}, {"ant": 5, "bee": 1}, {"ant": 1, "bee": 1, "cat": 1}]
)
def test_fewer_than_two_classes_are_an_error(tmp_path, layout):
    write_classes(tmp_path / "few", layout)
    with pytest.raises(DatasetError, match="few: needs two classes or more with two pictures each"):
        load(tmp_path / "few")


def parted(root, layout):
    """Files <part>/<class>/<n>.jpg; layout is part -> class -> count."""
    for part, classes in layout.items():
        touch(root, *(f"{part}/{c}/{n}.jpg" for c, count in classes.items() for n in range(count)))
    return root


def test_a_split_that_is_given_is_taken_as_it_is(tmp_path):
    root = parted(tmp_path / "x", {"train": {"a": 6, "b": 5}, "val": {"a": 2, "b": 3},
                                   "test": {"a": 4, "b": 1}})  # fmt: skip
    benchmark = load(root, num_splits=4)
    assert [counts(benchmark, part) for part in ("train", "validation", "test")] == [
        {"a": 6, "b": 5}, {"a": 2, "b": 3}, {"a": 4, "b": 1}
    ]  # fmt: skip
    assert benchmark.protocol == {
        "own": True, "images": 21, "split": "as given", "splits": 1, "scored_on": "test",
        "trained_on": "train and val", "validation": "val",
    }  # fmt: skip
    assert {name: len(rows) for name, rows in benchmark.sets.items()} == {
        "train": 11, "val": 5, "test": 5
    }  # fmt: skip


@pytest.mark.parametrize("scored_on", ["test", "val"])
def test_validation_is_drawn_from_train_where_nothing_else_is_left_for_it(tmp_path, scored_on):
    root = parted(tmp_path / "x", {"train": {"a": 10, "b": 5}, scored_on: {"a": 3, "b": 2}})
    benchmark = load(root)
    assert counts(benchmark, "train") == {"a": 8, "b": 4}
    assert counts(benchmark, "validation") == {"a": 2, "b": 1}
    assert counts(benchmark, "test") == {"a": 3, "b": 2}
    assert all(i.startswith(scored_on) for i in np.array(benchmark.ids)[benchmark.splits[0].test])
    stated = {"trained_on": "train", "scored_on": scored_on, "validation": "drawn from train"}
    assert stated.items() <= benchmark.protocol.items()


def test_a_class_without_validation_pictures_validates_with_a_training_picture(tmp_path):
    root = parted(
        tmp_path / "x", {"train": {"a": 4, "b": 1}, "val": {"a": 2}, "test": {"a": 1, "b": 1}}
    )
    benchmark = load(root)
    assert counts(benchmark, "validation") == {"a": 2, "b": 1}
    assert counts(benchmark, "train") == {"a": 4, "b": 1}


def test_classes_of_one_part_only_are_left_out_and_noted(tmp_path):
    root = parted(tmp_path / "x", {"train": {"a": 4, "b": 4, "old": 2},
                                   "test": {"a": 1, "b": 1, "new": 3, "newer": 1}})  # fmt: skip
    benchmark = load(root)
    assert benchmark.classes == ("a", "b")
    assert benchmark.notes == (
        "classes left out, no picture to train on: new, newer",
        "classes left out, no picture to test: old",
    )


def test_train_alone_is_split_at_random(tmp_path):
    benchmark = load(parted(tmp_path / "x", {"train": {"a": 5, "b": 5}}))
    assert len(benchmark.splits) == 3 and benchmark.protocol["split"] == "random, stratified"


@pytest.mark.parametrize("there", ["test", "val"])
def test_nothing_to_train_on_is_an_error(tmp_path, there):
    root = parted(tmp_path / "x", {there: {"a": 5, "b": 5}})
    with pytest.raises(DatasetError, match=f"has pictures of {there}, and none of train"):
        load(root)


def test_limit_takes_so_many_of_each_class_and_part(tmp_path, pictures):
    benchmark = load(pictures, limit=4)
    assert benchmark.limited and len(benchmark.ids) == 12
    assert benchmark.notes == ("limited to 4 pictures a class",)
    root = parted(tmp_path / "x", {"train": {"a": 9, "b": 3}, "test": {"a": 4, "b": 1}})
    limited = load(root, limit=3)
    assert {name: len(rows) for name, rows in limited.sets.items()} == {"train": 6, "test": 4}


# Lists


def multi_label_list(root, count=40):
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for n in range(count):
        write_picture(root / f"{n}.png", (24, 20), seed=n)
        lines.append(f"{n}.png,{';'.join(c for c in 'abc' if rng.random() < 0.5)}")
    (root / "tags.csv").write_text("\n".join(lines))
    return root / "tags.csv"


def test_a_list_of_several_labels_is_scored_by_average_precision(run, tmp_path):
    path = multi_label_list(tmp_path / "in")
    benchmark = load(path)
    assert benchmark.task.metric == "map_area" and benchmark.classes == ("a", "b", "c")
    in_all = (benchmark.labels > 0).sum(axis=0)
    for number in range(3):
        tested = np.array([*counts(benchmark, "test", number).values()])
        assert (abs(tested - 0.2 * in_all) <= 1).all()
    ((record,), _) = bench(run, path)
    assert (record.benchmark, record.metric) == ("tags", "map_area")
    assert record.protocol["own"] and len(record.n_test) == 3


def test_the_order_of_the_lines_does_not_matter(tmp_path):
    path = multi_label_list(tmp_path / "in")
    digest = load(path).splits_sha256
    header, *lines = path.read_text().split("\n")
    path.write_text("\n".join([header, *reversed(lines)]))
    assert load(path).splits_sha256 == digest


def test_a_list_and_its_folder_share_a_feature_file(run, pictures):
    paths = sorted(p.relative_to(pictures).as_posix() for p in pictures.rglob("*.jpg"))
    lines = [f"{path},{path.split('/')[0]}" for path in paths]
    (pictures / "labels.csv").write_text("\n".join(["path,label", *lines]))
    cache = ("--cache-dir", pictures.parent / "cache", "--out", pictures.parent / "results")
    ((of_folder,), _) = bench(run, pictures, *cache)
    ((of_list,), said) = bench(run, pictures / "labels.csv", *cache, "-v")
    assert "new descriptors" not in said
    assert (of_folder.benchmark, of_list.benchmark) == ("pictures", "labels")
    assert of_folder.splits_sha256 == of_list.splits_sha256
    assert of_folder.metrics == of_list.metrics
    assert len(list((pictures.parent / "cache" / "features").glob("*.h5"))) == 1


# Measured


def test_records_know_pictures_wherever_their_folder_lies(run, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "far" / "away" / "pictures")
    ((here,), _) = bench(run, pictures, "--out", tmp_path / "one")
    ((there,), _) = bench(run, tmp_path / "far" / "away" / "pictures", "--out", tmp_path / "two")
    assert here.key == there.key
    files = [record.nets[0]["features"]["file"] for record in (here, there)]
    assert files[0] != files[1] and all(name.startswith("pictures-") for name in files)


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_picture_that_is_another_now_is_seen_though_its_size_is_the_same(
    run, tmp_path, keeps_time
):
    """The key knows pictures by their sizes, which here are other ones for each picture."""
    for number, (name, n) in enumerate(itertools.product(("ant", "bee"), range(4))):
        write_picture(tmp_path / "p" / name / f"{n}.bmp", (40 + 4 * number, 36), seed=number)
    first, _ = bench(run, "p")
    path = tmp_path / "p" / "ant" / "1.bmp"
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before[:-3] + bytes(255 - value for value in before[-3:]))
    if keeps_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    result = run("bench", "p", "--net", NARROW, "--scales", 32)
    assert result.exit_code == 1 and "is of other pictures" in result.stderr
    assert "Move it away to measure again." in result.stderr
    for record in (tmp_path / "results" / "p").glob("*.json"):
        record.unlink()
    again, said = bench(run, "p", "-v")
    assert "1 of its pictures hold something else now, 'ant/1.bmp' among them" in said
    assert "1 new descriptors" in said
    of_first, of_second = (record[0].nets[0] for record in (first, again))
    assert of_first["features"]["sha256"] != of_second["features"]["sha256"]
    assert of_first["pictures_sha256"] != of_second["pictures_sha256"]
    path.touch()  # the same content, written anew
    _, said = bench(run, "p")
    assert "measured already" in said and "hold something else" not in said


def test_two_folders_of_one_name_whose_pictures_have_equal_sizes_are_two(run, tmp_path):
    """As uncompressed pictures have, whatever they show; their ids and sizes are all equal."""
    seeds = itertools.count()
    for version, name, number in itertools.product(("one", "two"), ("ant", "bee"), range(6)):
        path = tmp_path / version / "pictures" / name / f"{number}.bmp"
        write_picture(path, seed=next(seeds))
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    keys = [
        bench(run, tmp_path / version / "pictures", "--out", tmp_path)[0][0].key
        for version in ("one", "two", "copy")
    ]
    assert keys[0] != keys[1] and keys[0] == keys[2]


def test_all_commands_take_a_folder(run, pictures, tmp_path):
    extracted = run("extract", "--dataset", pictures, "--net", NARROW, "--scales", 32)
    assert extracted.stdout.startswith("pictures, vgg11") and "29 new" in extracted.stdout
    planned = run("bench", pictures, "--net", NARROW, "--scales", 32, "--dry-run")
    assert planned.stdout.startswith(f"pictures: in {pictures}\n")
    assert "no more descriptors to extract" in planned.stdout
    lines = run("datasets", "splits", pictures, "--splits", 1).stdout.splitlines()
    assert len(lines) == 30 and lines[1].startswith("0,train,ant/image_00")


def test_the_table_says_in_one_line_that_there_is_nothing_to_compare_with(run, pictures, tmp_path):
    options = ("--net", NARROW, "--scales", "32", "--out", tmp_path / "results")
    table = run("bench", pictures, *options).stdout
    assert table.splitlines()[0].split() == [
        "method",
        "pictures,",
        "mean",
        "class",
        "recall",
        "(%)",
    ]
    assert table.endswith("\n\nOwn pictures: no published number to compare with.\n")
    assert "[1]" not in table
    csv = run("bench", pictures, *options, "--format", "csv").stdout
    assert "own pictures: no published number to compare with" in csv


def test_a_leak_of_a_given_split_is_noted_below_the_table(run, tmp_path):
    write_classes(tmp_path / "x" / "train", {"ant": 6, "bee": 6})
    write_classes(tmp_path / "x" / "test", {"ant": 2, "bee": 2})
    result = run("bench", tmp_path / "x", "--net", NARROW, "--scales", 32, "--out", tmp_path)
    assert "[1] 4 test pictures are training pictures too." in result.stdout


def test_a_measurement_begins_with_what_was_understood(run, pictures, tmp_path):
    touch(pictures, "README.md", "ant/notes.txt")
    _, said = bench(run, pictures, "--out", tmp_path / "results")
    assert "pictures: 29 pictures, 3 classes, one class each; splits 3 random" in said
    assert "pictures: left out, no pictures of a class: README.md, ant/notes.txt" in said


def test_a_broken_picture_is_named_and_can_be_skipped(run, pictures, tmp_path):
    (pictures / "ant" / "image_0003.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    options = ("--net", NARROW, "--scales", 32, "--out", tmp_path / "results")
    stopped = run("bench", pictures, *options)
    assert stopped.exit_code == 1 and "ant/image_0003.jpg: cannot be read" in stopped.stderr
    skipped = run("bench", pictures, *options, "--on-error", "skip")
    assert skipped.exit_code == 0 and "[1] skipped pictures: 1." in skipped.stdout


def test_verify_follows_the_chain_of_a_record(run, pictures, tmp_path, monkeypatch):
    words = ["bench", str(pictures), "--net", NARROW, "--scales", "32"]
    words += ["--out", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["vggfeat", *words])
    assert run(*words).exit_code == 0
    (path,) = (tmp_path / "results" / "pictures").glob("*.json")
    followed = run("verify", path)
    assert "weights, pictures, splits and settings have its key" in followed.stdout
    assert "rows computed again differ by" in followed.stdout and followed.exit_code == 0
    (pictures / "ant" / "image_0003.jpg").unlink()
    assert "its splits are others" in run("verify", path).stdout


# datasets verify


def test_verify_says_what_is_there_before_any_work(run, pictures):
    (pictures / "labels.txt").touch()
    verified = run("datasets", "verify", pictures)
    assert verified.exit_code == 0
    assert (
        verified.stdout
        == """\
pictures:
  29 pictures, 3 classes, one class each; splits 3 random, seed 0: 19 train, 5
    validate, 5 are tested
  left out, no pictures of a class: labels.txt
  pictures of a class: 7 (cat) to 12 (ant), median 10: ant 12, bee 10, cat 7
  no picture is there twice
  no test picture is a training picture too
  every picture can be decoded
"""
    )


def test_verify_names_what_is_wrong_and_its_exit_status_says_so(run, tmp_path):
    root = write_classes(tmp_path / "x" / "train", {"ant": 6, "bee": 6}).parent
    write_picture(root / "test" / "ant" / "1.jpg", seed=1)
    write_picture(root / "test" / "bee" / "1.jpg", seed=2)
    shutil.copy(root / "train" / "ant" / "image_0001.jpg", root / "test" / "ant" / "2.jpg")
    shutil.copy(root / "train" / "ant" / "image_0002.jpg", root / "train" / "bee" / "ant.jpg")
    (root / "test" / "bee" / "empty.png").touch()
    verified = run("datasets", "verify", root)
    said = " ".join(verified.stdout.split())
    assert verified.exit_code == 1 and "to be put right: x" in verified.stderr
    assert "splits as given: 11 train, 2 validate, 4 are tested" in said
    assert "copies, byte for byte: 2: train/ant/image_0001.jpg is test/ant/2.jpg" in said
    assert "wrong: copies with other labels: 1: train/bee/ant.jpg is train/ant/image_0002" in said
    assert "wrong: split 0: 1 test pictures are training pictures too" in said
    assert "wrong: broken pictures, which --on-error skip leaves out: 1: test/bee/empty.png" in said
    assert all(len(line) <= 80 for line in verified.stdout.splitlines())


def test_verify_names_pictures_that_lie_on_their_side(run, pictures):
    """As telephones store them; EXIF data say how they are meant."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), "red").save(pictures / "ant" / "phone.jpg", exif=exif)
    verified = run("datasets", "verify", pictures)
    assert "  lying on their side, which --exif puts right: ant/phone.jpg\n" in verified.stdout
    assert verified.exit_code == 0


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: write_classes(path, {"ant": 9})])
def test_verify_of_what_is_no_benchmark_is_one_line(run, tmp_path, make):
    make(tmp_path / "x")
    verified = run("datasets", "verify", tmp_path / "x")
    assert verified.exit_code == 1 and verified.stdout.startswith(f"x: {tmp_path / 'x'}: ")
    assert verified.stdout.count("\n") == 1
