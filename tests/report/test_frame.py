"""Records as a DataFrame."""

import math
from pathlib import Path

import pytest
from helpers.records import classified, make_record, net

import vggfeat
from vggfeat.records.record import write
from vggfeat.report.published import PublishedRow

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_the_committed_results_have_a_row_for_each_record_and_metric():
    frame = vggfeat.read_results(RESULTS)
    assert len(frame) == 5 and frame["is_headline"].sum() == 2
    row = frame[(frame.benchmark == "caltech101") & frame.is_headline].iloc[0]
    assert (row.metric, row.value, row.spread) == ("mean_class_recall", 83.5042, 0.5212)
    assert (row.net, row.splits, row.scales, row.mirror) == ("squeezenet1_0", 3, "256", "no")
    assert row.comparison == "near" and row.reasons.startswith("images 6039, published 9144; ")
    assert math.isnan(row.published) and not row.limited
    assert all(Path(path).is_file() for path in frame.path)


def test_what_evaluate_and_localise_measured_is_there_as_well():
    frame = vggfeat.read_results(RESULTS / "ilsvrc")
    assert set(frame.benchmark) == {"ilsvrc_classification", "ilsvrc_localisation"}
    best = frame[(frame.metric == "top5_error") & (frame.view == "both")].value.min()
    assert f"{best:.1f}" in (RESULTS / "ilsvrc.md").read_text()
    assert set(frame.comparison) <= {"not comparable", ""}


def test_a_number_of_ilsvrc_has_the_papers_beside_it(tmp_path):
    write(classified(net(scales=[384], s="256-512")), tmp_path)
    top1, top5 = vggfeat.read_results(tmp_path).itertuples()
    assert (top1.metric, top1.train_scales, top1.scales) == ("top1_error", "256-512", "384")
    assert (top1.published, top1.difference, top1.comparison) == (25.6, 1.1, "same")
    assert (top5.published, top5.value) == (8.1, 8.6)


def test_a_number_of_transfer_has_the_published_one_of_its_net_and_metric_beside_it(tmp_path):
    metrics = {
        name: {"value": 0.9182, "spread": None} for name in ("mean_class_recall", "accuracy")
    }
    write(make_record(metrics=metrics), tmp_path)
    headline, accuracy = vggfeat.read_results(tmp_path).itertuples()
    assert (headline.published, headline.difference) == (91.8, pytest.approx(0.02))
    assert headline.is_headline and not accuracy.is_headline
    assert math.isnan(accuracy.published) and math.isnan(accuracy.spread)


def test_published_rows_of_the_users_count_too(tmp_path):
    write(make_record(benchmark="signs"), tmp_path)
    row = PublishedRow(
        benchmark="signs", metric="mean_class_recall", value=90.0, method="Published", source="A",
        network="vgg16", weights="released Caffe model",
    )  # fmt: skip
    (without,) = vggfeat.read_results(tmp_path).itertuples()
    (beside,) = vggfeat.read_results(str(tmp_path), [row]).itertuples()
    assert math.isnan(without.published) and without.comparison == ""
    assert (beside.published, beside.comparison) == (90.0, "same")


def test_a_folder_that_is_not_there_is_an_error_of_one_line(tmp_path):
    with pytest.raises(vggfeat.VggfeatError, match="no such results folder"):
        vggfeat.read_results(tmp_path / "gone")
