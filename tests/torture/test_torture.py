"""The short forms of what `make torture` does at length."""

import pytest

from torture import disks, flips, hostile, kills, pairs
from torture.commands import COMMANDS

OF_A_RUN = ("training checkpoint", "training record", "colours of a run")  # which takes seconds
FAST = [kind for kind in flips.KINDS if kind.name not in OF_A_RUN]
OF_SECONDS = [kind for kind in flips.KINDS if kind.name in OF_A_RUN]


@pytest.mark.parametrize("kind", FAST, ids=lambda kind: kind.name)
def test_no_flipped_bit_is_used_in_silence(kind, tmp_path):
    outcomes = flips.torture(kind, 12, tmp_path, seed=1)
    assert outcomes["refused"] + outcomes["warned"] + outcomes["as it was"] == 12, outcomes
    assert outcomes["refused"] + outcomes["warned"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_SECONDS, ids=lambda kind: kind.name)
def test_nor_in_what_a_run_of_training_leaves(kind, tmp_path):
    outcomes = flips.torture(kind, 50, tmp_path, seed=1)
    assert outcomes["refused"] + outcomes["as it was"] == 50, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_killed_command_goes_on_as_if_nothing_had_been(command, tmp_path):
    _, num_kills, losses, _ = kills.torture(command, 2, tmp_path, seed=1)
    assert num_kills >= 2 and not losses


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(command, tmp_path):
    met, wrong = disks.torture(command, tmp_path)
    assert met and not wrong


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_twice_at_once_leaves_what_one_leaves(command, tmp_path):
    assert not pairs.torture(command, 1, tmp_path, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("attack", hostile.ATTACKS, ids=lambda attack: attack.name)
def test_a_hostile_file_achieves_nothing(attack):
    assert not list(hostile.faults(attack))
