"""--show-config: each option of a command with its value and where that comes from."""

import json
from typing import Any

import click
from click.core import ParameterSource

from vggfeat.cli.config_file import VARIABLE
from vggfeat.cli.configured import CONFIG, variable_of
from vggfeat.cli.option_values import key_of, texts_of
from vggfeat.cli.options import DeclaredOption
from vggfeat.storage.folders import HOME_VARIABLE, folders, home_is_stated

# Options that are None where nobody states them: what they are then.
FOLDERS = {"data_dir": "data", "cache_dir": "cache"}
FORMS = ("md", "csv", "latex")  # of --format, which has others for records and figures
OF_BENCHMARK = "the benchmark's own"


def show_settings(context: click.Context) -> None:
    """Print the settings as the command's own --format says, by default as a table."""
    form = context.params.get("form")
    settings = [
        _setting(option, context)
        for option in context.command.params
        if isinstance(option, click.Option)
    ]
    if form == "json":
        click.echo(json.dumps(settings, indent=1))
        return
    from vggfeat.report.render import render
    from vggfeat.report.table import Table

    own = {key_of(p) for p in context.command.params if _is_the_benchmarks(p)}
    rows = [
        (
            s["option"],
            _text(s["value"], unset=OF_BENCHMARK if s["option"] in own else "-"),
            s["from"],
        )
        for s in settings
    ]
    config = context.meta.get(CONFIG)
    legend = f"File: {config.path}." if config else f"No file: no vggfeat.toml here, no {VARIABLE}."
    table = Table.of(("option", "value", "from"), rows, legend=(legend,))
    click.echo(render(table, form if form in FORMS else "table"), nl=False)


def _setting(option: click.Option, context: click.Context) -> dict[str, Any]:
    value, source = context.params[option.name], context.get_parameter_source(option.name)
    origin = "default"
    if source is ParameterSource.COMMANDLINE:
        origin = "command line"
    elif source is ParameterSource.ENVIRONMENT:
        origin = f"environment, {variable_of(option, context)}"
    elif source is ParameterSource.DEFAULT_MAP:
        origin = f"file, {context.meta[CONFIG].path}"
    elif option.name in FOLDERS:
        value = getattr(folders(), FOLDERS[option.name])
        if home_is_stated():
            origin = f"environment, {HOME_VARIABLE}"
    return {"option": key_of(option), "value": _plain(option, value), "from": origin}


def _plain(option: click.Option, value: Any) -> Any:
    """A parsed value as JSON has it."""
    if isinstance(value, bool | int | float):
        return value
    texts = texts_of(option, value)
    if option.multiple:
        return texts
    return texts[0] if texts else None


def _is_the_benchmarks(option: click.Parameter) -> bool:
    return isinstance(option, DeclaredOption) and option.declaration.by_benchmark


def _text(value: Any, *, unset: str) -> str:
    if isinstance(value, list):
        return ", ".join(value) or unset
    if isinstance(value, bool):
        return "yes" if value else "no"
    return unset if value is None else str(value)
