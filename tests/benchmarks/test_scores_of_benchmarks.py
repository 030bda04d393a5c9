"""The scores beside a record are those that its numbers were computed from."""

import json

import numpy as np
import pytest
from helpers.pictures import NARROW
from sklearn.metrics import balanced_accuracy_score

from vggfeat import metrics
from vggfeat.records.scores import read_scores, scores_path


@pytest.fixture
def measured(run, caltech_dir, tmp_path):
    """A function: run bench, and return the record, its path and its scores."""

    def measured(name, *options):
        out = tmp_path / "out"
        command = ("bench", name, "--net", NARROW, "--scales", "32", "--out", out, *options)
        result = run(*command, "--data-dir", caltech_dir, "--quiet")
        assert result.exit_code == 0, result.stderr
        (path,) = (out / name).glob("*.json")
        record = json.loads(path.read_text())
        return record, path, read_scores(scores_path(path), record["scores_sha256"])

    return measured


def test_mean_class_recall_follows_from_the_scores(measured):
    record, _, scores = measured("caltech101", "--splits", "2")
    assert scores.scores.dtype == np.float32 and not np.isnan(scores.scores).any()
    assert [int((scores.splits == n).sum()) for n in (0, 1)] == record["n_test"]
    for number, value in enumerate(record["metrics"]["mean_class_recall"]["per_split"]):
        of_split = scores.splits == number
        truth = scores.labels[of_split].argmax(axis=1)
        predicted = scores.scores[of_split].argmax(axis=1)
        assert balanced_accuracy_score(truth, predicted) == pytest.approx(value, abs=1e-6)


def test_average_precision_follows_from_the_scores(measured):
    record, _, scores = measured("synthetic_scenes")
    for k, name in enumerate(scores.classes):
        ap = metrics.average_precisions(scores.labels[:, k], scores.scores[:, k])["map_11pt"]
        expected = record["metrics"]["map_11pt"]["per_class"][name]
        assert ap == pytest.approx(expected, abs=2e-3)  # float32 scores may tie


def test_the_ids_are_those_of_the_splits(measured, run, caltech_dir):
    _, _, scores = measured("caltech101", "--splits", "1")
    listed = run("datasets", "splits", "caltech101", "--data-dir", caltech_dir, "--splits", "1")
    lines = [line.split(",") for line in listed.stdout.splitlines()]
    assert list(scores.ids) == [line[2] for line in lines if line[1] == "test"]


def test_an_unreadable_test_picture_has_the_lowest_score(measured, caltech_dir, run):
    listed = run("datasets", "splits", "caltech101", "--data-dir", caltech_dir, "--splits", "1")
    broken = next(line.split(",")[2] for line in listed.stdout.splitlines() if ",test," in line)
    (caltech_dir / "101_ObjectCategories" / broken).write_bytes(b"broken")
    record, _, scores = measured("caltech101", "--splits", "1", "--on-error", "skip")
    assert list(record["skipped"]) == [broken]
    assert np.isneginf(scores.scores[scores.ids.index(broken)]).all()
