"""The library's messages on stderr: one line each, what is said again and again counted."""

import logging
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from copy import copy

import click

from vggfeat.cli.colours import print_coloured
from vggfeat.cli.status_line import make_room
from vggfeat.cli.verbosity import is_debugging, is_quiet, is_verbose
from vggfeat.errors import printable

MAX_ALIKE = 5  # warnings that differ in names alone and are shown each; --verbose shows all


class OneLine(logging.Formatter):
    """A message as one line, whatever names it holds; a traceback has its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message without what ends a line."""
        return printable(super().formatMessage(record), one_line=True)

    def formatException(self, exc_info) -> str:
        """The traceback without what a terminal obeys."""
        return printable(super().formatException(exc_info))


class Messages(logging.Handler):
    """Prints messages beside a line of progress; equal warnings once, and at the end how often."""

    def __init__(self, *, shows_all: bool = False, shows_tracebacks: bool = False):
        super().__init__()
        self.setFormatter(OneLine("%(message)s"))
        self.shows_all, self.shows_tracebacks = shows_all, shows_tracebacks
        self.equal: Counter[str] = Counter()
        self.alike: Counter[str] = Counter()
        self.informed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message; a warning that was printed is counted."""
        try:
            if not self.shows_tracebacks:
                record = copy(record)  # other handlers may show the traceback
                record.exc_info = record.exc_text = None
            text = self.format(record)
            if record.levelno < logging.WARNING:
                if self.shows_all or text not in self.informed:
                    self._print(text)
                self.informed.add(text)
            elif self.shows_all or self._is_new(record, text):
                self._warn(text)
        except Exception:
            self.handleError(record)

    def say_what_was_left_out(self) -> None:
        """Say of which warnings how many were left out."""
        for text, count in self.equal.items():
            if count > 1:
                self._warn(f"{count} times: {text}")
        for words, count in self.alike.items():
            if count > MAX_ALIKE:
                self._warn(f"{words} {count - MAX_ALIKE} more such lines; --verbose prints each")

    def _is_new(self, record: logging.LogRecord, text: str) -> bool:
        """Count a warning; whether to print it."""
        self.equal[text] += 1
        if self.equal[text] > 1:
            return False
        words, _, names = record.msg.partition("%")
        if not words or not names:
            return True
        self.alike[words.strip()] += 1
        return self.alike[words.strip()] <= MAX_ALIKE

    def _warn(self, text: str) -> None:
        self._print(f"{click.style('Warning:', fg='yellow')} {text}")

    def _print(self, text: str) -> None:
        make_room()
        print_coloured(text, sys.stderr)


def set_up_messages(quiet: bool) -> None:
    """The library's messages go to stderr: warnings, and unless quiet what it is at.

    Details, which the library logs as DEBUG, are for --verbose.
    """
    # Remarks on odd pictures; what matters of them is an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    context = click.get_current_context(silent=True)
    notes = context.meta if context is not None else {}
    if __name__ not in notes:
        handler = notes[__name__] = Messages()
        if context is not None:
            context.call_on_close(_as_it_was(handler))
            context.call_on_close(handler.say_what_was_left_out)
        logging.basicConfig(handlers=[handler], force=True)
    # What other libraries are at, such as fontTools at each glyph of a PDF, is nothing to say.
    logging.getLogger().setLevel(logging.WARNING)
    said = logging.WARNING if quiet or is_quiet() else logging.INFO
    logging.getLogger("vggfeat").setLevel(logging.DEBUG if is_verbose() else said)
    notes[__name__].shows_all = is_verbose()
    notes[__name__].shows_tracebacks = is_debugging()


def _as_it_was(handler: Messages) -> Callable[[], None]:
    """What takes the handler away again and restores the levels: a command may run in a program."""
    loggers = [logging.getLogger(), logging.getLogger("vggfeat")]
    levels = [logger.level for logger in loggers]

    def restore() -> None:
        logging.getLogger().removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

    return restore
