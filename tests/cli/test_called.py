"""The name of the command in what is printed for the user to type."""

import os
import sys

import pytest

from vggfeat.cli.called import command_name


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function: a program of this name in ./bin, as the command that was typed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    def program(name):
        path = tmp_path / "my bin" / name
        path.parent.mkdir()
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "argv", [str(path), "demo"])
        return path

    return program


def test_by_its_path_from_here_where_the_shell_does_not_find_it(program):
    program("vggfeat")
    assert command_name() == "'my bin/vggfeat'"


def test_by_its_whole_path_from_elsewhere(program, tmp_path, monkeypatch):
    path = program("vggfeat")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command_name() == f"'{path}'"


def test_by_its_name_where_the_shell_finds_this_one(program, monkeypatch):
    path = program("vggfeat")
    monkeypatch.setenv("PATH", os.pathsep.join(["/nothing", str(path.parent)]))
    assert command_name() == "vggfeat"


def test_as_a_module_it_begins_with_the_python_that_runs_it(program, monkeypatch):
    path = program("__main__.py")
    monkeypatch.setattr(sys, "executable", str(path.with_name("python")))
    assert command_name() == "'my bin/python' -m vggfeat"
