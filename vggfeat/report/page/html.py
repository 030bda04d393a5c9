"""Pages and tables -> HTML, by the templates beside this file; texts stay text."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vggfeat.errors import printable
from vggfeat.report.figures.style import VARIABLES
from vggfeat.report.page.blocks import Page
from vggfeat.report.table import Cell, Table

# Signs that names are made of; the comma in 4,992 is none.
_BEHIND = re.compile(r"[:@+/_=](?=\w)|,(?=[^\W\d])")
FOLDER = Path(__file__).parent


def page_html(page: Page) -> str:
    """The page as one file that loads nothing: its style, pictures and figures lie in it."""
    style = Markup((FOLDER / "style.css").read_text(encoding="utf-8") + _colours_of_figures())
    return _environment().get_template("page.html").render(page=page, style=style).lstrip() + "\n"


def table_html(table: Table) -> str:
    """The table alone, for a notebook or another page: without ids, notes below."""
    return str(_environment().get_template("table.html").module.plain(table))


def _colours_of_figures() -> str:
    """The rules that give the colours of figures their dark values, where the page is dark."""
    dark = "".join(f"{name}: {value};" for name, (_, value) in VARIABLES.items())
    return f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["trusted"] = Markup
    environment.filters["numeric_columns"] = _numeric_columns
    environment.filters["without_notes"] = _without_notes
    environment.filters["breakable"] = _breakable
    return environment


def _numeric_columns(table: Table) -> set[int]:
    """The columns that hold numbers, whose heads stand at the right as they do."""
    columns = enumerate(zip(*table.rows, strict=True))
    return {i for i, cells in columns if any(cell.values and not cell.text for cell in cells)}


def _without_notes(cell: Cell) -> str:
    return str(replace(cell, notes=()))


def _breakable(text: str) -> Markup:
    """A text that may be broken behind the signs that names are made of."""
    return Markup(_BEHIND.sub(r"\g<0><wbr>", str(escape(_visible(text)))))


def _visible(value: Any) -> Any:
    """Texts without control characters and marks that turn the direction of writing."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
