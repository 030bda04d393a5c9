"""--debug, an option of every command: errors come with their traceback."""

import traceback

import click

from vggfeat.cli.configured import Configured

DEBUG = "vggfeat.debug"  # in click's notes of a run


class Command(Configured):
    """A command that takes --debug beside its own options."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        *parameters, help_option = super().get_params(context)
        return [*parameters, debug_option(), help_option]


def debug_option() -> click.Option:
    """The option itself, which may stand before a command's name or behind it."""
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=_note_debug,
        help="Show the traceback of an error.",
    )


def _note_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[DEBUG] = True


def is_debugging() -> bool:
    """Whether the running command was given --debug."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(DEBUG, False)


def show_traceback(context: click.Context) -> None:
    """Print the traceback of the current error if --debug asks for it, once."""
    if context.meta.pop(DEBUG, False):
        traceback.print_exc()
