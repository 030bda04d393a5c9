"""vggfeat compare, and --intervals, as a user types them."""

import csv
import io
import json

import numpy as np
import pytest
from helpers.net_files import CLASSES, write_net
from helpers.pictures import NARROW, write_classes
from helpers.scored import of_classes, write_scored

OTHER = NARROW.replace("random:0", "random:1")


@pytest.fixture
def results(tmp_path):
    """Results of three nets, right for 95, 80 and 79 % of 400 pictures in two splits."""
    out, rng = tmp_path / "results", np.random.default_rng(0)
    truth, splits = rng.integers(0, 3, 400), np.repeat([0, 1], 200)
    for net, share in (("vgg19", 0.95), ("vgg16", 0.8), ("vgg13", 0.79)):
        right = rng.random(400) < share
        predicted = np.where(right, truth, (truth + 1) % 3)
        scores = (predicted[:, None] == np.arange(3)).astype(float)
        write_scored(out, of_classes(truth), scores, net=net, splits=splits)
    return out


def test_nets_that_bench_measured(run, caltech_dir, tmp_path):
    out = tmp_path / "results"
    bench = run(
        "bench", "caltech101", "--net", NARROW, "--net", OTHER, "--scales", "32", "--splits", "2",
        "--data-dir", caltech_dir, "--out", out, "--quiet", "--intervals",
    )  # fmt: skip
    assert bench.exit_code == 0, bench.stderr
    assert bench.stdout.count(" to ") >= 2 and "95 % interval" in bench.stdout
    result = run("compare", NARROW, OTHER, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert f"Caltech-101: A is {NARROW}, B is {OTHER}" in result.stdout
    assert "mean of 2 splits" in result.stdout and "split 2" in result.stdout
    text = " ".join(result.stdout.split())
    assert "is better by" in text or "No difference can be seen with these" in text
    frame = run("table", "--out", out, "--intervals", "--format", "csv").stdout
    measured = [row for row in csv.DictReader(io.StringIO(frame)) if row["low"]]
    assert len(measured) == 2
    for row in measured:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_a_pair_at_80_columns(run, results):
    result = run("compare", "vgg19", "vgg16", "--out", results)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert lines[-1].startswith("vgg19 is better by 1")
    text = " ".join(" ".join(lines).split())
    for words in (
        "Intervals are about the 400 test pictures of 2 splits, drawn 10,000 times",
        "A is ahead on all 2 splits.",
        "McNemar's exact test of accuracy: p =",
        "One is better if the interval of the difference excludes 0, and one alone is",
    ):
        assert words in text


def test_all_with_holms_correction(run, results):
    result = run("compare", "--all", "--out", results)
    assert result.exit_code == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if len(line) > 80] == []
    lines = [line.split("   ") for line in result.stdout.splitlines()]
    won = {line[1]: line[-1].strip() for line in lines if line[0] in ("1", "2", "3")}
    assert won == {"vgg19": "2 / 0 / 0", "vgg16": "0 / 1 / 1", "vgg13": "0 / 1 / 1"}
    assert "1 - 2" in result.stdout and "Holm" in result.stdout
    named = run("compare", "vgg19", "vgg16", "vgg13", "--out", results)
    assert named.stdout == result.stdout


def test_csv_and_json_have_all_numbers(run, results):
    command = ("compare", "vgg19", "vgg16", "--out", results, "--format")
    (line,) = json.loads(run(*command, "json").stdout)
    assert line["better"] == "a" and line["low"] < line["difference"] < line["high"]
    assert line["difference"] == pytest.approx(line["value_a"] - line["value_b"], abs=1e-3)
    assert len(line["per_split_a"]) == 2 and line["mcnemar_p"] < 0.001
    (row,) = csv.DictReader(io.StringIO(run(*command, "csv").stdout))
    assert row["words"] == line["words"] and float(row["p"]) == line["p"]


def test_the_pictures_on_which_they_disagree(run, results):
    command = ("compare", "vgg19", "vgg16", "--out", results)
    (line,) = json.loads(run(*command, "--format", "json").stdout)
    listed = run(*command, "--pictures", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(listed)))
    assert len(rows) == line["disagreements"]
    assert sum(row["right"] == "A" for row in rows) == sum(a for a, _ in line["right_alone"])
    for row in rows:
        expected = {"A": row["A"], "B": row["B"]}.get(row["right"], row["labels"])
        assert row["labels"] == expected and row["A"] != row["B"]


def test_no_picture_to_list_is_said(run, tmp_path):
    labels = of_classes([0, 1, 2, 0])
    for net in ("vgg16", "vgg19"):
        write_scored(tmp_path, labels, 1.0 * labels, net=net)
    command = ("compare", "vgg16", "vgg19", "--out", tmp_path, "--pictures")
    assert run(*command).stdout.strip() == (
        "A and B predict the same class for every test picture, so that none is listed."
    )
    assert run(*command, "--format", "csv").stdout.strip() == ""


def test_equal_records_differ_by_0_without_a_sign_too_many(run, tmp_path):
    labels = of_classes([0, 1, 2, 0])
    for net in ("vgg16", "vgg19", "vgg11"):
        write_scored(tmp_path, labels, 1.0 * labels, net=net)
    table = run("compare", "--all", "--out", tmp_path).stdout
    assert table.count("+0.0 (0.0 to 0.0)") == 3 and "-0.0" not in table


@pytest.mark.parametrize("form", ["md", "latex"])
def test_other_formats(run, results, form):
    result = run("compare", "vgg19", "vgg16", "--out", results, "--format", form)
    assert result.exit_code == 0 and "vgg19 is better by" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("vgg19",), 2, "Name two to compare, or give --all."),
        (("--all", "vgg19"), 2, "name none beside it"),
        (("vgg19", "vgg61"), 1, "Did you mean 'vgg1"),
        (("vgg19", "vgg16", "--benchmark", "voc2007"), 1, "There are pairs of caltech101."),
    ],
)
def test_wrong_usage(run, results, arguments, status, message):
    result = run("compare", *arguments, "--out", results)
    assert result.exit_code == status and message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4


def test_tables_show_intervals_on_request_and_say_once_where_there_are_none(run, results):
    (older,) = (results / "caltech101").glob("vgg13-*.json")
    older.with_suffix(".scores.h5").unlink()
    for layout in ((), ("--sweep",)):
        plain = run("table", "--out", results, *layout).stdout
        result = run("table", "--out", results, *layout, "--intervals")
        assert result.stderr == "1 of 3 records have no scores beside them: no intervals\n"
        assert "(low to high)" in result.stdout and "(low to high)" not in plain
        lines = {
            line.split()[0].partition("@")[0]: line for line in result.stdout.splitlines() if line
        }
        assert " to " in lines["vgg19"] and " to " not in lines["vgg13"]


def test_records_of_training_have_no_intervals(run, tmp_path):
    result = run("table", "--runs", tmp_path, "--intervals")
    assert result.exit_code == 2 and "--intervals" in result.stderr


def test_views_of_evaluate_and_its_intervals(run, tmp_path):
    write_classes(tmp_path / "pictures", dict.fromkeys(CLASSES, 3))
    weights = write_net(tmp_path / "net.safetensors")
    result = run(
        "evaluate", "--data", tmp_path / "pictures", "--net", weights, "--scales", "40", "--views",
        "dense", "--views", "centre", "--out", tmp_path / "out", "--quiet", "--intervals",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "(low to high): 95 % interval" in result.stdout
    result = run("compare", "view=dense", "view=centre", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "pictures: A is view dense, B is view centre" in result.stdout
    assert "top-1 error (%)" in result.stdout
