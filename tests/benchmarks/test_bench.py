"""Whole jobs from the command line: all benchmarks, failures, plans, sweeps, data commands."""

import csv
import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from helpers.pictures import NARROW, write_picture
from helpers.trees import write_all

from vggfeat.benchmarks.datasets.registry import names_in_paper
from vggfeat.cli import main

SIXTEEN = "vgg16:width=0.0625,input_size=32@random:0"
NINETEEN = "vgg19:width=0.0625,input_size=32@random:1"
PAPER_NETS = ("--net", SIXTEEN, "--net", NINETEEN, "--net", f"{SIXTEEN}+{NINETEEN}")
IN_PAPER = names_in_paper()
SMALL = ("--scales", "32,48", "--splits", "2", "--offline")


@pytest.fixture(scope="session")
def every_dataset(tmp_path_factory):
    data = tmp_path_factory.mktemp("every")
    write_all(data)
    return data


@pytest.fixture
def run(home, every_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("vggfeat.costs.extraction_seconds.FORWARD_S", 0.01)
    monkeypatch.setattr("vggfeat.costs.extraction_seconds.LOADING_S", 0.01)

    def run(*arguments, data=every_dataset, code=0):
        arguments = [str(argument) for argument in arguments]
        if arguments[0] == "bench":
            arguments += ["--out", str(tmp_path / "out")]
        if arguments[0] != "table":
            arguments += ["--data-dir", str(data)]
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert result.exit_code == code, result.stderr
        return result

    return run


@pytest.mark.slow
def test_bench_all_ends_in_the_papers_table(run, tmp_path):
    result = run("bench", "--all", "--limit", 40, *PAPER_NETS, *SMALL)
    header, rule, *lines = result.stdout.split("\n\n")[0].splitlines()
    titles = ["VOC-2007, mAP, 11 points", "VOC-2012, mAP, area", "Caltech-101", "Caltech-256",
              "VOC-2012 actions, image,", "VOC-2012 actions, image and box"]  # fmt: skip
    assert [header.index(title) for title in titles] == sorted(map(header.index, titles))
    methods = [line[: len(rule.split("   ")[0])].strip() for line in lines]
    assert methods == [
        "Best published, shallow nets", "Published, 16 layers", "Published, 19 layers",
        "Published, 16 & 19 layers", SIXTEEN, NINETEEN, f"{SIXTEEN}+{NINETEEN}",
    ]  # fmt: skip
    assert "89.7" in lines[3] and "92.7 ± 0.5" in lines[3] and "84.0" in lines[3]
    assert all(line.count(" x LIMITED [") == 6 for line in lines[4:])
    assert {path.parent.name for path in (tmp_path / "out").glob("*/*.json")} == set(IN_PAPER)
    assert not list((tmp_path / "out").glob("*/*.server.tar.gz"))  # a part of a set is not sent

    again = run("bench", "--all", "--limit", 40, *PAPER_NETS, *SMALL)
    assert again.stdout == result.stdout
    assert again.stderr.count(": 3 measured already") == 6
    assert run("table", "--out", tmp_path / "out").stdout == result.stdout
    suite = run("bench", "--suite", "paper", "--limit", 40, *PAPER_NETS, *SMALL).stdout
    table = run("table", "--suite", "paper", "--out", tmp_path / "out").stdout
    assert suite == f"{result.stdout}\n{table}" and table.count("LIMITED") == 18


def test_every_record_says_how_it_was_made(run):
    result = run("bench", "--all", "--limit", 40, "--net", NARROW, *SMALL, "--format", "json")
    records = {record["benchmark"]: record for record in json.loads(result.stdout)}
    assert list(records) == IN_PAPER
    for name, record in records.items():
        assert record["limited"] and record["notes"]
        if name.startswith("voc"):
            assert set(record["metrics"]) == {"map_11pt", "map_area", "map_step"}
            assert all("per_class" in metric for metric in record["metrics"].values())
            assert record["metric"] == ("map_11pt" if name == "voc2007" else "map_area")
        else:
            assert set(record["metrics"]) == {"mean_class_recall", "accuracy"}


def test_the_servers_archives_are_written_beside_the_records(run, tmp_path):
    names = ("voc2012", "voc2012_actions", "voc2012_actions_box")
    result = run("bench", *names, "--net", NARROW, *SMALL, "-v")
    archives = sorted((tmp_path / "out").glob("*/*.server.tar.gz"))
    assert [path.parent.name for path in archives] == sorted(names)
    for path in archives:
        with tarfile.open(path) as archive:
            assert all(name.startswith("results/VOC2012/") for name in archive.getnames())
    assert result.stderr.count("for the evaluation server") == 3
    before = [path.read_bytes() for path in archives]
    again = run("bench", *names, "--net", NARROW, *SMALL, "-v").stderr
    assert "3 measurements, made already" in again.splitlines()
    archives[0].unlink()
    run("bench", *names, "--net", NARROW, *SMALL)
    assert [path.read_bytes() for path in archives] == before


@pytest.mark.slow
def test_one_failing_benchmark_does_not_stop_the_others(run, every_dataset, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(every_dataset, broken)
    (broken / "VOCdevkit/VOC2007/ImageSets/Main/dog_val.txt").unlink()
    (broken / "101_ObjectCategories/accordion/image_0003.jpg").write_bytes(b"no picture")
    names = ("voc2007", "caltech101", "caltech256")
    result = run("bench", *names, "--net", NARROW, *SMALL, data=broken, code=1)
    assert "Caltech-256" in result.stdout and "Caltech-101" not in result.stdout
    first, second, last = result.stderr.splitlines()[-3:]
    assert first.startswith("Failed: voc2007: ") and "dog_val.txt: no such list" in first
    assert second.startswith(f"Failed: caltech101, {NARROW}: ") and "image_0003.jpg" in second
    assert last.startswith("Error: 2 failed, 1 measured.") and "the same command" in last

    shutil.rmtree(broken)
    shutil.copytree(every_dataset, broken)
    mended = run("bench", *names, "--net", NARROW, *SMALL, data=broken)
    assert mended.stderr.count("measured already") == 1
    assert all(title in mended.stdout for title in ("VOC-2007", "Caltech-101", "Caltech-256"))


def test_a_change_of_the_test_set_makes_another_server_archive(run, every_dataset, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(every_dataset, data)
    command = ("bench", "voc2012", "--net", NARROW, *SMALL)

    def archives():
        return sorted(path.name for path in (tmp_path / "out").glob("*/*.tar.gz"))

    run(*command, data=data)
    first = archives()
    picture = data / "VOCdevkit/VOC2012/JPEGImages/000095.jpg"  # of test
    whole = picture.read_bytes()
    picture.write_bytes(b"broken")
    told = run(*command, "--on-error", "skip", data=data)
    assert "1 example of the test set has no score" in told.stderr
    incomplete = set(archives()) - set(first)
    assert len(incomplete) == 1 and incomplete.pop().startswith("without-1-")
    again = run(*command, "--on-error", "skip", "-v", data=data)
    assert "made already" in again.stderr and "without-1-" in again.stderr
    planned = run(*command, "--dry-run", data=data).stdout
    assert "measured already" in planned and "the server's archive to be made" in planned
    picture.write_bytes(whole + b" ")  # repaired, but another file
    run(*command, data=data)
    assert len(archives()) == 3 and set(first) < set(archives())


@pytest.mark.parametrize(
    "error, told",
    [(MemoryError(), "not enough memory"), (ValueError("odd"), "unexpected ValueError: odd")],
)
def test_an_unexpected_error_costs_one_measurement_only(run, monkeypatch, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("vggfeat.benchmarks.multi_label.MultiLabel.fit", fail)
    result = run("bench", "voc2007", "caltech101", "--net", NARROW, *SMALL, code=1)
    assert "Caltech-101" in result.stdout
    assert f"Failed: voc2007, {NARROW}: {told}" in result.stderr


def test_what_has_to_be_fetched_comes_after_what_is_here(run, every_dataset, tmp_path):
    data = tmp_path / "data"
    (data / "101_ObjectCategories").parent.mkdir()
    shutil.copytree(every_dataset / "101_ObjectCategories", data / "101_ObjectCategories")
    result = run("bench", "voc2007", "caltech101", "--net", NARROW, *SMALL, data=data, code=1)
    assert "Caltech-101" in result.stdout and "Failed: voc2007: " in result.stderr
    assert result.stderr.index("1 measured") < result.stderr.index("VOCtrainval_06-Nov-2007.tar")


@pytest.mark.parametrize(
    "option, message",
    [
        (("--scales", "16"), "scale 16 is too small"),
        (("--scales", "0"), "scales must be from 1 to"),
        (("--scales", "32,32"), "a scale is given twice"),
    ],
)
def test_options_are_checked_before_anything_is_fetched(run, tmp_path, option, message):
    for more in ((), ("--dry-run",)):
        result = run("bench", "voc2007", "--net", NARROW, *option, *more, data=tmp_path, code=1)
        (line,) = result.stderr.splitlines()
        assert message in line and not result.stdout


def test_the_same_net_is_measured_once_however_it_is_written(run):
    same = "vgg11:input_size=32,width=0.06250@random:0"
    result = run("bench", "caltech101", "--net", NARROW, "--net", same, *SMALL, "--format", "json")
    assert len(json.loads(result.stdout)) == 1


def test_what_is_found_while_measuring_is_told(run):
    """Classes without a number, on stderr and in the table's notes; too few pictures."""
    result = run("bench", "voc2012", "--net", NARROW, *SMALL)
    assert "voc2012: set train has 45 of its 5,717 examples" in result.stderr
    (told,) = [line for line in result.stderr.splitlines() if "left out of the mean" in line]
    names = told.rpartition(": ")[2]
    assert f"(without {names}), published 20" in result.stdout


def test_a_failing_server_archive_is_told_as_such(run, every_dataset, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(every_dataset, data)
    (data / "VOCdevkit/VOC2012/JPEGImages/000095.jpg").write_bytes(b"broken")
    result = run("bench", "voc2012", "--net", NARROW, *SMALL, data=data, code=1)
    assert f"Failed: voc2012, {NARROW}, the server's archive: " in result.stderr
    assert "1 failed, 1 measured" in result.stderr and "VOC-2012" in result.stdout


def test_a_dataset_that_cannot_be_fetched_is_asked_for_once(run, tmp_path):
    names = ("voc2012", "voc2012_actions", "voc2012_actions_box")
    result = run("bench", *names, "--net", NARROW, *SMALL, data=tmp_path, code=1)
    failed = [line for line in result.stderr.splitlines() if line.startswith("Failed: ")]
    assert "VOCtrainval_11-May-2012.tar" in failed[0]
    assert failed[1:] == [
        f"Failed: {name}: its dataset could not be fetched, see voc2012." for name in names[1:]
    ]


def test_the_embedded_benchmarks_run_through_every_part(run, tmp_path):
    """What `vggfeat demo` runs, with one narrow net: several labels, boxes, an archive."""
    result = run(
        "bench", "synthetic_scenes", "synthetic_actions", "--net", NARROW, "--scales", "48",
        "--format", "json",
    )  # fmt: skip
    scenes, actions = json.loads(result.stdout)
    assert scenes["metrics"]["map_11pt"]["value"] > 0.25  # chance is about 0.2
    assert scenes["protocol"]["classes"] == 8 and actions["protocol"]["classes"] == 7
    assert actions["metrics"]["map_area"]["value"] > 0.8  # each shape fills its box
    (path,) = (tmp_path / "out" / "synthetic_actions").glob("*.server.tar.gz")
    with tarfile.open(path) as archive:
        assert all(name.startswith("results/synthetic/comp10_") for name in archive.getnames())


def test_a_failure_alone_is_one_line(run, tmp_path):
    result = run("bench", "caltech101", "--net", NARROW, *SMALL, data=tmp_path, code=1)
    (line,) = [line for line in result.stderr.splitlines() if "Error" in line]
    assert "caltech-101.zip" in line and "Failed" not in result.stderr and not result.stdout


def test_failures_leave_the_json_a_list(run, tmp_path):
    result = run(
        "bench", "caltech101", "voc2007", "--net", NARROW, *SMALL, "--format", "json",
        data=tmp_path, code=1,
    )  # fmt: skip
    assert json.loads(result.stdout) == []


def test_dry_run_tells_what_would_be_done_and_does_nothing(run, home, tmp_path):
    command = ("bench", "voc2007", "caltech101", "--net", NARROW, "--scales", "32,48")
    first, made, second, to_make, total = run(*command, "--dry-run").stdout.splitlines()
    assert first.startswith("voc2007: in ") and second.startswith("caltech101: in ")
    assert made.startswith(
        f"  {NARROW}: to measure, 135 pictures; 135 descriptors to extract, 0.3 "
    )
    assert "is missing)" in made and "133 descriptors to extract" in to_make
    assert total.startswith("In all: 2 measurements, 0 made already; 268 descriptors to extract, ")
    assert "GB free, about" in total
    assert not home.exists() and not (tmp_path / "out").exists()

    run("bench", "voc2007", "--net", NARROW, "--scales", "32,48")
    lines = run(*command, "--net", SIXTEEN, "--net", f"{NARROW}+{SIXTEEN}", "--dry-run").stdout
    _, made, new, both, *_ = lines.splitlines()
    assert made.startswith(f"  {NARROW}: measured already, ")
    assert "135 descriptors to extract" in new and new.startswith(f"  {SIXTEEN}: ")
    assert both.endswith("no more descriptors to extract")  # the line before has them


def test_dry_run_counts_what_is_not_fetched_yet(run, home, tmp_path):
    result = run("bench", "--all", "--net", NARROW, "--scales", "32", "--dry-run", data=tmp_path)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("voc2007: to be fetched, VOCtrainval_06-Nov-2007.tar (0.5 GB), ")
    assert "9,963 pictures; 9,963 descriptors to extract" in lines[0]
    assert lines[4].endswith("no more descriptors to extract")  # actions share VOC 2012's
    assert "4,588 pictures; 6,278 descriptors to extract" in lines[5]  # the boxes
    assert "6 measurements, 0 made already" in lines[-1] and not home.exists()
    swept = run(
        "bench", "caltech101", "--net", NARROW, "--dry-run", "--sweep", "scales,aggregate,relu",
        data=tmp_path,
    )  # fmt: skip
    # Two nets; one set of three scales, three pairs, combined in two ways; three single scales.
    assert "22 measurements" in swept.stdout
    mirrors = run("bench", "caltech101", "--net", NARROW, "--dry-run", "--sweep", "mirror",
                  data=tmp_path)  # fmt: skip
    assert "18,288 descriptors to extract" in mirrors.stdout  # with mirrors, and without
    offline = run("bench", "caltech101", "--net", NARROW, "--dry-run", "--offline",
                  data=tmp_path, code=1)  # fmt: skip
    assert "caltech101: cannot be measured: not here, and --offline" in offline.stdout


def test_dry_run_plans_for_weights_that_are_not_fetched_yet(run, monkeypatch, tmp_path):
    def seconds(self, network, options, count, pictures):
        assert network.name == "vgg11" and len(pictures) == count
        self._starts[network] = 0.0  # it was measured
        return 36.0 * count

    monkeypatch.setattr("vggfeat.costs.extraction_seconds.ExtractionSeconds.of", seconds)
    result = run("bench", "caltech101", "--net", "vgg11", "--dry-run")
    # 132,863,336 parameters (paper, table 2).
    assert result.stdout.startswith("vgg11@torchvision: weights to be fetched, 0.5 GB\n")
    assert "  vgg11@torchvision: to measure, 133 pictures; 133 descriptors" in result.stdout
    assert "free, about 80 min as measured just now on this CPU (" in result.stdout
    several = run("bench", "caltech101", "--net", "vgg11", "--dry-run", "--gpus", 4)
    if not torch.cuda.is_available():
        assert "about 20 min on 4 devices, if each is as fast as this CPU (" in several.stdout
    shared = run(
        "bench", "caltech101", "--net", "vgg11", "--dry-run", "--gpus", 4, "--device", "cpu"
    )
    assert "about 80 min as measured just now on this CPU (" in shared.stdout
    assert "whose cores the 4 processes share" in shared.stdout


def test_dry_run_offline_promises_no_weights_that_would_have_to_be_fetched(run):
    result = run("bench", "caltech101", "--net", "vgg11", "--dry-run", "--offline", code=1)
    told = "cannot be measured: weights not here, and --offline"
    assert result.stdout.startswith(f"vgg11@torchvision: {told}\n")
    assert f"  vgg11@torchvision: {told}: vgg11@torchvision\n" in result.stdout
    assert "to be fetched" not in result.stdout and "In all: 0 measurements" in result.stdout
    assert result.stderr.endswith("Error: weights not here, and --offline: vgg11@torchvision.\n")


def test_dry_run_goes_on_past_a_benchmark_that_cannot_be_loaded(run, every_dataset, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(every_dataset, broken)
    shutil.rmtree(broken / "VOCdevkit/VOC2007/ImageSets/Main")
    result = run(
        "bench", "voc2007", "caltech101", "--net", NARROW, "--dry-run", data=broken, code=1
    )
    assert "Error: 1 benchmark cannot be measured." in result.stderr
    assert result.stdout.startswith("voc2007: cannot be measured: ")
    assert "1 measurement" in result.stdout


@pytest.mark.slow
def test_a_sweep_measures_every_combination_and_extracts_once_for_all_scales(run, tmp_path):
    command = (
        "bench", "caltech101", "--net", NARROW, "--scales", "32,48", "--splits", "2",
        "--limit", "12",
    )  # fmt: skip
    axes = ("--sweep", "scales,aggregate,scale_l2")
    result = run(*command, *axes, "--verbose")
    assert len(list((tmp_path / "out" / "caltech101").glob("*.json"))) == 6
    assert result.stderr.count("new descriptors") == 1
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["scales", "aggregate"] and len(lines) == 2 + 6 + 2
    assert run("table", "--sweep", "--out", tmp_path / "out").stdout == result.stdout
    with_mirrors = run(*command, "--sweep", "scales,aggregate,scale_l2,mirror,relu", "-v")
    assert "6 measured already" in with_mirrors.stderr
    # Descriptors after and before the ReLU come from one pass.
    assert with_mirrors.stderr.count("new descriptors") == 2
    assert len(list((tmp_path / "out" / "caltech101").glob("*.json"))) == 6 * 4
    planned = run(*command, *axes, "--dry-run").stdout
    assert planned.count("measured already") == 6


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("bench", "voc07"), "'voc07': no folder of that name is here. Did you mean 'voc2007'?"),
        (("bench", "voc2007", "--sweep", "scale"), "Did you mean 'scales'?"),
        (("bench", "voc2012_actions_box", "--box-margin", "-1"), "box margin must be from 0 to 10"),
        (("bench", "voc2007", "--limit", "1"), "limit must be at least 2"),
        (("datasets", "splits", "caltech10"), "Did you mean 'caltech101'?"),
        (("datasets", "verify", "voc20012"), "Did you mean 'voc2012'?"),
        (("datasets", "fetch", "voc20012"), "Did you mean 'voc2012'?"),
    ],
)  # fmt: skip
def test_mistypes_are_told_in_one_line(run, arguments, message):
    result = run(*arguments, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and message in line


def test_splits_are_written_for_others_to_use(run):
    result = run("datasets", "splits", "caltech101", "--splits", "2", "--seed", "3")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["split", "part", "example", "classes"]
    assert {row["split"] for row in rows} == {"0", "1"}
    assert {row["part"] for row in rows} == {"train", "validation", "test"}
    assert all(row["example"].startswith(f"{row['classes']}/") for row in rows)
    bench = run(
        "bench", "caltech101", "--net", NARROW, "--scales", "32", "--splits", "2", "--seed", "3",
        "--format", "json",
    )  # fmt: skip
    (record,) = json.loads(bench.stdout)
    assert result.stderr.strip() == f"splits_sha256 {record['splits_sha256']}"
    assert sum(row["part"] == "test" for row in rows) == sum(record["n_test"])
    # The digest as docs/protocols.md says it is made.
    parts = ("train", "validation", "test")
    splits = [
        [[row["example"] for row in rows if (row["split"], row["part"]) == (n, p)] for p in parts]
        for n in ("0", "1")
    ]
    assert hashlib.sha256(json.dumps(splits).encode()).hexdigest() == record["splits_sha256"]


def test_splits_are_utf8_whatever_the_terminal_shows(home, tmp_path):
    for name in ("ameise", "bär"):
        for number in range(4):
            write_picture(tmp_path / "tiere" / name / f"{number}.png", (8, 8), seed=number)
    (tmp_path / "tiere.py").write_text(
        "from pathlib import Path\n"
        "from vggfeat import *\n"
        "TIERE = DatasetDefinition(\n"
        "    name='tiere', title='Tiere',\n"
        "    source=LocalFolder(Path(__file__).parent / 'tiere'),\n"
        "    build=class_folder_benchmark, scales=(8,), aggregate='stack',\n"
        "    protocol=ClassFolderProtocol(train_per_class=3, test_per_class=None),\n"
        ")\n"
    )
    arguments = ["datasets", "splits", f"{tmp_path / 'tiere.py'}:TIERE", "--splits", "1"]
    result = CliRunner(charset="ascii").invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    assert "bär/0.png,bär" in result.stdout_bytes.decode("utf-8")


def test_splits_of_voc_name_the_classes_of_a_picture(run):
    rows = list(csv.DictReader(io.StringIO(run("datasets", "splits", "voc2007").stdout)))
    assert len(rows) == 135 and max(len(row["classes"].split()) for row in rows) > 1


def test_verify_tells_what_differs_and_what_leaks(run, every_dataset, tmp_path):
    leaking = tmp_path / "leaking"
    shutil.copytree(every_dataset, leaking)
    root = leaking / "VOCdevkit" / "VOC2007" / "JPEGImages"
    shutil.copy(root / "000002.jpg", root / "000100.jpg")  # of train, to test
    result = run("datasets", "verify", "voc2007", data=leaking, code=1)
    lines = result.stdout.splitlines()
    assert lines[0] == "voc2007: 0 of 63 counts as known"
    assert lines[1] == "  train: 45 found, 2,501 known" and "  and 53 more" in lines
    assert lines[-2] == "  1 test picture is a training picture too"
    assert lines[-1] == "  split 0: 000100 is 000002"
    assert "Error: not as distributed, or leaking: voc2007." in result.stderr
    record = run("bench", "voc2007", "--net", NARROW, "--scales", "32", "--format", "json",
                 data=leaking)  # fmt: skip
    assert any("000100 is 000002" in note for note in json.loads(record.stdout)[0]["notes"])


def test_verify_goes_on_past_a_broken_dataset_and_knows_altered_archives(
    run, every_dataset, tmp_path
):
    data = tmp_path / "data"
    shutil.copytree(every_dataset / "VOCdevkit", data / "VOCdevkit")
    (data / "VOCdevkit/VOC2007/ImageSets/Main/val.txt").unlink()
    with tarfile.open(data / "256_ObjectCategories.tar", "w") as archive:
        archive.add(every_dataset / "256_ObjectCategories", "256_ObjectCategories")
    result = run("datasets", "verify", "voc2007", "voc2012", "caltech256", data=data, code=1)
    assert "val.txt: no such list" in result.stdout
    assert "voc2012: 0 of 43 counts as known" in result.stdout
    assert "256_ObjectCategories.tar is not the file as distributed" in result.stdout


def test_verify_without_names_looks_at_what_is_there(run, tmp_path):
    result = run("datasets", "verify", code=1)
    assert [line for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        f"{name}: {line}" for name, line in zip(IN_PAPER, [
            "0 of 63 counts as known", "0 of 43 counts as known", "2 of 103 counts as known",
            "0 of 258 counts as known", "0 of 22 counts as known", "0 of 22 counts as known",
        ], strict=True)
    ]  # fmt: skip
    assert result.stdout.count("  no test pictures are training pictures too") == 6
    empty = run("datasets", "verify", data=tmp_path, code=1)
    assert "holds none of the datasets" in empty.stderr


def test_fetch_says_which_host_does_not_answer(run, monkeypatch, tmp_path):
    from vggfeat.benchmarks.datasets import registry
    from vggfeat.storage.sources import Source

    nowhere = ((Source("http://127.0.0.1:9/a.tar", "md5", "ab"),),)
    changed = [
        replace(definition, source=replace(definition.source, archives=nowhere))
        for definition in registry.DATASETS
        if definition.in_paper
    ]
    monkeypatch.setattr(registry, "DATASETS", changed)
    result = run("datasets", "fetch", "--all", data=tmp_path, code=1)
    lines = result.stderr.splitlines()
    assert sum("127.0.0.1" in line and "does not answer" in line for line in lines) == 4
    assert lines[-1].startswith("Error: 4 of 4 datasets could not be fetched.")
    assert "or give --all" in run("datasets", "fetch", code=2).stderr
