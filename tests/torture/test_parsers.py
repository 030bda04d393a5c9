"""The short form of `python -m torture.parsers`: some mutations of each parser's input."""

import pytest

from torture.parsers import torture
from torture.subjects import SUBJECTS

FEW = 60
# Each takes a process of its own, which imports for a second: these stand for all in every run.
FAST = ("VOC XML", "records JSON", "feature files", ".pth", "archives", "NetSpec")
NAMES = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted(SUBJECTS)
]


@pytest.mark.parametrize("name", NAMES)
def test_mutated_input_is_read_or_refused(name):
    outcome = torture(name, FEW, seed=1)
    assert not outcome.wrong
    assert outcome.total == FEW and outcome.refused and outcome.slowest < 10


def test_what_goes_wrong_is_told(monkeypatch, tmp_path):
    """A traceback, a crash and a hang, each with the number of the mutation that makes it."""
    from torture import parsers

    outcome = parsers.Outcome("x")
    program = (
        "import json, os, signal, sys\n"
        "start = int(sys.argv[4])\n"
        "for i, act in list(enumerate(['read', 'KeyError at a.py:3', 'crash', 'hang']))[start:]:\n"
        "    print(json.dumps({'begin': i}), flush=True)\n"
        "    if act == 'crash': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if act == 'hang': os.kill(os.getpid(), signal.SIGALRM)\n"
        "    print(json.dumps({'result': act, 'seconds': 0.1}), flush=True)\n"
    )
    child = tmp_path / "child.py"
    child.write_text(f"import sys; sys.argv = ['', '', '', '', sys.argv[-3]]\n{program}")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {parsers.sys.executable} {child} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(parsers.sys, "executable", str(python))
    done = 0
    while done < 4:
        done = parsers._run_child(outcome, "x", done, 4, 0)
    assert (outcome.read, outcome.hangs, len(outcome.wrong)) == (1, 1, 3)
    assert [line.rpartition(", ")[2] for line in outcome.wrong] == [
        "1: KeyError at a.py:3", "2: ended with status -11", "3: over 10 s",
    ]  # fmt: skip
