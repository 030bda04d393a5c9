"""What a report is made of: the project's own records, from several folders."""

from pathlib import Path

import pytest

from vggfeat.benchmarks.report.read import results_in
from vggfeat.errors import RecordError

RESULTS = Path(__file__).resolve().parents[3] / "results"


def test_records_of_several_folders_are_kept_apart_by_kind_and_each_has_a_label_of_its_own():
    results = results_in([RESULTS / "nets", RESULTS / "ilsvrc"], [RESULTS / "pretraining" / "runs"])
    assert {r.record.benchmark for r in results.transfer} == {"caltech101", "voc2007", "voc2012"}
    assert {r.record.benchmark for r in results.ilsvrc} >= {"ilsvrc_classification"}
    assert len(results.training) == 11
    for benchmark in ("caltech101", "voc2007", "voc2012"):
        labels = [r.label for r in results.transfer if r.record.benchmark == benchmark]
        assert len(set(labels)) == len(labels) == 12


def test_a_record_in_two_folders_is_there_once():
    nets = RESULTS / "nets"
    assert len(results_in([nets, nets]).transfer) == len(results_in([nets]).transfer)


def test_scores_come_with_a_record_that_has_them():
    by_benchmark = {r.record.benchmark: r for r in results_in([RESULTS / "nets"]).transfer}
    scores = by_benchmark["voc2007"].scores()
    assert scores.scores.shape == scores.labels.shape == (len(scores.ids), len(scores.classes))
    assert len(scores.classes) == 20
    assert by_benchmark["caltech101"].scores() is None  # too large to be committed


def test_a_folder_without_records_is_an_error(tmp_path):
    with pytest.raises(RecordError, match="holds no records"):
        results_in([tmp_path])
