"""Records of several probes: a column for the probe in every table, and none where all are SVMs."""

import csv
import io

import pytest
from helpers.records import PAPER_PROTOCOL, make_record

from vggfeat.records.record import write
from vggfeat.report import sweep
from vggfeat.report.frame import read_results
from vggfeat.report.render import render
from vggfeat.report.transfer import compare, numbers, table

SVM = make_record(probe={"solver": "newton"})
LOGISTIC = make_record(
    key="1" * 16,
    probe={"probe": "logistic"},
    protocol=PAPER_PROTOCOL | {"classifier": "logistic regression"},
    metrics={"mean_class_recall": {"value": 0.91, "spread": 0.01}},
)


def test_the_table_has_a_column_for_the_probe_and_compares_a_published_row_with_its_own():
    text = render(table(compare([SVM, LOGISTIC])), "table")
    assert text.splitlines()[0].split()[:2] == ["method", "probe"]
    assert "vgg16@released Caffe model     svm        91.8 ± 1.1 (+0.0) = [2]" in text
    assert "vgg16@released Caffe model     logistic   91.0 ± 1.0 [3]" in text
    assert "Published, 16 layers           svm        91.8 ± 1.0" in text
    assert "[3] published numbers are of a linear SVM.\n" in text


def test_records_of_another_probe_alone_have_the_column_too():
    assert "logistic" in render(table(compare([LOGISTIC])), "table")


@pytest.mark.parametrize("form", ["table", "csv"])
def test_svms_alone_have_no_such_column(form):
    results = compare([SVM])
    assert "probe" not in render(table(results) if form == "table" else numbers(results), form)


def test_csv_and_the_data_frame_state_the_probe(tmp_path):
    lines = list(csv.DictReader(io.StringIO(render(numbers(compare([SVM, LOGISTIC])), "csv"))))
    measured = [line for line in lines if not line["source"]]
    assert [line["probe"] for line in measured] == ["svm", "logistic"]
    assert [line["difference"] for line in measured] == ["0.02", ""]
    for record in (SVM, LOGISTIC):
        write(record, tmp_path)
    frame = read_results(tmp_path).set_index("probe")
    assert frame.loc["svm", "published"] == 91.8 and frame["published"].isna()["logistic"]
    assert frame.loc["logistic", "comparison"] == "" and frame.loc["svm", "solver"] == "newton"


def test_a_sweep_ranks_probes_and_does_not_state_the_solver_of_svms_for_all():
    (ranking,) = sweep.tables([SVM, LOGISTIC])
    text = render(ranking, "table")
    assert [line.split()[0] for line in text.splitlines()[2:4]] == ["svm", "logistic"]
    assert "solver" not in text
    rows = list(csv.DictReader(io.StringIO(render(sweep.numbers([SVM, LOGISTIC]), "csv"))))
    assert [row["probe"] for row in rows] == ["svm", "logistic"]
