"""Suites on the command line: listed, planned, tabulated from records."""

import csv
import io
import json

import pytest
from helpers.records import make_record

from vggfeat.benchmarks.datasets.registry import definition_of, names_in_paper
from vggfeat.records.record import write


@pytest.fixture
def results(tmp_path):
    for name in names_in_paper():
        metric = definition_of(name).protocol.metric
        metrics = {metric: {"value": 0.5, "spread": None}}
        title = definition_of(name).title
        record = make_record(benchmark=name, title=title, metric=metric, metrics=metrics)
        write(record, tmp_path / "results")
    return tmp_path / "results"


def test_a_suite_is_a_table_of_records(run, results):
    result = run("table", "--suite", "paper", "--out", results)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "The paper's benchmarks: each set's own metric (%), probe svm\n"
    )
    assert result.stdout.count("50.0") == 6 and "appendix B" in result.stdout
    lines = list(csv.DictReader(io.StringIO(run(
        "table", "--suite", "paper", "--out", results, "--format", "csv").stdout
    )))  # fmt: skip
    assert [line["benchmark"] for line in lines] == names_in_paper()
    records = json.loads(
        run("table", "--suite", "paper", "--out", results, "--format", "json").stdout
    )
    assert {record["benchmark"] for record in records} == set(names_in_paper())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("table", "--suite", "papr"), 2, "Did you mean 'paper'?"),
        (("table", "--suite", "paper", "--sweep"), 2, "leave out --sweep"),
        (("table", "--suite", "paper", "--out", "RESULTS"), 1, "vggfeat bench --suite paper"),
        (("bench", "features.npy", "--suite", "paper"), 1, "--suite"),
    ],
)
def test_what_is_refused_is_one_line(run, tmp_path, arguments, code, message):
    write(make_record(benchmark="digits", title="Digits"), tmp_path)
    result = run(*(tmp_path if a == "RESULTS" else a for a in arguments))
    assert result.exit_code == code and message in result.stderr


def test_suites_are_listed_with_their_papers(run):
    text = run("ls", "suites").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "not measured: Birdsnap" in text and "arXiv 1910.04867" in text
    lines = json.loads(run("ls", "suites", "--format", "json").stdout)
    assert [line["average"] for line in lines] == [None, "mean log odds", "mean accuracy", None]


def test_a_suite_is_planned(run, tmp_path):
    result = run(
        "bench", "--suite", "paper", "--dry-run", "--offline", "--net", "squeezenet1_0@random:0",
        "--data-dir", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 1 and "6 benchmarks cannot be measured" in result.stderr
    assert [line.partition(":")[0] for line in result.stdout.splitlines()[:-1]] == names_in_paper()
