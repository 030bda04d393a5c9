"""The table of few examples: rows, columns, and which records stand in one row."""

import csv
import io
from dataclasses import replace

from helpers.records import PAPER_PROTOCOL, make_record

from vggfeat.report.render import as_csv, as_text
from vggfeat.report.shots import numbers, tables
from vggfeat.report.sweep import tables as rankings
from vggfeat.report.transfer import compare, table


def of(shots, value, spread=0.02, probe=None, **changes):
    """A record with so many pictures a class; None: all."""
    draw = {} if shots is None else {"shots": shots, "train_per_class": shots}
    changes["protocol"] = PAPER_PROTOCOL | {"seed": 0} | draw | changes.get("protocol", {})
    metrics = {"mean_class_recall": {"value": value, "spread": spread}}
    return make_record(metrics=metrics, probe={"probe": probe} if probe else {}, **changes)


def rows(*records):
    (made,) = tables(records)
    return made.columns, [[str(cell) for cell in row] for row in made.rows]


def test_a_row_a_probe_with_a_column_for_each_number_and_all_last():
    columns, lines = rows(
        of(None, 0.91),
        of(16, 0.8),
        of(2, 0.5),
        of(2, 0.55, probe="knn"),
        of(None, 0.7, probe="knn"),
    )
    assert columns == ("probe", "2", "16", "all")
    assert lines == [
        ["svm", "50.0 ± 2.0", "80.0 ± 2.0", "91.0 ± 2.0"],
        ["knn", "55.0 ± 2.0", "", "70.0 ± 2.0"],
    ]


def test_methods_stand_in_rows_and_a_single_one_in_the_title():
    other = [{"name": "vgg19", "weights": "torchvision"}]
    columns, lines = rows(of(2, 0.5), of(2, 0.6, nets=other))
    assert columns == ("method", "probe", "2")
    assert [line[0] for line in lines] == ["vgg16@released Caffe model", "vgg19@torchvision"]
    (made,) = tables([of(2, 0.5)])
    assert made.title.endswith("by training pictures a class: vgg16@released Caffe model")


def test_settings_that_differ_make_rows_of_their_own_and_are_named():
    columns, lines = rows(of(2, 0.5), of(2, 0.6, protocol={"scales": [256]}))
    assert [line[0] for line in lines] == [
        "vgg16@released Caffe model (scales 256 384 512)",
        "vgg16@released Caffe model (scales 256)",
    ]


def test_all_pictures_belong_to_the_draws_of_their_seed_and_number_of_splits():
    _, lines = rows(of(2, 0.5), of(None, 0.9), of(None, 0.8, protocol={"seed": 1}))
    assert [line[-1] for line in lines] == ["90.0 ± 2.0", "80.0 ± 2.0"]
    assert lines[1][-2] == ""


def test_draws_from_a_single_split_stand_beside_its_record_whatever_their_seed():
    fixed = {name: v for name, v in PAPER_PROTOCOL.items() if name != "splits"}
    whole = make_record(
        protocol=fixed, metrics={"mean_class_recall": {"value": 0.9, "spread": None}}
    )
    drawn = [of(2, 0.5, protocol={"seed": seed}) for seed in (0, 1)]
    columns, lines = rows(whole, *drawn)
    assert columns[-1] == "all" and [line[-1] for line in lines] == ["90.0", "90.0"]


def test_a_benchmark_without_draws_has_no_table():
    assert tables([of(None, 0.9)]) == []
    assert len(tables([of(None, 0.9), of(2, 0.3, benchmark="voc2007", title="VOC-2007")])) == 1


def test_what_is_lacking_and_how_often_was_drawn_stands_below():
    (made,) = tables([of(32, 0.9, protocol={"train_per_class": "16 to 30"})])
    text = as_text(made)
    assert "Mean ± standard deviation of 3 draws" in text
    assert "32: 16 to 30 a class, as there are no more." in text


def test_leaks_and_skipped_pictures_are_said_below():
    text = as_text(tables([
        of(2, 0.5, protocol={"leaks": 1}), of(4, 0.6, protocol={"leaks": 3}),
        replace(of(None, 0.9), skipped={"a.jpg": "broken"}),
    ])[0])  # fmt: skip
    assert "At most, of a number: 3 test pictures are training pictures too.\n" in text
    assert "At most, of a number: 1 picture was skipped.\n" in text
    assert "At most" not in as_text(tables([of(2, 0.5)])[0])


def test_other_tables_name_the_number_of_pictures():
    records = [of(None, 0.9), of(2, 0.3), of(4, 0.4)]
    text = as_text(table(compare(records, published=())))
    assert all(f"(shots {shots})" in text for shots in ("all", 2, 4))
    assert "shots" in as_text(rankings([r for r in records if r.protocol.get("shots")])[0])
    assert "shots" not in as_text(table(compare(records[:1], published=())))


def test_for_programs_there_is_a_row_a_record():
    lines = list(csv.DictReader(io.StringIO(as_csv(numbers([of(None, 0.9), of(2, 0.3)])))))
    assert [(line["shots"], line["value"], line["probe"]) for line in lines] == [
        ("all", "90.0", "svm"), ("2", "30.0", "svm"),
    ]  # fmt: skip


def test_intervals_stand_behind_values_and_in_columns_of_their_own():
    metrics = {"mean_class_recall": {"value": 0.5, "spread": 0.02, "interval": [0.4, 0.6]}}
    record = replace(of(2, 0.5), metrics=metrics)
    _, lines = rows(record)
    assert lines == [["svm", "50.0 ± 2.0 (40.0 to 60.0)"]]
    assert "95 % interval" in as_text(tables([record])[0])
    (line,) = csv.DictReader(io.StringIO(as_csv(numbers([record]))))
    assert (line["low"], line["high"]) == ("40.0", "60.0")
