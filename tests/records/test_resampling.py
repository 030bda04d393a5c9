"""Intervals of a record's metrics, from the scores beside it."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.records import errors
from helpers.scored import of_classes, write_scored

import vggfeat
from vggfeat.errors import RecordError
from vggfeat.records.record import read
from vggfeat.records.resampling import all_with_intervals, intervals, scored_record, with_intervals


def test_the_interval_of_an_error_is_about_that_of_the_normal_approximation(tmp_path):
    """0.2 of 400 pictures: a standard error of 0.02."""
    predicted = np.repeat([0, 1], [320, 80])
    scores = (predicted[:, None] == np.arange(3)).astype(float)
    path = write_scored(
        tmp_path, of_classes(np.zeros(400, dtype=int)), scores,
        metric="top1_error", metrics=errors(top1_error=0.2, top5_error=0.0),
    )  # fmt: skip
    by_name = intervals(scored_record(path, read(path)))
    assert by_name["top1_error"] == pytest.approx((0.2 - 1.96 * 0.02, 0.2 + 1.96 * 0.02), abs=0.004)
    assert by_name["top5_error"] == (0, pytest.approx(1 - 0.025 ** (1 / 400)))  # none is wrong


def test_average_precision_with_an_unread_picture_ranks_it_last(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.choice([1, -1, 0], (60, 3))
    labels[0] = 1
    scores = rng.normal(size=(60, 3)) + labels
    scores[0] = -np.inf
    for metric in ("map_11pt", "map_area", "map_step"):
        path = write_scored(tmp_path, labels, scores, metric=metric, benchmark="voc2007")
        record = read(path)
        low, high = with_intervals(record, path).metrics[metric]["interval"]
        assert low < record.metrics[metric]["value"] < high


def test_people_of_one_picture_are_drawn_together(tmp_path):
    """Three equal people in each picture say no more than one, so the interval is as wide."""
    rng = np.random.default_rng(1)
    labels = rng.choice([1, -1], (40, 3))
    scores = rng.normal(size=(40, 3)) + labels
    widths = []
    for count, ids in (
        (1, [f"2010_{n:06d} 1" for n in range(40)]),
        (3, [f"2010_{n:06d} {person}" for n in range(40) for person in (1, 2, 3)]),
    ):
        path = write_scored(
            tmp_path, labels.repeat(count, axis=0), scores.repeat(count, axis=0), ids=ids,
            metric="map_step", benchmark="voc2012_actions", protocol={"people": 80},
        )  # fmt: skip
        low, high = intervals(scored_record(path, read(path)))["map_step"]
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], abs=1e-9)


def test_a_class_without_scores_comes_last_among_the_likeliest(tmp_path):
    scores = np.eye(3)[[0, 1, 2, 2]]
    path = write_scored(tmp_path, of_classes([0, 1, 2, 1]), scores, metric="top1_error")
    scores[:, 0] = np.nan
    other = write_scored(
        tmp_path, of_classes([0, 1, 2, 1]), scores, metric="top1_error",
        metrics=errors(top1_error=0.5, top5_error=0.0),
    )  # fmt: skip
    low, high = intervals(scored_record(path, read(path)))["top1_error"]
    assert low < 0.25 < high
    assert intervals(scored_record(other, read(other)))["top1_error"] == pytest.approx(
        (0, 1), abs=0.01
    )


def test_errors_among_the_classes_of_the_pictures(tmp_path):
    """The net of three classes takes the fox for a cat, which none of the pictures shows."""
    among_two = {"value": 0.25, "spread": None, "per_class": {"ant": 0, "bee": 0}}
    scores = np.array([[3, 2, 9], [1, 2, 0], [3, 2, 1], [2, 1, 0.0]])  # truth: 0, 1, 1, 0
    path = write_scored(
        tmp_path, of_classes([0, 1, 1, 0]), scores, metric="top1_error",
        metrics=errors(top1_error=0.5, top5_error=0.0) | {"top1_error_present": among_two},
    )  # fmt: skip
    by_name = intervals(scored_record(path, read(path)))
    assert by_name["top1_error_present"].low < 0.25 < by_name["top1_error_present"].high
    assert by_name.keys() == {"top1_error", "top5_error", "top1_error_present"}


def test_scores_of_nothing_are_refused(tmp_path):
    labels, scores = of_classes([0, 1, 2]), np.eye(3)
    facts = {"metrics": {"mean_class_recall": {"value": 1.0, "spread": None}}}
    path = write_scored(tmp_path, labels, np.full_like(scores, -np.inf), **facts)
    with pytest.raises(RecordError, match="holds the scores of no test picture"):
        scored_record(path, read(path))
    path = write_scored(tmp_path, -np.ones((3, 3)), scores, metric="map_area", metrics={
        "map_area": {"value": 1.0, "spread": None}
    })  # fmt: skip
    with pytest.raises(RecordError, match="no class has scores and a positive test picture"):
        intervals(scored_record(path, read(path)))


def test_records_without_scores_stay_as_they_are_and_are_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    scores = np.eye(3)[[0, 1, 2, 2]]
    path = write_scored(tmp_path, of_classes([0, 1, 2, 1]), scores)
    with_scores = read(path)
    older = replace(with_scores, scores_sha256=None)
    first, second = all_with_intervals([with_scores, older], tmp_path)
    assert "interval" in first.metrics["mean_class_recall"] and second == older
    assert "1 of 2 records have no scores beside them" in caplog.text


def test_read_results_has_the_ends_in_columns(tmp_path):
    scores = np.eye(3)[[0, 1, 2, 2] * 10]
    write_scored(tmp_path, of_classes([0, 1, 2, 1] * 10), scores)
    frame = vggfeat.read_results(tmp_path, intervals=True)
    assert frame.low[0] < frame.value[0] < frame.high[0]
    assert "low" not in vggfeat.read_results(tmp_path)
