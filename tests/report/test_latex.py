"""Tables in LaTeX for papers: aligned, the best bold, notes below, and whatever a name holds."""

import shutil
import subprocess
from pathlib import Path

import pytest

from vggfeat.records.record import read_all
from vggfeat.report import sweep, transfer
from vggfeat.report.best import with_best
from vggfeat.report.latex import as_booktabs, escaped
from vggfeat.report.render import render
from vggfeat.report.table import Cell, Table

RESULTS = Path(__file__).resolve().parents[2] / "results"
ODD = 'a_b%c&d#e{f}g~h^i\\j$k<l>m|n"o--p---q é ß Ł ± \x1b'


def of_values(*cells: Cell, title: str = "mAP (%)", **more) -> str:
    rows = [[f"net {number}", cell] for number, cell in enumerate(cells)]
    return as_booktabs(Table.of(["net", title], rows, **more))


def test_a_table_as_it_stands_in_a_paper():
    text = of_values(
        Cell(values=(91.8,), spread=1.0),
        Cell(values=(83.45,), spread=0.5, mark="~", notes=(1,), is_best=True),
        notes=("near: images 6039, published 9144.",),
        legend=("Marks: = same protocol as published, ~ near, x not comparable.",),
        title="mean class recall (%)",
    )
    assert text == (
        r"""% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}
\begin{table}
\centering
\begin{tabular}{lr@{\,}r@{\,}l}
\toprule
 & \multicolumn{3}{c}{mean class} \\
net & \multicolumn{3}{c}{recall (\%)} \\
\midrule
net 0 & 91.8 & $\pm$\,1.0 &  \\
net 1 & \textbf{83.5} & $\pm$\,0.5 & \textsuperscript{$\sim$,1} \\
\bottomrule
\end{tabular}
\par\medskip
\begin{minipage}{\linewidth}\footnotesize\raggedright
\textsuperscript{1} near: images 6039, published 9144.\par
Marks: = same protocol as published, $\sim$ near, x not comparable.\par
\end{minipage}
\end{table}
"""
    )


def test_numbers_of_fewer_decimals_leave_room_for_the_missing_ones():
    text = of_values(*(Cell(values=(rate,), number_format=".3g") for rate in (513, 31.3, 5.83)))
    assert [line for line in text.splitlines() if line.startswith("net ")][1:] == [
        r"net 0 & 513\phantom{.00} \\",
        r"net 1 & 31.3\phantom{0} \\",
        r"net 2 & 5.83 \\",
    ]


def test_intervals_and_differences_have_columns_of_their_own():
    text = of_values(
        Cell(values=(91.8,), interval=(90.25, 93.1), difference=-0.5, flag="LIMITED"), Cell()
    )
    assert r"{lr@{\,}r@{\,}r@{\,}l}" in text
    assert r"net 0 & 91.8 & (90.2 to 93.1) & ($-$0.5) & \,LIMITED \\" in text
    assert r"net 1 &  &  &  &  \\" in text


def test_the_title_is_the_caption_and_the_papers_number_is_no_second_one():
    assert r"\caption{Caltech\_101: 50 \%}" in as_booktabs(
        Table.of(["a"], [], title="Caltech_101: 50 %")
    )
    text = as_booktabs(Table.of(["a"], [], title="Table 3: one scale"))
    assert r"\caption{one scale (beside Table 3 of the paper)}" in text


def test_a_name_too_long_for_a_page_is_cut_and_explained_below():
    name = f"squeezenet1_0@{'weights/' * 20}squeezenet.safetensors"
    text = as_booktabs(Table.of(["net", "mAP (%)"], [[name, Cell(values=(1.0,))]]))
    assert r"squeezenet1\_0\textsuperscript{A} & 1.0 \\" in text
    assert r"\textsuperscript{A} squeezenet1\_\allowbreak{}0@\allowbreak{}weights/" in text


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_row_before():
    text = as_booktabs(Table.of(["a"], [["[1]"], ["*"]]))
    assert "{}[1] \\\\\n{}* \\\\" in text


def test_what_latex_reads_otherwise_is_escaped():
    assert escaped("a_b%c&d#e{f}$g") == r"a\_b\%c\&d\#e\{f\}\$g"
    assert escaped("~^\\") == r"\textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert escaped("x--y---z") == "x-{}-y-{}-{}-z"
    assert escaped("\x1b\n") == r"\textbackslash{}x1b\textbackslash{}n"


def test_letters_that_pdflatex_lacks_are_announced():
    assert "LuaLaTeX" in as_booktabs(Table.of(["класс"], []))
    assert "LuaLaTeX" not in as_booktabs(Table.of(["Łódź ± é"], []))


# Which values are bold


def value(number: float, flag: str = "") -> Cell:
    return Cell(values=(number,), flag=flag)


def best_of(*cells: Cell, measured=None, **options) -> list[int]:
    rows = with_best([[cell] for cell in cells], [0], measured or [True] * len(cells), **options)
    return [number for number, (cell,) in enumerate(rows) if cell.is_best]


def test_the_best_is_the_highest_or_lowest_and_all_that_print_the_same():
    assert best_of(value(1.0), value(3.04), value(2.0), value(2.96), Cell()) == [1, 3]
    assert best_of(value(1.0), value(3.0), lower_is_better=True) == [0]


def test_published_and_limited_values_and_a_single_one_are_no_best():
    assert best_of(value(9.0), value(2.0), value(3.0), measured=[False, True, True]) == [2]
    assert best_of(value(9.0, flag="LIMITED"), value(2.0), value(1.0)) == [1]
    assert best_of(value(9.0), value(2.0), measured=[False, True]) == []


def test_the_best_nets_of_the_results_are_bold():
    """Of 93.06, 92.6, 93.15, ... two print as 93.2."""
    table = transfer.table(transfer.compare(read_all(RESULTS / "nets")))
    text = as_booktabs(table)
    assert text.count(r"\textbf{93.2}") == 2 and text.count(r"\textbf{") == 4
    assert r"\textbf{" not in as_booktabs(transfer.table(transfer.compare(read_all(RESULTS))))
    best, *_ = sweep.tables(read_all(RESULTS / "sweep"))
    assert as_booktabs(best).count(r"\textbf{84.0}") == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_it_compiles_whatever_names_hold(tmp_path):
    odd = Table.of(
        [ODD, f"{ODD} (%)"],
        [[ODD, Cell(values=(9.25,), spread=0.5, notes=(1,), mark="~")], ["[1]", "*"]],
        title=ODD,
        notes=(ODD * 20,),
        legend=(ODD,),
    )
    sweeps = sweep.tables(read_all(RESULTS / "sweep"))
    document = (
        r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}\begin{document}"
        + render([odd, *sweeps], "booktabs")
        + r"\end{document}"
    )
    (tmp_path / "table.tex").write_text(document)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").is_file()
