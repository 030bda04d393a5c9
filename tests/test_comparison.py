"""Which numbers may be compared, and how the table says so."""

import csv
import io

import pytest
from record_maker import PAPER_PROTOCOL, make_record

from vggfeat.benchmarks.bench import PUBLISHED
from vggfeat.comparison import compare, read_published
from vggfeat.tables import render

# Table 11 of the paper, Caltech-101.
TABLE_11 = {
    "Zeiler & Fergus (2013)": ("86.5", "0.5"),
    "Chatfield et al. (2014)": ("88.4", "0.6"),
    "He et al. (2014)": ("93.4", "0.5"),
    "Published, 16 layers": ("91.8", "1.0"),
    "Published, 19 layers": ("92.3", "0.5"),
    "Published, 16 & 19 layers": ("92.7", "0.5"),
}


def measured(**changes):
    rows = compare([make_record(**changes)], read_published(PUBLISHED))
    (row,) = [row for row in rows if row.is_measured]
    return row


def net(name="vgg16", weights="released Caffe model"):
    return {"name": name, "weights": weights, "weights_sha256": "ab"}


def test_published_rows_are_table_11s_and_name_their_source():
    rows = [row for row in read_published(PUBLISHED) if row["benchmark"] == "caltech101"]
    found = {row["method"]: (row["value"], row["spread"]) for row in rows}
    assert found == TABLE_11 | {"Best published, shallow nets (He et al. 2014)": ("93.4", "0.5")}
    assert all("Table 11" in row["source"] for row in rows)


def test_the_best_shallow_row_is_the_best_of_the_shallow_ones():
    rows = [row for row in read_published(PUBLISHED) if row["benchmark"] == "caltech101"]
    shallow = [float(row["value"]) for row in rows if row["kind"] == "shallow"]
    (best,) = [float(row["value"]) for row in rows if row["kind"] == "best shallow"]
    assert best == max(shallow)


def test_the_papers_net_under_the_papers_protocol_may_be_compared():
    row = measured()
    assert row.comparison == "same" and not row.reasons
    assert row.published == 91.8 and row.difference == pytest.approx(0.02)


def test_two_nets_are_compared_with_the_two_nets_row():
    row = measured(nets=[net("vgg16"), net("vgg19")])
    assert row.published == 92.7 and row.comparison == "same"


@pytest.mark.parametrize(
    "protocol, reason",
    [
        ({"scales": [256]}, "scales 256, published 256 384 512"),
        ({"mirror": False}, "mirror no, published yes"),
        ({"aggregate": "average"}, "aggregate average, published stack"),
        ({"splits": 10}, "splits 10, published 3"),
        ({"images": 6039}, "images 6039, published 9144"),
        ({"test_per_class": 20}, "test per class 20, published 50"),
    ],
)
def test_small_deviations_are_near_and_named(protocol, reason):
    row = measured(protocol=PAPER_PROTOCOL | protocol)
    assert row.comparison == "near" and row.reasons == (reason,)
    assert row.difference is not None


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"limited": True}, "LIMITED to a part of the pictures"),
        ({"nets": [net(weights="random:0")]}, "random weights"),
        ({"protocol": PAPER_PROTOCOL | {"classes": 101}}, "classes 101, published 102"),
        (
            {"protocol": PAPER_PROTOCOL | {"train_per_class": 15}},
            "train per class 15, published 30",
        ),
        (
            {"metric": "accuracy", "metrics": {"accuracy": {"value": 0.9, "spread": None}}},
            "metric accuracy, published mean_class_recall",
        ),
    ],
)
def test_decisive_deviations_are_not_comparable(changes, reason):
    row = measured(**changes)
    assert row.comparison == "not comparable" and row.reasons == (reason,)


def test_other_weights_and_skipped_pictures_are_near():
    row = measured(nets=[net(weights="torchvision")], skipped={"a/1.jpg": "broken"})
    assert row.reasons == (
        "weights torchvision, published released Caffe model",
        "skipped pictures: 1",
    )


def test_a_net_without_a_published_number_has_no_difference():
    row = measured(nets=[net("squeezenet1_0", "w.safetensors")])
    assert row.difference is None and row.reasons == ("no published number for this net",)
    assert row.comparison == "same"  # the protocol is


def test_a_changed_net_is_another_net():
    assert measured(nets=[net("vgg16:width=0.5")]).published is None


def test_a_benchmark_without_published_numbers_is_compared_with_nothing():
    row = measured(benchmark="digits", title="Digits")
    assert row.comparison == "" and row.reasons == ("no published number for this benchmark",)


def rows():
    records = [
        make_record(),
        make_record(
            nets=[net("vgg19", "torchvision")],
            protocol=PAPER_PROTOCOL | {"scales": [256]},
            limited=True,
            metrics={"mean_class_recall": {"value": 0.5, "spread": None}},
        ),
        make_record(benchmark="digits", title="Digits"),
    ]
    return compare(records, read_published(PUBLISHED))


def test_the_table_for_people():
    assert render(rows(), "table") == (
        "method                                          Caltech-101, mean class recall (%)"
        "   Digits, mean class recall (%)\n"
        "---------------------------------------------   ----------------------------------"
        "   -----------------------------\n"
        "Best published, shallow nets (He et al. 2014)   93.4 ± 0.5\n"
        "Published, 16 layers                            91.8 ± 1.0\n"
        "Published, 19 layers                            92.3 ± 0.5\n"
        "Published, 16 & 19 layers                       92.7 ± 0.5\n"
        "vgg16@released Caffe model                      91.8 ± 1.1 (+0.0) =               "
        "   91.8 ± 1.1 [1]\n"
        "vgg19@torchvision                               50.0 (-42.3) x LIMITED [2]\n"
        "\n"
        "[1] no published number for this benchmark.\n"
        "[2] not comparable: LIMITED to a part of the pictures; scales 256, published"
        " 256 384 512.\n"
        "Marks: = same protocol as published, ~ near, x not comparable.\n"
    )


def test_markdown_has_as_many_cells_in_every_line():
    lines = [line for line in render(rows(), "md").splitlines() if line.startswith("|")]
    assert len(lines) == 8 and {line.count("|") for line in lines} == {4}


def test_csv_has_a_line_for_every_number():
    lines = list(csv.DictReader(io.StringIO(render(rows(), "csv"))))
    assert len(lines) == 7
    assert lines[4]["value"] == "91.82" and lines[4]["comparison"] == "same"
    assert lines[5]["limited"] == "True" and lines[5]["difference"] == "-42.3"


def test_rows_of_one_method_are_told_apart_by_what_differs():
    records = [
        make_record(protocol=PAPER_PROTOCOL | {"scales": scales, "seed": 0})
        for scales in ([256], [384])
    ]
    table = render(compare(records, read_published(PUBLISHED)), "table")
    assert "vgg16@released Caffe model (scales 256) " in table
    assert "vgg16@released Caffe model (scales 384) " in table


def test_latex_escapes_what_latex_reads_otherwise():
    text = render(rows(), "latex")
    assert r"\begin{tabular}" in text and r"16 \& 19" in text and r"(\%)" in text
