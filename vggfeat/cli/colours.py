"""Colours of what is printed: on a terminal only, and never the only sign of what they say."""

import io
import os
import re
import sys
from typing import IO

import click

from vggfeat.cli.terminal import SafeStream
from vggfeat.errors import printable

MARK = {"=": "green", "~": "yellow", "x": "red"}
# A mark stands behind a number, and in the line below the table that explains it.
_MARKS = re.compile(r"(?<=\d )[=~x](?=\s|$)|(?<=^Marks: )[=~x](?= )|(?<=, )[~x](?= )", re.MULTILINE)


def are_wanted(stream: IO) -> bool:
    """Whether to colour what goes to a stream: no-color.org, force-color.org, CLICOLOR, terminals.

    What asks for colours in files and pipes, FORCE_COLOR or CLICOLOR_FORCE, gives way to NO_COLOR.
    """
    environment = os.environ.get
    if environment("NO_COLOR"):
        return False
    if environment("FORCE_COLOR") or environment("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    if environment("CLICOLOR") == "0" or environment("TERM") == "dumb":
        return False
    return stream.isatty()


def print_coloured(text: str, stream: IO) -> None:
    """Print a line whose only escape sequences are colours of ours, without them where unwanted.

    Names in it must be `printable` already: past this nothing checks them.
    """
    shown = text if are_wanted(stream) else click.unstyle(text)
    SafeStream(getattr(stream, "unsafe", stream)).write_unchecked(f"{shown}\n")
    stream.flush()


def show_error(error: click.ClickException) -> None:
    """Show an error as click does, its first word in red."""
    shown = io.StringIO()
    type(error).show(error, shown)
    usage, word, message = shown.getvalue().rpartition("Error: ")
    text = usage + click.style(word.rstrip(), fg="red", bold=True) + " " * bool(word) + message
    print_coloured(text.rstrip("\n"), sys.stderr)


def echo_marked(table: str) -> None:
    """Print a table that is a text, its marks coloured."""
    if not are_wanted(sys.stdout):
        click.echo(table, nl=False)
        return
    text = _MARKS.sub(lambda match: click.style(match[0], fg=MARK[match[0]]), printable(table))
    print_coloured(text.removesuffix("\n"), sys.stdout)
