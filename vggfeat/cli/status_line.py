"""A line on stderr that says where a stage is: renewed on a terminal, else written now and then."""

import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import RLock

import click

from vggfeat.cli.terminal import unsafe_stderr
from vggfeat.errors import printable

RENEWED_EVERY_S = 0.2
# Lines in a pipe or a log: the first after 10 s, the next when the stage is a twentieth older, so
# that a day leaves some hundred of them, and yet one every ten minutes.
FIRST_AFTER_S, LATER, AT_LEAST_EVERY_S = 10.0, 1 / 20, 600.0
MIN_LABEL, MIN_BAR, MAX_BAR = 12, 10, 30  # columns


@dataclass(frozen=True)
class Fact:
    """A part of the line; where it is narrow, those of the highest rank are left out first."""

    text: str
    rank: int


def is_renewable() -> bool:
    """Whether a line on stderr can be written anew: on a terminal that is no notebook's.

    A notebook gives its commands a terminal, and would keep each renewal of the line.
    """
    return (
        sys.stderr.isatty()
        and os.environ.get("TERM") != "dumb"
        and "JPY_PARENT_PID" not in os.environ
    )


class StatusLine:
    """The line itself. What is printed meanwhile takes its place, and it comes back below."""

    def __init__(self, quiet: bool):
        self.quiet, self.is_renewed = quiet, is_renewable()
        self.started = self.written = time.monotonic()
        self._columns = 0  # that are written on at the moment
        self._lock = RLock()

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.started

    @property
    def is_long(self) -> bool:
        """Whether the stage takes long enough for its end to be said."""
        return self.seconds >= FIRST_AFTER_S

    @property
    def is_shown(self) -> bool:
        """Whether it is on the terminal at the moment."""
        return self._columns > 0

    def begin(self) -> None:
        """A stage begins, whose time counts from now."""
        self.end()
        self.started = self.written = time.monotonic()

    def is_due(self, *, at_break: bool = False) -> bool:
        """Whether the line is to be written: at a break of the stage sooner than else."""
        if self.quiet:
            return False
        since = time.monotonic() - self.written
        if self.is_renewed:
            return at_break or since >= RENEWED_EVERY_S or not self._columns
        every = min(max(FIRST_AFTER_S, self.seconds * LATER), AT_LEAST_EVERY_S)
        return since >= (FIRST_AFTER_S if at_break else every)

    def write(self, label: str, facts: Sequence[Fact], share: float | None = None) -> None:
        """Write or renew the line; a share of 0 to 1 is drawn as a bar where there is room."""
        label = printable(label, one_line=True)
        with self._lock:
            self.written = time.monotonic()
            if self.is_renewed:
                self._renew(fitted(label, facts, share, _terminal_columns()))
                _shown[:] = [self]
            else:
                click.echo(in_full(label, facts), err=True)

    def end(self) -> None:
        """Keep the line; what is printed next begins one of its own."""
        with self._lock:
            if self._columns:
                print(file=unsafe_stderr(), flush=True)
            self._columns, _shown[:] = 0, []

    def clear(self) -> None:
        """Take the line away, as if it had not been."""
        with self._lock:
            if self._columns:
                self._renew("")
                print(end="\r", file=unsafe_stderr(), flush=True)

    def _renew(self, line: str) -> None:
        # Spaces instead of an escape sequence, which not every terminal knows.
        left_over = min(self._columns, _terminal_columns()) - columns(line)
        print(f"\r{line}{' ' * left_over}", end="", file=unsafe_stderr(), flush=True)
        self._columns = columns(line)


_shown: list[StatusLine] = []  # the one that is on the terminal


def make_room() -> None:
    """Take away the line that is on the terminal, before something else is printed."""
    for line in _shown:
        line.clear()


def in_full(label: str, facts: Sequence[Fact]) -> str:
    """The line with all that is known."""
    return f"{label}: {', '.join(fact.text for fact in facts)}"


def fitted(label: str, facts: Sequence[Fact], share: float | None, width: int) -> str:
    """The line in so many columns: facts are left out, the label is cut, a bar fills what is free.

    The label keeps 12 columns or a third, and the fact of the lowest rank is there.
    """
    shown, wanted = list(facts), min(columns(label), max(MIN_LABEL, width // 3))
    while len(shown) > 1 and columns(in_full("", shown)) + wanted > width:
        shown.remove(max(shown, key=lambda fact: fact.rank))
    label = cut(label, max(width - columns(in_full("", shown)), 1))
    room = width - columns(in_full(label, shown)) - len(" []")
    if share is None or room < MIN_BAR:
        return cut(in_full(label, shown), width)
    bar_columns = min(room, MAX_BAR)
    filled = int(share * bar_columns)  # full at the end alone
    bar = "#" * filled + "-" * (bar_columns - filled)
    return f"{label}: [{bar}] {', '.join(fact.text for fact in shown)}"


def cut(text: str, width: int) -> str:
    """Text of at most so many columns: its middle is left out where it has more."""
    if columns(text) <= width:
        return text
    if width < 5:
        return _first(text, width)
    tail = _first(reversed(text), (width - 3) // 2)[::-1]
    return f"{_first(text, width - 3 - columns(tail))}...{tail}"


def columns(text: str) -> int:
    """The columns of a terminal that a text takes: two for East Asian wide letters."""
    return sum(map(_columns_of, text))


def _columns_of(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _first(letters: Iterable[str], width: int) -> str:
    taken = ""
    for letter in letters:
        if columns(taken + letter) > width:
            break
        taken += letter
    return taken


def _terminal_columns() -> int:
    """Columns that may be written on: the last one makes some terminals begin a new line."""
    try:
        columns = os.get_terminal_size(unsafe_stderr().fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max((columns or shutil.get_terminal_size().columns) - 1, 1)
