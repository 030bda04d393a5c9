"""How far a long stage has come, on stderr: pictures, or bytes of a download."""

import sys
import time

import click

from vggfeat.cli.terminal import unsafe_stderr
from vggfeat.errors import printable


class ProgressDisplay:
    """A bar on a terminal, otherwise a plain line now and then. Called as (label, done, total)."""

    EVERY_S = 10.0

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.is_terminal = sys.stderr.isatty()
        self.label = ""

    def __call__(self, label: str, done: int, total: int) -> None:
        if self.quiet:
            return
        if label != self.label:
            self._start(label, done, total)
        if self.is_terminal:
            self.bar.update(done - self.bar.pos)
        elif 0 < total <= done or time.monotonic() - self.said >= self.EVERY_S:
            self._say(done, total)
        if 0 < total <= done:
            self._finish()

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._finish()

    def _start(self, label: str, done: int, total: int) -> None:
        self._finish()
        self.label, self.first = label, done
        self.started = self.said = time.monotonic()
        if self.is_terminal:
            # A total of 0 is one that is not known.
            self.bar = click.progressbar(
                length=total or sys.maxsize, label=printable(label, one_line=True)[:40], width=0,
                file=unsafe_stderr(),
                show_pos=True, show_eta=total > 0, show_percent=total > 0,
            )  # fmt: skip

    def _finish(self) -> None:
        """End the bar's line and bring back the cursor, which the bar hides."""
        if self.label and self.is_terminal:
            self.bar.render_finish()
        self.label = ""

    def _say(self, done: int, total: int) -> None:
        self.said = time.monotonic()
        rate = (done - self.first) / max(self.said - self.started, 1e-9)
        speed = f", {rate:.1f}/s" if rate else ""
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        click.echo(f"{self.label}: {done} of {total or '?'}{speed}{left}", err=True)


class TrainingDisplay:
    """Where training stands: one line renewed on a terminal, otherwise a line now and then."""

    EVERY_S = 10.0

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.is_terminal = sys.stderr.isatty()
        self.said = 0.0
        self.width = 0  # of the line on the terminal

    def __call__(self, status) -> None:
        """Takes a vggfeat.pretraining.monitor.Status."""
        now = time.monotonic()
        every = 0.2 if self.is_terminal else self.EVERY_S
        ends = status.batch == status.num_batches
        if self.quiet or (now - self.said < every and not ends):
            return
        self.said = now
        line = str(status)
        if not self.is_terminal:
            click.echo(line, err=True)
            return
        click.echo("\r" + printable(line).ljust(self.width), nl=False, file=unsafe_stderr())
        self.width = len(line)

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.end_line()

    def end_line(self) -> None:
        """Begin a new line for what is printed next."""
        if self.width:
            click.echo(err=True)
            self.width = 0
