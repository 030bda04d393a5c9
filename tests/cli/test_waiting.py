"""Threads of commands wait asleep, unless the user has chosen how they wait."""

import json
import os
import subprocess
import sys

import pytest

from vggfeat.cli.waiting import ASLEEP, OF_USERS

# What a command's process has in its environment once it has begun.
COMMAND = """
import json, os, sys
{before}
from vggfeat.cli.group import Commands
from click.testing import CliRunner
CliRunner().invoke(Commands(), ["--help"])
print(json.dumps(dict(os.environ)))
"""


def environment_of_command(before: str = "", **chosen: str) -> dict[str, str]:
    usual = {name: value for name, value in os.environ.items() if name not in OF_USERS}
    code = COMMAND.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], env=usual | chosen, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_a_command_sets_it_before_it_loads_a_library():
    assert environment_of_command().items() >= ASLEEP.items()


@pytest.mark.parametrize("name", OF_USERS)
def test_what_the_user_has_chosen_is_left(name):
    assert {n: v for n, v in environment_of_command(**{name: "9"}).items() if n in OF_USERS} == {
        name: "9"
    }


def test_a_process_that_has_loaded_torch_is_left_as_it_is():
    assert not environment_of_command("sys.modules['torch'] = sys").keys() & set(OF_USERS)
