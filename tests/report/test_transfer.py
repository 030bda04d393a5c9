"""The table of transfer benchmarks beside the published numbers."""

import csv
import io

from helpers.records import PAPER_PROTOCOL, make_record, transfer_net

from vggfeat.report.published import PublishedRow, read_published
from vggfeat.report.render import render
from vggfeat.report.transfer import compare, numbers, table


def test_benchmarks_come_in_the_papers_order_published_rows_first():
    records = [
        make_record(benchmark=name, title=name) for name in ("digits", "caltech256", "voc2012")
    ]
    found = compare(records, read_published())
    assert list(dict.fromkeys(row.benchmark for row in found)) == [
        "voc2012",
        "caltech256",
        "digits",
    ]
    assert [row.is_measured for row in found] == sorted(row.is_measured for row in found)


def rows():
    records = [
        make_record(),
        make_record(
            nets=[transfer_net("vgg19", "torchvision")],
            protocol=PAPER_PROTOCOL | {"scales": [256]},
            limited=True,
            metrics={"mean_class_recall": {"value": 0.5, "spread": None}},
        ),
        make_record(benchmark="digits", title="Digits"),
    ]
    return compare(records, read_published())


def test_the_table_for_people():
    assert render(table(rows()), "table") == (
        "method                         Caltech-101, mean class recall (%)"
        "   Digits, mean class recall (%)\n"
        "----------------------------   ----------------------------------"
        "   -----------------------------\n"
        "Best published, shallow nets   93.4 ± 0.5 [1]\n"
        "Published, 16 layers           91.8 ± 1.0\n"
        "Published, 19 layers           92.3 ± 0.5\n"
        "Published, 16 & 19 layers      92.7 ± 0.5\n"
        "vgg16@released Caffe model     91.8 ± 1.1 (+0.0) = [2]           "
        "   91.8 ± 1.1 [3]\n"
        "vgg19@torchvision              50.0 (-42.3) x LIMITED [4]\n"
        "\n"
        "[1] He et al. (2014).\n"
        "[2] same: as far as stated: choice of C on 20 % of the training pictures; grid and solver"
        " not stated.\n"
        "[3] no published number for this benchmark.\n"
        "[4] not comparable: LIMITED to a part of the pictures; scales 256, published"
        " 256 384 512.\n"
        "Marks: = same protocol as published, ~ near, x not comparable.\n"
    )


def test_markdown_has_as_many_cells_in_every_line():
    lines = [line for line in render(table(rows()), "md").splitlines() if line.startswith("|")]
    assert len(lines) == 8 and {line.count("|") for line in lines} == {4}


def test_csv_has_a_line_for_every_number():
    lines = list(csv.DictReader(io.StringIO(render(numbers(rows()), "csv"))))
    assert len(lines) == 7
    assert lines[4]["value"] == "91.82" and lines[4]["comparison"] == "same"
    assert lines[5]["limited"] == "True" and lines[5]["difference"] == "-42.3"


def test_rows_of_one_method_are_told_apart_by_what_differs():
    records = [
        make_record(protocol=PAPER_PROTOCOL | {"scales": scales, "seed": 0})
        for scales in ([256], [384])
    ]
    text = render(table(compare(records)), "table")
    assert "vgg16@released Caffe model (scales 256) " in text
    assert "vgg16@released Caffe model (scales 384) " in text


def test_latex_escapes_what_latex_reads_otherwise():
    text = render(table(rows()), "latex")
    assert r"\begin{tabular}" in text and r"16 \& 19" in text and r"(\%)" in text


def test_a_benchmark_of_the_users_has_published_rows_of_its_own():
    """Their points may be numbers and flags, as Python has them."""
    row = PublishedRow(
        benchmark="signs", method="Published, 16 layers", network="vgg16", source="A. N. Author",
        metric="mean_class_recall", value=90.0, weights="released Caffe model", classes=102,
        train_per_class=30, scales=(256, 384, 512), mirror=True, notes="nothing else",
    )  # fmt: skip
    record = make_record(benchmark="signs", title="Signs")
    published, measured = compare([record], [*read_published(), row])
    assert (published.method, published.value) == ("Published, 16 layers", 90.0)
    assert (measured.comparison, measured.published) == ("same", 90.0)
    other = make_record(benchmark="signs", protocol=PAPER_PROTOCOL | {"mirror": False})
    assert compare([other], [row])[-1].reasons == ("mirror no, published yes",)


def test_own_pictures_are_said_to_have_nothing_to_compare_with_in_one_line():
    """What makes such a number too good stays a note of it."""
    plain = make_record(benchmark="mine", title="Mine", protocol={"own": True, "seed": 0})
    leaking = make_record(
        benchmark="mine", title="Mine", protocol={"own": True, "seed": 1, "leaks": 2}
    )
    text = render(table(compare([plain, leaking], read_published())), "table")
    assert text.endswith(
        "\n\n[1] 2 test pictures are training pictures too.\n"
        "Own pictures: no published number to compare with.\n"
    )
    assert text.count("published") == 1
