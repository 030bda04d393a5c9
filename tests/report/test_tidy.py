"""Tidy data of records, for pandas and R: the same units in CSV and JSON, columns documented."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.records import classified, make_record, net, transfer_net

from vggfeat.cli import main
from vggfeat.report.tidy import COLUMNS, as_csv, as_json, rows

RESULTS = Path(__file__).resolve().parents[2] / "results"
FOLDERS = {"": [], "nets": [], "sweep": ["--sweep"], "ilsvrc": ["--ilsvrc"]}


def printed(form: str, folder: str) -> str:
    arguments = ["table", "--out", str(RESULTS / folder), "--format", form, *FOLDERS[folder]]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_csv_and_json_hold_the_same_numbers_without_artefacts(folder):
    of_csv = list(csv.DictReader(io.StringIO(printed("tidy", folder))))
    of_json = json.loads(printed("tidy-json", folder))
    as_text = [{name: "" if v is None else str(v) for name, v in row.items()} for row in of_json]
    assert of_csv == as_text and of_csv
    assert len({tuple(row) for row in of_json}) == 1  # the same keys in each
    for number in (v for row in of_json for v in row.values() if isinstance(v, float)):
        assert number == round(number, 4)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_column_is_documented(folder):
    (first, *_) = json.loads(printed("tidy-json", folder))
    split_one = {"split_1" if name.startswith("split_") else name for name in first}
    assert split_one <= COLUMNS.keys()
    assert all(meaning for _, meaning in COLUMNS.values())


def test_values_are_percentages_and_those_of_each_split_stand_beside_their_mean():
    metrics = {"mean_class_recall": {"value": 0.5, "spread": 0.1, "per_split": [0.4, 0.6]}}
    (row,) = rows([make_record(metrics=metrics)])
    assert (row["value"], row["spread"], row["split_1"], row["split_2"]) == (50.0, 10.0, 40.0, 60.0)
    assert (row["published"], row["difference"]) == (91.8, -41.8)
    assert row["record"] == "caltech101/vgg16-0123456789abcdef.json"


def test_intervals_are_percentages_too():
    metrics = {"mean_class_recall": {"value": 0.5, "spread": None, "interval": (0.4, 0.61)}}
    (row,) = rows([make_record(metrics=metrics)])
    assert (row["low"], row["high"]) == (40.0, 61.0) and {"low", "high"} <= COLUMNS.keys()


def test_what_a_record_lacks_is_empty_in_csv_and_null_in_json():
    one = make_record(metrics={"mean_class_recall": {"value": 0.5, "spread": None}})
    three = {"mean_class_recall": {"value": 0.5, "spread": 0.0, "per_split": [0.5, 0.5, 0.5]}}
    both = rows([one, make_record(metrics=three)])
    assert json.loads(as_json(both))[0]["split_3"] is None
    first, _ = csv.DictReader(io.StringIO(as_csv(both)))
    assert first["split_3"] == first["spread"] == ""


def test_errors_on_ilsvrc_have_the_papers_beside_them():
    top1, top5 = rows([classified(net(scales=[384], s="256-512"))])
    assert (top1["metric"], top1["published"], top1["difference"]) == ("top1_error", 25.6, 1.1)
    assert (top5["scales"], top5["train_scales"]) == ("384", "256-512")


def test_nets_that_state_no_training_scale_have_none():
    (row,) = rows([make_record(nets=[net(), net(s="384")])])
    assert row["train_scales"] == "256+384"
    (row,) = rows([make_record(nets=[transfer_net("vgg16"), transfer_net("vgg19")])])
    assert row["train_scales"] == ""
