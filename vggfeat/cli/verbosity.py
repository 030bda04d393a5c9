"""--quiet, --verbose and --debug: options of every command, before its name or behind it."""

import traceback
from typing import Any

import click

HELP = {
    "quiet": "Warnings and errors only.",
    "verbose": "Also files written, timings, and notes in full.",
    "debug": "All that --verbose shows, and the traceback of an error.",
}
_SHORT = {"verbose": ["-v"]}


def with_verbosity(parameters: list[click.Parameter]) -> list[click.Parameter]:
    """The parameters of a command, and before --help those of the three that they lack."""
    *own, help_option = parameters
    lacking = [name for name in HELP if name not in {parameter.name for parameter in own}]
    return [*own, *map(_option, lacking), help_option]


def _option(name: str) -> click.Option:
    flags = [*_SHORT.get(name, ()), f"--{name}"]
    return click.Option(flags, is_flag=True, expose_value=False, callback=note, help=HELP[name])


def note(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """Note in click's notes of a run that the option was given; whether it was, here or before."""
    given = context.meta.setdefault(__name__, set())
    if value:
        given.add(parameter.name)
    if "quiet" in given and given & {"verbose", "debug"}:
        raise click.UsageError("--quiet and --verbose or --debug: leave out one.", context)
    return parameter.name in given


def _given(context: click.Context | None) -> set[str]:
    return context.meta.get(__name__, set()) if context is not None else set()


def is_debugging() -> bool:
    """Whether the running command was given --debug."""
    return "debug" in _given(click.get_current_context(silent=True))


def is_quiet() -> bool:
    """Whether the running command was given --quiet."""
    return "quiet" in _given(click.get_current_context(silent=True))


def is_verbose() -> bool:
    """Whether the running command was given --verbose or --debug."""
    return bool({"verbose", "debug"} & _given(click.get_current_context(silent=True)))


def show_traceback(context: click.Context) -> None:
    """Print the traceback of the current error if --debug asks for it, once."""
    given: Any = _given(context)
    if "debug" in given:
        given.remove("debug")
        traceback.print_exc()
