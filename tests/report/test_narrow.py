"""Tables for terminals of any width: nothing is wider, and nothing is lost."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from vggfeat.cli import main
from vggfeat.cli.outcomes import show_outcomes
from vggfeat.records.record import read_all
from vggfeat.report import ilsvrc_grid, ilsvrc_tables, sweep, training, transfer
from vggfeat.report.narrow import as_narrow_text
from vggfeat.report.published import CLASSIFICATION, LOCALISATION
from vggfeat.report.table import Cell, Table
from vggfeat.report.wrapping import text_width, wrapped

RESULTS = Path(__file__).resolve().parents[2] / "results"
FOLDERS = [RESULTS, *(RESULTS / name for name in ("nets", "ilsvrc", "some-classes", "sweep"))]
NAMES = Table.of(
    ["method", "VOC-2012, mAP, area (%)", "probe"],
    [
        ["squeezenet1_0@squeezenet1_0_imagenet.safetensors", Cell(values=(57.3,)), "svm"],
        ["vgg16", Cell(values=(89.0,), notes=(1,)), "svm"],
    ],
    notes=("near: images 6039, published 9144; scales 256, published 256 384 512; mirror no",),
    legend=("Marks: = same protocol as published, ~ near, x not comparable.",),
)


def tables_of_the_results() -> list[Table]:
    """Every table that can be made of the project's own records."""
    made = []
    for folder in FOLDERS:
        records = read_all(folder)
        on_ilsvrc = [r for r in records if r.benchmark in (CLASSIFICATION, LOCALISATION)]
        others = [r for r in records if r not in on_ilsvrc]
        if on_ilsvrc:
            made += [*ilsvrc_tables.tables(on_ilsvrc), *ilsvrc_grid.tables(on_ilsvrc)]
        if others:
            made += [transfer.table(transfer.compare(others)), *sweep.tables(others)]
    return [*made, training.table(training.read_training_records(RESULTS / "pretraining/runs"))]


@pytest.fixture(scope="module")
def every_table() -> list[Table]:
    made = tables_of_the_results()
    assert len(made) > 10
    return made


@pytest.mark.parametrize("width", [24, *range(40, 121, 10)])
def test_no_line_is_wider_and_every_word_and_number_is_there(every_table, width):
    for table in every_table:
        text = as_narrow_text(table, width)
        assert max(map(text_width, text.splitlines())) <= width
        letters = "".join(text.split())
        for said in (*table.notes, *table.legend):
            assert "".join(said.split()) in letters
        words = set(text.split())
        for cell in (cell for row in table.rows for cell in row):
            is_cut = "".join(str(cell).split()) in letters  # its name is in the legend
            assert is_cut or width < 40 or words.issuperset(str(cell).split())


def test_titles_are_broken_first_and_names_are_whole_where_they_fit():
    assert as_narrow_text(NAMES, 72).splitlines()[:4] == [
        "method                                            VOC-2012,      probe",
        "                                                  mAP, area (%)",
        "------------------------------------------------  -------------  -----",
        "squeezenet1_0@squeezenet1_0_imagenet.safetensors  57.3           svm",
    ]


def test_a_long_name_is_cut_and_has_a_letter_that_the_legend_explains():
    assert as_narrow_text(NAMES, 40) == (
        """\
method             VOC-2012,      probe
                   mAP, area (%)
-----------------  -------------  -----
squeezenet1_0 [A]  57.3           svm
vgg16              89.0 [1]       svm

[A] squeezenet1_0@squeezenet1_0_
    imagenet.safetensors
[1] near: images 6039, published 9144;
    scales 256, published 256 384 512;
    mirror no
Marks: = same protocol as published, ~
  near, x not comparable.
"""
    )


def test_names_as_titles_are_cut_only_where_the_table_is_too_wide():
    nets = ("resnet50:layer=layer3.2,input_size=160", "vgg16@caffe")
    table = Table.of(("benchmark", *nets), [("digits", Cell(values=(90.0,)), Cell(values=(80.0,)))])
    assert nets[0] in as_narrow_text(table, 72).splitlines()[0]
    assert as_narrow_text(table, 40) == (
        """\
benchmark  resnet50 [A]  vgg16@caffe
---------  ------------  -----------
digits     90.0          80.0

[A] resnet50:layer=layer3.2,input_size=
    160
"""
    )


def test_what_is_still_too_wide_becomes_several_tables():
    table = Table.of(
        ["net", *(f"number {n}" for n in range(5))],
        [["a", *(Cell(values=(n * 11111.1,)) for n in range(1, 6))]] * 2,
    )
    assert (
        as_narrow_text(table, 30)
        == (
            """\
#  net  number 0  number 1
-  ---  --------  --------
1  a    11111.1   22222.2
2  a    11111.1   22222.2

#  net  number 2  number 3
-  ---  --------  --------
1  a    33333.3   44444.4
2  a    33333.3   44444.4

#  net  number 4
-  ---  --------
1  a    55555.5
2  a    55555.5

"""
        ).rstrip("\n")
        + "\n"
    )


def test_rows_that_say_nothing_in_a_part_are_not_in_it():
    table = Table.of(
        ("method", "VOC-2007, mAP, 11 points (%)", "Flowers-102, mean class recall (%)"),
        [("Published, 16 layers", "89.3", Cell()), ("vgg16@caffe", "89.0", "90.0")],
    )
    parts = as_narrow_text(table, 30).split("\n\n")
    assert "Published" in parts[0] and "89.3" in parts[0]
    assert "Published" not in parts[1] and "90.0" in parts[1]


def test_notes_are_cut_between_reasons_only_where_advice_says_how_to_read_them():
    many = Table.of(
        ["a"],
        [[Cell(values=(1.0,), notes=(1,))]],
        notes=("not comparable: random weights; images 6039, published 9144; mirror no",) * 12,
    )
    text = as_narrow_text(many, 40, advice="More: `vggfeat table --notes`.")
    assert "[12] not comparable: random weights; ...\n...: More: `vggfeat table --notes`." in text
    assert "mirror" not in text
    assert as_narrow_text(many, 40).count("mirror\n    no") == 12


def test_wide_letters_take_two_columns():
    table = Table.of(["Klasse", "n"], [["北京烤鸭", "1"], ["Mu\u0308ller", "2"], ["é", "3"]])
    assert as_narrow_text(table, 30).splitlines()[2:5] == [
        "北京烤鸭   1",
        "Mu\u0308ller     2",
        "é          3",
    ]
    assert max(map(text_width, as_narrow_text(table, 24).splitlines())) <= 24
    assert wrapped("北京烤鸭", 5) == ["北京", "烤鸭"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "  three"]),
        ("a/very/long/path", ["a/very/", "  long/", "  path"]),
        ("abcdefghijklmnop", ["abcdefgh", "  ijklmn", "  op"]),
        ("", [""]),
    ],
)
def test_lines_end_between_words_then_behind_separators_then_anywhere(text, lines):
    assert wrapped(text, 8, "  ") == lines


def test_the_command_keeps_to_columns_and_a_pipe_has_the_whole_width():
    """COLUMNS counts wherever it is set, as for other programs."""
    arguments = ["table", "--out", str(RESULTS / "nets")]
    narrow = CliRunner(env={"COLUMNS": "80"}).invoke(main, arguments).stdout
    assert max(map(text_width, narrow.splitlines())) <= 80
    assert "\n...: the same command with --notes prints these notes in full.\n" in narrow
    full = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*arguments, "--notes"]).stdout
    assert max(map(text_width, full.splitlines())) <= 80 and "..." not in full
    piped = CliRunner(env={"COLUMNS": None}).invoke(main, arguments).stdout
    assert max(map(len, piped.splitlines())) > 200


def test_bench_says_which_command_prints_cut_notes_in_full(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    records = read_all(RESULTS)
    show_outcomes(lambda _: records, "transfer", out=Path("other"), form="table", quiet=True)
    said = "...: `vggfeat table --out other --notes` prints these notes in full."
    assert said in capsys.readouterr().out.replace("\n  ", " ")


@pytest.mark.parametrize(
    ("command", "name"), [("datasets ls", "caltech256"), ("weights ls", "vgg16@caffe")]
)
def test_lists_keep_to_the_width_with_every_word(command, name, home):
    wide = CliRunner().invoke(main, command.split()).stdout
    narrow = CliRunner(env={"COLUMNS": "60"}).invoke(main, command.split()).stdout
    assert max(map(len, wide.splitlines())) > 60 >= max(map(len, narrow.splitlines()))
    assert f"{name}:" in narrow.split() and name in wide.split()
    assert len("".join(narrow.split())) >= len("".join(wide.split()))
