"""Tables in LaTeX: for papers (booktabs), and a bare tabular as it was always printed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vggfeat.errors import printable
from vggfeat.report.short_names import Column as ShownColumn
from vggfeat.report.short_names import columns_of, total_width, with_short_names
from vggfeat.report.table import Cell, Table
from vggfeat.report.wrapping import wrapped

PREAMBLE = (r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}",)
OTHER_LETTERS = "% has letters that pdfLaTeX has not: use LuaLaTeX, and a font that has them"
MOST_LETTERS = 100  # of a row, if cutting long names makes it so narrow
LEAST_TITLE = 12  # titles of columns are not broken to less
SIZES = {75: "", 85: r"\small", 95: r"\footnotesize"}  # by the letters of a row
SMALLEST = r"\scriptsize\setlength{\tabcolsep}{3pt}"
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "\0": "{}", "±": r"$\pm$", **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}  # fmt: skip


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; two hyphens stay two."""
    letters = printable(text, one_line=True).replace("--", "-\0-").replace("--", "-\0-")
    return "".join(_LATEX.get(letter, letter) for letter in letters)


def as_booktabs(table: Table) -> str:
    """A table environment: numbers aligned at their points, the best bold, notes below.

    The title is its caption. Marks and numbers of notes are superscripts. What the document must
    load stands in a comment above.
    """
    names: dict[str, str] = {}
    short = with_short_names(columns_of(table), MOST_LETTERS, names, gap=2, num_lines=1)
    columns = [
        _column([row[place] for row in table.rows], short[place].cells)
        for place in range(len(table.columns))
    ]
    body = [[text for c in columns for text in c.rows[number]] for number in range(len(table.rows))]
    lines = [
        *PREAMBLE,
        *([OTHER_LETTERS] if _has_other_letters(table) else []),
        r"\begin{table}",
        r"\centering",
        *([rf"\caption{{{escaped(_caption(table.title))}}}"] if table.title else []),
        *filter(None, [_size(short)]),
        rf"\begin{{tabular}}{{{''.join(c.form for c in columns)}}}",
        r"\toprule",
        *map(_line, _head(columns, short)),
        r"\midrule",
        *map(_line, body),
        r"\bottomrule",
        r"\end{tabular}",
        *_below(table, names),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _caption(title: str) -> str:
    """The title; a table's number in the paper goes behind it, as LaTeX counts tables itself."""
    return re.sub(r"^(Table \d+): (.*)", r"\2 (beside \1 of the paper)", title)


class _Column(NamedTuple):
    """A column of the table as one or several of LaTeX's."""

    num: int  # of LaTeX's columns
    form: str  # of these: "l", or r for each part of a number
    rows: list[list[str]]  # a text for each of LaTeX's columns


# The parts of a number, each of which is a column of LaTeX's where any cell has it.
_PARTS = ("value", "spread", "interval", "difference", "rest")


def _column(cells: Sequence[Cell], names: Sequence[str]) -> _Column:
    """names are the cells' texts, where they are names, of which some end with a letter."""
    if not any(cell.values for cell in cells):
        texts = (
            _with_letter(name) if cell == Cell(text=cell.text) else escaped(cell.text) + _rest(cell)
            for cell, name in zip(cells, names, strict=True)
        )
        return _Column(1, "l", [[text] for text in texts])
    decimals = max(len(_fraction(cell)) for cell in cells)
    rows = [_parts(cell, decimals) for cell in cells]
    used = [p for p in range(len(_PARTS)) if p == 0 or any(row[p] for row in rows)]
    forms = ["r", *(r"@{\,}l" if _PARTS[p] == "rest" else r"@{\,}r" for p in used[1:])]
    return _Column(len(used), "".join(forms), [[row[p] for p in used] for row in rows])


def _with_letter(name: str) -> str:
    """A name that was cut, its letter as a superscript; others as they are."""
    text, letter = re.fullmatch(r"(.*?)(?: ?\[([A-Z]+)\])?", name).groups()
    return escaped(text) + (rf"\textsuperscript{{{letter}}}" if letter else "")


def _parts(cell: Cell, decimals: int) -> tuple[str, ...]:
    """The texts of _PARTS; a number of fewer decimals is followed by the room of the missing."""
    if not cell.values:
        return escaped(cell.text), "", "", "", _rest(cell)
    form = cell.number_format
    value = " / ".join(_number(format(value, form)) for value in cell.values)
    missing = "0" * (decimals - len(_fraction(cell)))
    if missing and not _fraction(cell):
        missing = f".{missing}"
    return (
        (rf"\textbf{{{value}}}" if cell.is_best else value)
        + (rf"\phantom{{{missing}}}" if missing else ""),
        "" if cell.spread is None else rf"$\pm$\,{cell.spread:{form}}",
        _interval(cell, form.replace("+", "")),
        "" if cell.difference is None else f"({_number(f'{cell.difference:+{form}}')})",
        _rest(cell),
    )


def _interval(cell: Cell, form: str) -> str:
    if cell.interval is None:
        return ""
    low, high = (_number(format(end, form)) for end in cell.interval)
    return f"({low} to {high})"


def _rest(cell: Cell) -> str:
    """What is no number: a word of warning, and the mark and numbers of notes as superscripts."""
    raised = ",".join(filter(None, (_mark(cell.mark), *map(str, cell.notes))))
    flag = rf"\,{escaped(cell.flag)}" if cell.flag else ""
    return flag + (rf"\textsuperscript{{{raised}}}" if raised else "")


def _mark(mark: str) -> str:
    return r"$\sim$" if mark == "~" else escaped(mark)


def _number(text: str) -> str:
    """A formatted number with a minus sign, which a hyphen is not."""
    return text.replace("-", "$-$") if text[:1] == "-" else text


def _fraction(cell: Cell) -> str:
    """The decimals of the last of a cell's values."""
    text = format(cell.values[-1], cell.number_format) if cell.values else ""
    return text.partition(".")[2]


def _head(columns: Sequence[_Column], shown: Sequence[ShownColumn]) -> list[list[str]]:
    """The lines of the header; a title stands above all of LaTeX's columns of one of ours."""
    titles = [_broken(column) for column in shown]
    height = max(map(len, titles), default=0)
    return [
        [_over(([""] * (height - len(t)) + t)[n], c) for t, c in zip(titles, columns, strict=True)]
        for n in range(height)
    ]


def _broken(column: ShownColumn) -> list[str]:
    """The lines of a column's title, no wider than its cells."""
    return wrapped(column.title, max(LEAST_TITLE, column.least))


def _over(text: str, column: _Column) -> str:
    if column.form == "l":
        return escaped(text)
    return rf"\multicolumn{{{column.num}}}{{c}}{{{escaped(text)}}}"


def _line(texts: Iterable[str]) -> str:
    """A row; a bracket or star at its beginning would be an option of the row before."""
    row = " & ".join(texts)
    return ("{}" if row[:1] in ("[", "*") else "") + row + r" \\"


def _size(columns: Sequence[ShownColumn]) -> str:
    letters = total_width([c.least for c in columns], 2)
    return next((size for most, size in SIZES.items() if letters <= most), SMALLEST)


def _below(table: Table, names: Mapping[str, str]) -> list[str]:
    """What letters and numbers stand for, and the legend, as wide as the text."""
    numbered = [(str(number), note) for number, note in enumerate(table.notes, start=1)]
    explained = [*((letter.strip("[]"), name) for name, letter in names.items()), *numbered]
    lines = [rf"\textsuperscript{{{sign}}} {_breakable(text)}" for sign, text in explained]
    legend = map(_breakable, table.legend)
    lines += [text.replace(r" \textasciitilde{} ", r" $\sim$ ") for text in legend]
    if not lines:
        return []
    return [
        r"\par\medskip",
        r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
        *(f"{line}\\par" for line in lines),
        r"\end{minipage}",
    ]


def _breakable(text: str) -> str:
    """Escaped text that may be broken behind `@`, `:`, `+` and the like inside of long words."""
    return re.sub(r"(?<=\S\S)([@:,=+/]|\\_)(?=\S\S)", r"\1\\allowbreak{}", escaped(text))


def _has_other_letters(table: Table) -> bool:
    """Whether there are letters beyond Europe's Latin ones and ±, which pdfLaTeX does not print."""
    texts = [table.title, *table.columns, *table.footer(), *(str(c) for r in table.rows for c in r)]
    return any(ord(letter) > 0x17F for text in texts for letter in printable(text))


def as_latex(table: Table) -> str:
    """A bare tabular with booktabs' rules; title and notes are comments.

    It has been printed so since there are tables, letter by letter as pandas' to_latex does.
    """
    rows = [" & ".join(map(_as_pandas, map(str, row))) + r" \\" for row in table.rows]
    lines = [
        *([f"% {table.title}"] if table.title else []),
        rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(map(_as_pandas, table.columns)) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {line}" for line in table.footer()),
    ]
    return "\n".join(lines) + "\n"


def _as_pandas(text: str) -> str:
    """Text escaped as pandas does it, a tilde as \\textasciitilde with a space behind."""
    for letter, name in (("\\", "backslash"), ("~", "asciitilde"), ("^", "asciicircum")):
        text = text.replace(f"{letter} ", f"{letter}\0").replace(letter, f"\1{name} ")
        text = text.replace("\0", "\2 ")
    for letter in "&%$#_{}":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("\1", r"\text").replace("\2", r"\space")
