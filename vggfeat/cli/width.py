"""How many columns there are for what is printed on stdout."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence

import click


def stdout_width() -> int | None:
    """COLUMNS where it is set, else the terminal's columns; None in a pipe or a file."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and len(columns) < 10 and int(columns) > 0:
        return int(columns)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def echo_list(rows: Sequence[Sequence[str]], line: Callable[..., str]) -> None:
    """Print a line for each row, or where one is wider than the terminal several.

    line makes a line, in columns, of the texts of a row; the first of them is a name.
    """
    lines, width = [line(*row) for row in rows], stdout_width()
    if width is not None and any(len(text) > width for text in lines):
        from vggfeat.report.wrapping import wrapped

        of_row = (f"{name}: {'; '.join(filter(None, texts))}" for name, *texts in rows)
        lines = [part for text in of_row for part in wrapped(text, width, "  ")]
    for text in lines:
        click.echo(text)
