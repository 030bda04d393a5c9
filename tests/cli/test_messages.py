"""What reaches stderr: each message a line, warnings said once, colours on terminals alone."""

import logging
import sys

import pytest
from click.testing import CliRunner
from helpers.terminals import written_to_terminal

from vggfeat.cli import main
from vggfeat.cli.colours import are_wanted, echo_marked
from vggfeat.cli.messages import MAX_ALIKE, Messages


@pytest.fixture
def said(capsys):
    """Log through a handler of its own; the lines that were printed."""

    def said(*messages, **options):
        handler = Messages(**options)
        logger = logging.Logger("test")
        logger.addHandler(handler)
        for level, *message in messages:
            logger.log(level, *message)
        handler.say_what_was_left_out()
        return capsys.readouterr().err.splitlines()

    return said


def test_a_warning_says_that_it_is_one(said):
    assert said((logging.WARNING, "odd"), (logging.INFO, "here")) == ["Warning: odd", "here"]


def test_equal_warnings_are_said_once_and_counted(said):
    warnings = [(logging.WARNING, "%s: odd", name) for name in "abaa"]
    assert said(*warnings) == ["Warning: a: odd", "Warning: b: odd", "Warning: 3 times: a: odd"]
    assert said(*warnings, shows_all=True) == [f"Warning: {name}: odd" for name in "abaa"]


def test_equal_information_is_said_once(said):
    lines = [(logging.INFO, "waiting"), (logging.INFO, "done"), (logging.INFO, "waiting")]
    assert said(*lines) == ["waiting", "done"] and len(said(*lines, shows_all=True)) == 3


def test_of_many_that_differ_in_a_name_some_are_said(said):
    lines = said(*((logging.WARNING, "skipped: %s", number) for number in range(100)))
    assert lines[0] == "Warning: skipped: 0" and len(lines) == MAX_ALIKE + 1
    assert lines[-1] == "Warning: skipped: 95 more such lines; --verbose prints each"


def test_a_traceback_is_for_debug(said, capsys):
    error = (logging.INFO, "odd")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        for shown in (False, True):
            handler = Messages(shows_all=True, shows_tracebacks=shown)
            record = logging.LogRecord("x", 20, "", 0, "odd", (), sys.exc_info())
            handler.emit(record)
            printed = capsys.readouterr().err
            assert ("ValueError: \\x1b[2J" in printed) == shown and printed.startswith("odd\n")
    assert said(error) == ["odd"]


# --quiet, --verbose and --debug, before the command or behind it


@pytest.mark.parametrize(
    ("before", "behind", "shown"),
    [
        ([], [], {"Warning", "measurement"}),
        ([], ["--quiet"], {"Warning"}),
        (["--quiet"], [], {"Warning"}),
        ([], ["-v"], {"Warning", "measurement", "wrote"}),
        (["--verbose"], [], {"Warning", "measurement", "wrote"}),
    ],
)
def test_how_much_is_said(run, tmp_path, before, behind, shown):
    result = run(*before, "bench", "digits", "--limit", 4, "--splits", 1, "--net",
                 "vgg11:width=0.015625,input_size=32@random:0", "--scales", 32, "--no-mirror",
                 "--out", tmp_path / "out", *behind)  # fmt: skip
    assert result.exit_code == 0
    known = ("Warning", "measurement", "wrote")
    assert {word for word in known if word in result.stderr} == shown


def test_quiet_and_verbose_exclude_each_other(run):
    for words in (["--quiet", "table", "-v"], ["table", "--debug", "--quiet"]):
        result = run(*words)
        assert result.exit_code == 2 and "leave out one" in result.stderr


def test_commands_that_say_little_take_them_too(run):
    for words in (["datasets", "ls", "--quiet"], ["-v", "weights", "ls"]):
        assert run(*words).exit_code == 0


# Colours


class Terminal:
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "on_terminal", "in_pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"CLICOLOR": "0"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_when_colours_are_wanted(monkeypatch, tmp_path, environment, on_terminal, in_pipe):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert are_wanted(Terminal()) == on_terminal
    with (tmp_path / "file").open("w") as file:
        assert are_wanted(file) == in_pipe


def test_marks_are_coloured_and_nothing_else(monkeypatch, capsys):
    table = "x net   33.7 ± 0.7 ~ [2]   92.1 =\n8 x 8   7 x\n\nMarks: = same, ~ near, x not.\n"
    echo_marked(table)
    assert capsys.readouterr().out == table
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    echo_marked(table)
    coloured = capsys.readouterr().out
    assert coloured.startswith("x net   33.7 ± 0.7 \x1b[33m~\x1b[0m [2]   92.1 \x1b[32m=\x1b[0m\n")
    assert coloured.endswith("same, \x1b[33m~\x1b[0m near, \x1b[31mx\x1b[0m not.\n")


def test_an_error_is_red_on_a_terminal_and_says_that_it_is_one(tmp_path):
    command = ["-m", "vggfeat", "table", "--out", "a\x1b[2J"]
    written = written_to_terminal(command, cwd=tmp_path)
    assert written.startswith("\x1b[31m\x1b[1mError:\x1b[0m a\\x1b[2J: no such results folder")
    assert written_to_terminal(command, cwd=tmp_path, NO_COLOR="1").startswith("Error: a\\x1b[2J")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["bench", "--nets", "x"], "Did you mean '--net'?"),
        (["bench", "--quite"], "Did you mean '--quiet'?"),
        (["bench", "--probe", "svn"], "Did you mean 'svm'?"),
        (["bench", "--zzzzzzzz"], "No such option '--zzzzzzzz'."),
        (["weights", "vrify"], "Did you mean 'verify'?"),
        (["benhc"], "Did you mean 'bench'?"),
    ],
)
def test_a_mistype_shows_the_usage_and_the_nearest_name(run, words, hint):
    result = run(*words)
    usage, way_to_help, empty, error = result.stderr.splitlines()
    assert result.exit_code == 2 and usage.startswith("Usage: ") and "--help" in way_to_help
    assert (empty, error[:7]) == ("", "Error: ") and hint in error


def test_a_command_that_runs_in_a_program_leaves_its_logging_as_it_was():
    root, own = logging.getLogger(), logging.getLogger("vggfeat")
    before = root.level, own.level
    assert CliRunner().invoke(main, ["ls", "probes", "--verbose"]).exit_code == 0
    assert (root.level, own.level) == before
    assert not any(isinstance(handler, Messages) for handler in root.handlers)


def test_other_handlers_get_the_traceback_that_is_not_printed(caplog):
    handler, logger = Messages(), logging.getLogger("vggfeat.odd")
    logger.addHandler(handler)
    try:
        raise ValueError("odd")
    except ValueError:
        logger.warning("here", exc_info=True)
    finally:
        logger.removeHandler(handler)
    assert "Traceback" in caplog.text
