"""A page of help: commands in groups, options below headings, examples that can be typed."""

import shlex
import subprocess
import sys

import click
import pytest

from vggfeat.cli import main
from vggfeat.cli.commands import GROUPS, SUMMARIES
from vggfeat.cli.help import ALWAYS, OTHERS, about_and_examples, heading_of


def commands(group=main, names=()):
    """The words and the command of each command and subcommand."""
    yield names, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*names, name))


COMMANDS = dict(commands())
each_command = pytest.mark.parametrize("names", COMMANDS, ids=lambda names: " ".join(names) or "-")


def example_lines(command):
    """The examples in its help, each with the lines that it goes on in."""
    _, examples = about_and_examples(command.help)
    return examples.replace("\\\n", " ").splitlines()


@each_command
def test_every_command_ends_its_help_with_examples(run, names):
    page = run(*names, "--help").stdout
    last_section = page.split("\n\n")[-1]
    assert last_section.startswith("Examples:\n  vggfeat ")
    assert f"  vggfeat {' '.join(names)}".rstrip() in last_section


@each_command
def test_every_example_is_a_command_that_can_be_typed(names, tmp_path, monkeypatch):
    """It is parsed as it would be, and not run; files that must be there are made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for line in example_lines(COMMANDS[names]):
        words = shlex.split(line.replace("torchrun --nproc-per-node 4 -m ", ""))
        assert words[0] == "vggfeat"
        words = words[1 : words.index(">")] if ">" in words else words[1:]
        command, context = main, click.Context(main, info_name="vggfeat")
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        for word in words if any(_must_exist(item) for item in command.params) else ():
            (tmp_path / word.replace("~", ".")).mkdir(parents=True, exist_ok=True)
        words = [word.replace("~", ".") for word in words]
        command.make_context(command.name, words, parent=context)


def _must_exist(parameter: click.Parameter) -> bool:
    return isinstance(parameter.type, click.Path) and parameter.type.exists


@each_command
def test_every_option_stands_below_a_heading(names):
    """A new option is named in help.FLAGS, or declares what it changes."""
    command = COMMANDS[names]
    options = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    options = [option for option in options if isinstance(option, click.Option)]
    assert [option.opts for option in options if heading_of(option) == OTHERS] == []
    always = {option.opts[-1] for option in options if heading_of(option) == ALWAYS}
    assert always - {"--version"} == {"--quiet", "--verbose", "--debug", "--help"}


@each_command
def test_the_help_of_every_command_fits_80_columns(run, names):
    assert [line for line in run(*names, "--help").stdout.splitlines() if len(line) > 80] == []


def test_help_fits_a_narrower_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("verify", "--help").stdout.partition("Examples:")[0].splitlines()
    assert max(map(len, lines)) <= 40


def test_commands_stand_in_groups(run):
    """Each in one, named in commands.GROUPS."""
    named = [name for names in GROUPS.values() for name in names.split()]
    assert set(SUMMARIES) <= set(named) and len(named) == len(set(named))
    page = run("--help").stdout
    assert "\nMeasure:\n  bench" in page and "\nThis machine:\n  doctor" in page
    assert "Others:" not in page


def test_no_summary_of_a_command_is_cut(run):
    page = " ".join(run("--help").stdout.split())
    assert [summary for _, summary in SUMMARIES.values() if summary not in page] == []


def test_headings_are_bold_on_a_terminal_alone():
    context = main.make_context("vggfeat", [], resilient_parsing=True)
    assert click.style("Measure:", bold=True) in context.get_help()
    command = [sys.executable, "-m", "vggfeat", "--help"]
    assert b"\x1b" not in subprocess.run(command, capture_output=True, check=True).stdout
