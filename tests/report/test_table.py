"""A table as a value, and what its renderers make of it."""

import json

import pytest

from vggfeat.report.render import RENDERERS, render
from vggfeat.report.table import Cell, Notes, Table


@pytest.fixture
def table():
    notes = Notes()
    plain = Cell(values=(91.82,), spread=1.1, notes=notes.refer("as printed"))
    judged = Cell(
        values=(50.0,), difference=-42.3, mark="x", flag="LIMITED", notes=notes.refer("a part")
    )
    return Table.of(
        ["net", "recall (%)", "top-1 / top-5"],
        [["A & B", plain, Cell(values=(29.6, 10.4))], ["C", judged, Cell()]],
        notes=notes.texts,
        legend=("x is worse.",),
        title="Two nets",
    )


@pytest.mark.parametrize(
    "cell, text",
    [
        (Cell(), ""),
        (Cell(text="vgg16"), "vgg16"),
        (Cell(values=(91.82,)), "91.8"),
        (Cell(values=(91.82,), spread=1.06), "91.8 ± 1.1"),
        (Cell(values=(91.82,), spread=1.06, interval=(90.2, 93.14)), "91.8 ± 1.1 (90.2 to 93.1)"),
        (
            Cell(values=(-1.24,), number_format="+.1f", interval=(-2.04, 0.3)),
            "-1.2 (-2.0 to 0.3)",
        ),
        (Cell(values=(91.82,), number_format=".2f", difference=0.02), "91.82 (+0.02)"),
        (Cell(values=(-0.3, 1.0), number_format="+.1f"), "-0.3 / +1.0"),
        (Cell(values=(50.0,), mark="~", flag="LIMITED", notes=(1, 3)), "50.0 ~ LIMITED [1] [3]"),
        (Cell(values=(4.25,), text="4.25 (4 to 5)"), "4.25 (4 to 5)"),
        (Cell.of(0.123456), "0.123456"),
        (Cell.of(True), "True"),
        (Cell.of(None), ""),
    ],
)
def test_a_cell_prints_what_it_has(cell, text):
    assert str(cell) == text


def test_equal_notes_share_a_number():
    notes = Notes()
    assert [notes.refer(text) for text in ("a", "b", "", "a")] == [(1,), (2,), (), (1,)]
    assert notes.texts == ("a", "b")


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="2 cells"):
        Table.of(["a", "b"], [["1"]])


def test_text_is_aligned_with_the_notes_below(table):
    assert render(table, "table") == (
        "Two nets\n"
        "\n"
        "net     recall (%)                   top-1 / top-5\n"
        "-----   --------------------------   -------------\n"
        "A & B   91.8 ± 1.1 [1]               29.6 / 10.4\n"
        "C       50.0 (-42.3) x LIMITED [2]\n"
        "\n"
        "[1] as printed\n"
        "[2] a part\n"
        "x is worse.\n"
    )


def test_markdown_has_a_heading_and_a_paragraph_a_note(table):
    text = render(table, "md")
    assert text.startswith("### Two nets\n\n| net   | recall (%)")
    assert text.endswith("|\n\n[1] as printed\n\n[2] a part\n\nx is worse.\n")


def test_csv_and_frames_have_a_column_for_each_part_of_the_cells(table):
    assert render(table, "csv").splitlines() == [
        "net,recall (%),recall (%) spread,recall (%) difference,recall (%) mark,recall (%) flag,"
        "recall (%) notes,top-1 / top-5",
        "A & B,91.82,1.1,,,,1,29.6 / 10.4",
        "C,50.0,,-42.3,x,LIMITED,2,",
    ]
    frame = table.to_frame()
    assert frame.shape == (2, 8) and list(frame["net"]) == ["A & B", "C"]
    assert frame["recall (%)"].mean() == pytest.approx(70.91)
    assert frame["recall (%) difference"].isna().tolist() == [True, False]


def test_json_has_each_cell_as_the_parts_that_it_has(table):
    content = json.loads(render(table, "json"))
    assert content["title"] == "Two nets" and content["notes"] == ["as printed", "a part"]
    assert content["rows"][0][1] == {"value": 91.82, "spread": 1.1, "notes": "1"}
    assert content["rows"][1][2] == {}


def test_a_number_with_a_text_of_its_own_keeps_both():
    assert Cell(values=(4.25,), text="4.25 (4 to 5)").data() == {
        "value": 4.25, "text": "4.25 (4 to 5)"
    }  # fmt: skip


def test_latex_is_a_tabular_with_what_latex_reads_otherwise_escaped(table):
    text = render(table, "latex")
    assert text.startswith("% Two nets\n\\begin{tabular}") and r"A \& B" in text
    assert text.endswith("% [2] a part\n% x is worse.\n")


@pytest.mark.parametrize("form", RENDERERS)
def test_several_tables_are_one_below_the_other(table, form):
    assert render([table, table], form) == render(table, form) + "\n" + render(table, form)
    assert render([], form) == ""


def test_records_become_rows_with_a_column_for_every_key():
    table = Table.of_records([{"a": 1.0, "b": None}, {"c": "text", "a": 2}])
    assert table.columns == ("a", "b", "c")
    assert render(table, "csv") == "a,b,c\n1.0,,\n2,,text\n"
