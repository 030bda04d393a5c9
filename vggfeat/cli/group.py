"""The command itself: errors to one line, mistypes to suggestions, what signals say."""

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from vggfeat.cli.command import Command
from vggfeat.cli.commands import SUMMARIES, LazyCommands, grouped_summaries
from vggfeat.cli.messages import set_up_messages as set_up_messages  # for every command
from vggfeat.cli.terminal import safe_streams
from vggfeat.cli.verbosity import show_traceback
from vggfeat.cli.waiting import let_threads_sleep
from vggfeat.errors import VggfeatError, in_one_line, nearest, printable
from vggfeat.interruption import signals_end_at_once, signals_interrupt, what_is_kept
from vggfeat.processes.launched import follows

AFTER_OTHERS_S = 2  # torchrun ends the other processes when one has ended

# Libraries are imported inside the commands: `vggfeat --help` must not wait for torch.


class Commands(Command, click.Group):
    """A group that turns errors into one line and a mistyped command into a suggestion."""

    command_class = Command

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(context, formatter)  # which are looked for first
        super().format_options(context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [
            (name, command.get_short_help_str(1000)) for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines))

    def resolve_command(self, context: click.Context, arguments: list[str]):
        name = arguments[0]
        is_known = self.get_command(context, name) is not None
        if not (is_known or name.startswith("-") or context.resilient_parsing):
            near = nearest(name, self.commands)
            hint = f" Did you mean {near!r}?" if near else ""
            names = ", ".join(sorted(self.commands))
            raise click.UsageError(f"No command {name!r}.{hint} Known: {names}.", context)
        return super().resolve_command(context, arguments)

    def main(self, *arguments: Any, **options: Any) -> Any:
        with signals_interrupt():
            try:
                return super().main(*arguments, **options)
            finally:
                _let_stdout_go()

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _explained(None):  # --help prints here
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        let_threads_sleep()
        with _explained(context), safe_streams():
            return super().invoke(context)


COMPLETE_VARIABLE = "_VGGFEAT_COMPLETE"  # with it a shell asks for completions, as click has it


class AllCommands(Commands):
    """The commands of `vggfeat`: the help has their names and summaries, not their modules."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        if COMPLETE_VARIABLE in os.environ:
            from vggfeat.cli.completion import shells

            shells()
            options |= {"prog_name": "vggfeat"}
        return super().main(*arguments, **options)

    def shell_complete(self, context: click.Context, incomplete: str) -> list:
        from click.shell_completion import CompletionItem

        return [
            *(
                CompletionItem(name, help=summary)
                for name, (_, summary) in SUMMARIES.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, context, incomplete),
        ]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for group, lines in grouped_summaries().items():
            with formatter.section(group):
                formatter.write_dl(lines)


@contextmanager
def _explained(context: click.Context | None) -> Iterator[None]:
    """Errors that a user can cause become one line; after a signal one says what is kept."""
    try:
        yield
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and follows():
            let_leader_speak()  # which has the same command line
            raise click.exceptions.Exit(error.exit_code) from None
        raise _coloured(error) from None
    except VggfeatError as error:
        _show_traceback(context)
        raise _coloured(click.ClickException(in_one_line(error))) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader of our output went away; click ends quietly
        _show_traceback(context)
        if _of_output(error):
            reason = f"{error.strerror}: the output could not be written."
            raise _coloured(click.ClickException(reason)) from error
        raise _coloured(click.ClickException(in_one_line(error))) from error
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "signal_number", signal.SIGINT)
        if line := what_is_kept(number):
            with suppress(OSError):  # SIGHUP comes when the terminal is gone
                click.echo(line, err=True)
        raise click.exceptions.Exit(128 + number) from interrupt


def let_leader_speak() -> None:
    """Wait a little before a process ends with an error that the leading one prints."""
    with signals_end_at_once():
        time.sleep(AFTER_OTHERS_S)


def _coloured(error: click.ClickException) -> click.ClickException:
    """The error with a hint, which click will show in colours where they are wanted."""
    from vggfeat.cli.colours import show_error

    if isinstance(error, click.NoSuchOption):
        near = nearest(error.option_name, error.possibilities or ())
        error.message += f" Did you mean {near!r}?" if near else ""
        error.possibilities = None
    elif isinstance(error, click.BadParameter) and isinstance(
        getattr(error.param, "type", None), click.Choice
    ):
        wrong = error.message.removeprefix("'").partition("' is not one of")[0]
        near = nearest(wrong, error.param.type.choices)
        error.message += f" Did you mean {near!r}?" if near else ""
    error.message = printable(error.message)
    error.show = lambda file=None: show_error(error)
    return error


def _show_traceback(context: click.Context | None) -> None:
    if context is not None:
        show_traceback(context)


_PRINTING = ("click.utils", "vggfeat.cli.terminal")  # modules that write to stdout


def _of_output(error: OSError) -> bool:
    """Whether the error is of the place where the command prints: click's `echo` met it."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    return innermost is not None and innermost.tb_frame.f_globals["__name__"] in _PRINTING


def _let_stdout_go() -> None:
    """What a full disk did not take must not be tried again by Python as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


@click.group(
    cls=AllCommands,
    commands=LazyCommands(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="vggfeat")
def main() -> None:
    """How good are a network's frozen features?

    Each command has a page of its own, with examples: vggfeat COMMAND --help.

    \b
    vggfeat demo
    vggfeat bench --all --data-dir DATA
    vggfeat bench path/to/folder --net resnet50
    """


@contextmanager
def importing() -> Iterator[None]:
    """Libraries load; nothing has been begun, so a signal ends the process."""
    with signals_end_at_once():
        yield
