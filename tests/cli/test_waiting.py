"""Threads of commands wait asleep where others keep the cores busy, unless the user has chosen."""

import json
import os
import subprocess
import sys

import pytest

from vggfeat.cli.waiting import ASLEEP, OF_USERS

# What a command's process has in its environment once it has begun, where so many threads run.
COMMAND = """
import json, os, pathlib, sys
{before}
from vggfeat import busy_cores
from vggfeat.cli import group
busy_cores.PROC = pathlib.Path("proc")
(busy_cores.PROC / "self" / "task" / "7").mkdir(parents=True)
(busy_cores.PROC / "self" / "task" / "7" / "stat").write_text("7 (a) name) R 1 7")
(busy_cores.PROC / "loadavg").write_text("0.10 0.20 0.30 {running}/300 4242\\n")
import click
@click.command()
def command():
    print(json.dumps(dict(os.environ)))
group.main.add_command(command)
group.main(["command"])
"""
BUSY = 1 + max(1, (os.cpu_count() or 1) // 2)


@pytest.fixture
def begun(tmp_path):
    def environment(running: int = BUSY, before: str = "", **chosen: str) -> dict[str, str]:
        usual = {name: value for name, value in os.environ.items() if name not in OF_USERS}
        done = subprocess.run(
            [sys.executable, "-c", COMMAND.format(running=running, before=before)],
            env=usual | chosen, capture_output=True, cwd=tmp_path, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    return environment


def test_where_half_of_the_cores_are_busy_it_is_set_before_a_library_is_loaded(begun):
    assert begun().items() >= ASLEEP.items()


def test_alone_threads_wait_as_ever(begun):
    assert not begun(running=1).keys() & set(OF_USERS)


@pytest.mark.parametrize("name", OF_USERS)
def test_what_the_user_has_chosen_is_left(name, begun):
    assert {n: v for n, v in begun(**{name: "9"}).items() if n in OF_USERS} == {name: "9"}


def test_a_process_that_has_loaded_torch_is_left_as_it_is(begun):
    assert not begun(before="sys.modules['torch'] = sys").keys() & set(OF_USERS)


def test_a_system_that_does_not_count_is_taken_for_idle(begun):
    assert not begun(running="nobody knows").keys() & set(OF_USERS)
