"""The command itself: errors to one line, mistypes to suggestions, what Ctrl-C says."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from vggfeat.cli.debug import Command, debug_option, is_debugging, show_traceback
from vggfeat.cli.terminal import OneLine, safe_streams
from vggfeat.errors import VggfeatError, in_one_line, nearest, printable

# Libraries are imported inside the commands: `vggfeat --help` must not wait for torch.


class Commands(click.Group):
    """A group that turns errors into one line and a mistyped command into a suggestion."""

    command_class = Command

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        *parameters, help_option = super().get_params(context)
        return [*parameters, debug_option(), help_option]

    def resolve_command(self, context: click.Context, arguments: list[str]):
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-"):
            near = nearest(name, self.commands)
            hint = f" Did you mean {near!r}?" if near else ""
            names = ", ".join(sorted(self.commands))
            raise click.UsageError(f"No command {name!r}.{hint} Known: {names}.", context)
        return super().resolve_command(context, arguments)

    def invoke(self, context: click.Context) -> Any:
        try:
            with safe_streams():
                return super().invoke(context)
        except click.ClickException as error:
            error.message = printable(error.message)
            raise
        except VggfeatError as error:
            show_traceback(context)
            raise click.ClickException(in_one_line(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of our output went away; click ends quietly
            show_traceback(context)
            raise click.ClickException(in_one_line(error)) from error
        except KeyboardInterrupt as interrupt:
            if os.environ.get("RANK", "0") == "0":  # one of several processes is enough
                click.echo(
                    "\nInterrupted. What was done is kept; the same command goes on from there.",
                    err=True,
                )
            context.exit(128 + getattr(interrupt, "signal_number", signal.SIGINT))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vggfeat")
def main() -> None:
    """How good are a network's frozen features?

    \b
    Try it, no download needed:    vggfeat demo
    The main job:                  vggfeat bench --all --data-dir DATA
    """


def set_up_messages(quiet: bool) -> None:
    """The library's messages go to stderr as plain lines."""
    # Remarks on odd pictures; what matters of them is an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(OneLine("%(message)s"))
    # Errors that must not stop other measurements are logged with their tracebacks.
    logging.getLogger("vggfeat").setLevel(logging.DEBUG if is_debugging() else logging.NOTSET)


@contextmanager
def importing() -> Iterator[None]:
    """Ctrl-C while libraries load ends the process: numpy and torch do not survive an exception."""
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
