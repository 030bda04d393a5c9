"""Renderers of tables: text, Markdown, CSV, JSON, LaTeX, HTML. None knows what a table is about."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial

from vggfeat.errors import printable
from vggfeat.report.latex import as_booktabs, as_latex
from vggfeat.report.narrow import as_narrow_text
from vggfeat.report.table import Table


def render(
    tables: Table | Iterable[Table], form: str, *, width: int | None = None, advice: str = ""
) -> str:
    """One table or several, one below the other, as one of RENDERERS.

    width, of a terminal, holds for the form "table": no line is wider then, and with advice on
    where to read them in full, long notes are cut.
    """
    if form == "table" and width is not None:
        renderer = partial(as_narrow_text, width=width, advice=advice)
    else:
        renderer = RENDERERS[form]
    if isinstance(tables, Table):
        return renderer(tables)
    return "\n".join(map(renderer, tables))


def as_text(table: Table) -> str:
    """For a terminal: aligned columns, a rule under the header, notes below."""
    title = f"{table.title}\n\n" if table.title else ""
    return title + _aligned(table, ("", "   ", "")) + "\n" + "\n".join(table.footer()) + "\n"


def as_markdown(table: Table) -> str:
    """A heading, a table aligned in its source too, and a paragraph for each note."""
    title = f"{'#' * table.title_level} {table.title}\n\n" if table.title else ""
    lines = _aligned(table, ("| ", " | ", " |"))
    return title + "\n".join([lines, *(f"{line}\n" for line in table.footer())])


def as_csv(table: Table) -> str:
    """A header and the plain values in full, without title and notes' texts."""
    names, rows = table.data()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue()


def as_json(table: Table) -> str:
    """The fields of the table, each cell as the parts that it has."""
    cells = [[cell.data() for cell in row] for row in table.rows]
    return json.dumps(asdict(table) | {"rows": cells}, indent=1) + "\n"


def as_html(table: Table) -> str:
    """A table element and a list of its notes, for a page or a notebook; texts stay text."""
    from vggfeat.report.page.html import table_html  # jinja2 takes as long to import as all else

    return table_html(table)


RENDERERS: dict[str, Callable[[Table], str]] = {
    "table": as_text,
    "md": as_markdown,
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
    "booktabs": as_booktabs,
    "html": as_html,
}


def _aligned(table: Table, separator: tuple[str, str, str]) -> str:
    """Columns padded to their widest cell, a rule under the header."""
    rows = [[printable(str(cell), one_line=True) for cell in row] for row in table.rows]
    lines: list[Sequence[str]] = [table.columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, between, last = separator

    def line(cells: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        return f"{first}{between.join(padded)}{last}".rstrip() + "\n"

    rule = ["-" * width for width in widths]
    return "".join(map(line, (lines[0], rule, *lines[1:])))
