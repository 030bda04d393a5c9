"""Commands whose options may stand in a file or in the environment: --config and --show-config.

What the command line says wins over the environment (VGGFEAT_BENCH_SCALES), that over the file, and
that over defaults. click's `default_map` holds what the file says.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.errors import OptionError, VggfeatError

CONFIG, SHOWN = "vggfeat.config", "vggfeat.show_config"  # in click's notes of a run
PREFIX = "VGGFEAT"  # of the variables
NEVER = ("yes",)  # an answer that nobody but the user gives
STATED_ELSEWHERE = (ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT)


class Configured(click.Command):
    """A command that takes --config and --show-config beside its own options, if it has any."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        parameters = super().get_params(context)
        if not self.params or isinstance(self, click.Group):
            return parameters
        *own, help_option = parameters
        return [*own, *_options(), help_option]

    def invoke(self, context: click.Context) -> Any:
        if context.meta.get(SHOWN):
            from vggfeat.cli.settings import show_settings

            show_settings(context)
            return None
        _tell_file(context)
        try:
            return super().invoke(context)
        except VggfeatError as error:
            _name_file(error, context)
            raise


def _options() -> Iterator[click.Option]:
    yield click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_read_options,
        help="Options from this TOML file; by default vggfeat.toml of the current folder, or"
        " [tool.vggfeat] of its pyproject.toml.",
    )
    yield click.Option(
        ["--show-config"],
        is_flag=True,
        expose_value=False,
        callback=_note_show,
        help="Say what each option is and where that comes from, and stop.",
    )


def _note_show(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[SHOWN] = True


def command_path(context: click.Context) -> list[str]:
    """The names of a command and of the groups that it is in, without the program's."""
    names = []
    while context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return names


def variable_of(option: click.Option, context: click.Context) -> str:
    """The environment variable of an option: VGGFEAT_BENCH_SCALES."""
    from vggfeat.cli.option_values import key_of

    return "_".join((PREFIX, *command_path(context), key_of(option))).replace("-", "_").upper()


def _read_options(context: click.Context, parameter: click.Parameter, named: Path | None) -> None:
    """Have the options, which are looked at after this one, find what file and environment say.

    The command line of somebody's record, which is parsed by itself, is all that is said.
    """
    options = [p for p in context.command.params if isinstance(p, click.Option)]
    is_alone = context.parent is None or context.resilient_parsing
    has_variables = any(name.startswith(f"{PREFIX}_") for name in os.environ)
    for option in options:
        option.envvar = variable_of(option, context) if has_variables and not is_alone else None
    if is_alone:
        return
    from vggfeat.cli.config_file import find_config

    config = find_config(named)
    if config is None:
        return
    context.meta[CONFIG] = config
    context.default_map = {
        option.name: value for option, value in _from_file(config, context, options)
    }


def _from_file(
    config: Any, context: click.Context, options: list[click.Option]
) -> Iterator[tuple[click.Option, Any]]:
    """Options and what the file says of them. Raises OptionError naming file and key."""
    from vggfeat.cli.config_file import SHARED, shown
    from vggfeat.cli.option_values import WrongValue, checked, from_file, key_of, names_code

    by_key = {key_of(option): option for option in options if key_of(option) not in NEVER}
    commands = list(context.find_root().command.commands)
    for key, (place, value) in config.options(command_path(context), commands).items():
        if key not in by_key:
            if place in SHARED:
                continue  # this command has no such option
            raise config.unknown(place, key, by_key)
        option = by_key[key]
        try:
            stated = from_file(option, value, config.path.parent)
            checked(option, stated, context)
        except WrongValue as error:
            raise OptionError(f"{config.path}: {place} {error}; got {shown(value)}.") from error
        except OptionError as error:
            raise OptionError(f"{config.path}: {place}: {error}") from error
        if not config.named and (code := names_code(option, stated)):
            raise OptionError(
                f"{config.path}: {place} names code, {code!r}, which a file that was only found may"
                f" not. Name it on the command line, or the file: --config {config.path}."
            )
        yield option, stated


def stated_elsewhere(context: click.Context) -> list[click.Parameter]:
    """The options that the file or the environment states, and the command line does not."""
    return [
        parameter
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name) in STATED_ELSEWHERE
    ]


def command_line() -> str:
    """The command that does the same where there is no file and no variable."""
    context = click.get_current_context(silent=True)
    if context is None or not stated_elsewhere(context):
        return shlex.join(["vggfeat", *sys.argv[1:]])
    from vggfeat.cli.option_values import words_of

    words = {click.Option: [], click.Argument: []}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name)
        if source in (ParameterSource.COMMANDLINE, *STATED_ELSEWHERE):
            kind = click.Argument if isinstance(parameter, click.Argument) else click.Option
            words[kind] += words_of(parameter, context.params[parameter.name])
    arguments = words[click.Argument]
    ends = ["--"] if any(word.startswith("-") for word in arguments) else []
    return shlex.join(["vggfeat", *command_path(context), *words[click.Option], *ends, *arguments])


def _tell_file(context: click.Context) -> None:
    """Say which options a file states, of commands that say something at all."""
    config = context.meta.get(CONFIG)
    if config is None or context.params.get("quiet", True):
        return
    from vggfeat.cli.option_values import key_of

    keys = [
        key_of(p)
        for p in stated_elsewhere(context)
        if context.get_parameter_source(p.name) is ParameterSource.DEFAULT_MAP
    ]
    if keys:
        click.echo(f"options from {config.path}: {', '.join(keys)}", err=True)


def _name_file(error: VggfeatError, context: click.Context) -> None:
    """Let an error whose value came from the file say so."""
    config = context.meta.get(CONFIG)
    if config is None:
        return
    from vggfeat.cli.option_values import key_of, texts_of

    for parameter in stated_elsewhere(context):
        if context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT_MAP:
            continue
        texts = texts_of(parameter, context.params[parameter.name])
        if any(len(text) > 2 and text in str(error) for text in texts):
            error.args = (f"{error} ({key_of(parameter)} is from {config.path})",)
            return
