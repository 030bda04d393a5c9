"""Suites: their lists, and the table of one, with an average only of what its authors average."""

import math
from dataclasses import replace

import pytest
from helpers.records import errors, make_record, transfer_net

from vggfeat.benchmarks import suite_table
from vggfeat.benchmarks.datasets.registry import DATASETS, names_in_paper
from vggfeat.benchmarks.suites import (
    KORNBLITH12,
    SUITES,
    VTAB_NATURAL,
    Average,
    Suite,
    mean_log_odds,
    mean_percent,
    suite_of,
)
from vggfeat.cli import completers
from vggfeat.errors import UnknownNameError
from vggfeat.report.render import render

TWO = Suite(
    name="two",
    title="Two sets",
    benchmarks=("caltech101", "digits"),
    citation="Nobody (2026).",
    average=Average(
        name="mean", of=mean_percent, about="Mean: of both.", unit=" (%)", number_format=".1f"
    ),
    missing={"Birds": "gone"},
    differs=("Digits are smaller here.",),
)


def measured(benchmark, value, net="vgg16", accuracy=0.5, **changes):
    title = {"caltech101": "Caltech-101", "digits": "Digits"}[benchmark]
    values = errors(mean_class_recall=value, accuracy=accuracy)
    nets = [transfer_net(net, "w")]
    return make_record(benchmark=benchmark, title=title, metrics=values, nets=nets, **changes)


def column(table, number=-1):
    """The cells of a column as text, by what stands before them."""
    return {str(row[0]): str(row[number]) for row in table.rows}


BOTH = [measured("caltech101", 0.9), measured("digits", 0.7)]


def test_the_suites_are_those_that_a_shell_completes():
    assert tuple(suite.name for suite in SUITES) == completers.SUITES
    with pytest.raises(UnknownNameError, match="Did you mean 'kornblith12'"):
        suite_of("kornblith")


def test_paper_is_what_all_measures_and_all_is_what_is_not_made_here():
    assert list(suite_of("paper").benchmarks) == names_in_paper()
    made_here = {"digits", "synthetic_scenes", "synthetic_actions"}
    assert {*suite_of("all").benchmarks} == {d.name for d in DATASETS} - made_here


def test_kornblith12_is_eleven_of_twelve_and_vtab_natural_seven():
    assert KORNBLITH12.extent == "11 of 12" and [*KORNBLITH12.missing] == ["Birdsnap"]
    assert VTAB_NATURAL.extent == "7" and VTAB_NATURAL.metric == "accuracy"


def test_metrics_of_kornblith12_are_its_authors():
    """As SimCLR's appendix B.8.1 has them of the same sets."""
    metrics = {name: suite_table.metric_of(KORNBLITH12, name) for name in KORNBLITH12.benchmarks}
    by_class = {"fgvc_aircraft", "oxford_pet", "caltech101", "flowers102"}
    assert {name for name, metric in metrics.items() if metric == "mean_class_recall"} == by_class
    assert metrics.pop("voc2007") == "map_11pt"
    assert set(metrics.values()) == {"mean_class_recall", "accuracy"}


def test_log_odds_are_averaged_not_accuracies():
    """ln(9) and ln(1) average to ln(3), the odds of 75 %; the accuracies to 70 %."""
    assert mean_log_odds([0.9, 0.5]) == pytest.approx(math.log(3))
    assert mean_percent([0.9, 0.5]) == pytest.approx(70)
    assert mean_log_odds([1.0, 0.5]) == math.inf and mean_log_odds([0.0, 0.5]) == -math.inf
    assert math.isnan(mean_log_odds([1.0, 0.0]))


def test_a_row_for_each_benchmark_and_the_average_below():
    table = suite_table.table(TWO, BOTH)
    assert table.columns == ("benchmark", "metric", "vgg16@w")
    assert column(table) == {"Caltech-101": "90.0", "Digits": "70.0", "mean of 2 of 3 (%)": "80.0"}
    assert table.legend == (
        "Nobody (2026).", "Mean: of both.", "Birds is not measured: gone.",
        "Digits are smaller here.",
    )  # fmt: skip


def test_an_average_over_other_sets_than_the_suites_is_never_printed():
    table = suite_table.table(TWO, BOTH[:1])
    assert column(table) == {"Caltech-101": "90.0", "Digits": "", "mean of 2 of 3 (%)": "- [1]"}
    assert table.notes == ("no average: Digits not measured",)
    lines = suite_table.numbers(TWO, BOTH[:1]).rows
    assert len(lines) == 1  # and no average


def test_each_net_has_an_average_of_its_own():
    records = [*BOTH, measured("caltech101", 0.8, net="vgg19")]
    table = suite_table.table(TWO, records)
    assert table.columns[2:] == ("vgg16@w", "vgg19@w")
    assert [str(cell) for cell in table.rows[-1][2:]] == ["80.0", "- [1]"]
    assert [cell.is_best for cell in table.rows[0][2:]] == [True, False]


def test_a_suite_may_average_accuracy_where_the_headline_is_another():
    table = suite_table.table(replace(TWO, metric="accuracy"), BOTH)
    assert table.title == "Two sets: accuracy (%), probe svm"
    assert table.columns == ("benchmark", "vgg16@w")
    assert column(table)["mean of 2 of 3 (%)"] == "50.0"


def test_a_part_of_the_pictures_is_flagged_and_gives_way_to_all_of_them():
    part = measured("digits", 0.6, limited=True)
    limited = column(suite_table.table(TWO, [BOTH[0], part]))
    assert (limited["Digits"], limited["mean of 2 of 3 (%)"]) == ("60.0 LIMITED", "75.0 LIMITED")
    assert column(suite_table.table(TWO, [*BOTH, part]))["Digits"] == "70.0"


def test_several_settings_of_a_benchmark_have_no_average():
    table = suite_table.table(TWO, [*BOTH, measured("digits", 0.6, key="2")])
    assert column(table)["Digits"] == "70.0 / 60.0"
    assert table.notes == ("no average: several settings of Digits",)


def test_infinite_log_odds_are_no_average():
    suite = replace(TWO, average=KORNBLITH12.average)
    table = suite_table.table(suite, [BOTH[0], measured("digits", 1.0)])
    assert table.notes == ("no average: the log odds of 0 % and 100 % are infinite (Digits)",)
    assert column(suite_table.table(suite, BOTH))["mean log odds of 2 of 3"] == "1.52"


def test_probes_and_few_pictures_are_columns():
    records = [
        *BOTH,
        measured("digits", 0.5, probe={"probe": "knn"}),
        measured("digits", 0.4, protocol=BOTH[0].protocol | {"shots": 4}),
    ]
    columns = suite_table.table(TWO, records).columns[2:]
    assert columns == ("vgg16@w (svm)", "vgg16@w (knn)", "vgg16@w (svm, 4 a class)")


def test_numbers_are_a_row_each_with_the_average_last():
    names, rows = suite_table.numbers(TWO, BOTH).data()
    lines = [dict(zip(names, row, strict=True)) for row in rows]
    assert [line["value"] for line in lines] == [90, 70, 80]
    assert (lines[-1]["benchmark"], lines[-1]["metric"]) == ("2 of 3", "mean")


def test_many_nets_with_long_names_are_read_at_80_columns():
    nets = [f"resnet50:layer=layer{n}.2,input_size=160" for n in range(5)]
    records = [measured(name, 0.9, net=net) for name in TWO.benchmarks for net in nets]
    text = render(suite_table.table(TWO, records), "table", width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("Caltech-101") == 1  # one table, not five
    assert all(f"] {net}@w" in text for net in nets)
