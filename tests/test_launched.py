"""Variables that platforms set as torchrun does: used where complete, named where not."""

import socket

import pytest

from vggfeat.errors import OptionError
from vggfeat.prefetch import available_cores
from vggfeat.processes.launched import Launched, follows, launched, processes_here
from vggfeat.processes.world import World, process_group

COMPLETE = {
    "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1",
    "MASTER_ADDR": "node0", "MASTER_PORT": "29500",
}  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    for name in (*COMPLETE, "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def environment(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return environment


def test_what_is_complete_is_used(environment):
    environment(**COMPLETE)
    assert launched() == Launched(rank=3, size=4, local_rank=1) and follows()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WORLD_SIZE": ""},
        {"WORLD_SIZE": " "},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"RANK": "3"},
        {"RANK": "abc", "LOCAL_RANK": "", "MASTER_ADDR": "node0"},
        {**COMPLETE, "WORLD_SIZE": ""},
    ],
)
def test_one_process_alone(environment, variables):
    environment(**variables)
    assert launched() is None and not follows()
    with process_group("cpu") as world:
        assert world == World()


@pytest.mark.parametrize(
    "lacking", [("RANK",), ("LOCAL_RANK",), ("MASTER_ADDR", "MASTER_PORT"), tuple(COMPLETE)[1:]]
)
@pytest.mark.parametrize("empty", [False, True])
def test_what_is_missing_is_named(environment, lacking, empty):
    environment(**{name: value for name, value in COMPLETE.items() if name not in lacking})
    if empty:
        environment(**dict.fromkeys(lacking, ""))
    with pytest.raises(OptionError) as error, process_group("cpu"):
        pass
    names = ", ".join(lacking) + (" is" if len(lacking) == 1 else " are")
    assert f"that 4 processes work together, but {names} not set." in str(error.value)
    assert not follows()


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        ("WORLD_SIZE", "two", "from 1 on"),
        ("WORLD_SIZE", "0", "from 1 on"),
        ("WORLD_SIZE", "-1", "from 1 on"),
        ("WORLD_SIZE", "2.0", "from 1 on"),
        ("WORLD_SIZE", "²", "from 1 on"),
        ("WORLD_SIZE", "9" * 5000, "from 1 on"),
        ("RANK", "4", "from 0 to 3"),
        ("RANK", "x", "from 0 to 3"),
        ("LOCAL_RANK", "-1", "from 0 to 3"),
        ("MASTER_PORT", "65536", "from 0 to 65535"),
        ("MASTER_PORT", "http", "from 0 to 65535"),
    ],
)
def test_what_is_no_number_is_one_line(environment, name, value, allowed):
    environment(**{**COMPLETE, name: value})
    with pytest.raises(OptionError) as error:
        launched()
    assert f"{name}={value}, which must be a whole number {allowed}." in str(error.value)


@pytest.mark.parametrize("value, number", [("", 1), ("1", 1), ("3", 3)])
def test_processes_of_a_machine_share_its_cores(environment, value, number):
    cores = available_cores()
    environment(LOCAL_WORLD_SIZE=value)
    assert processes_here() == number and available_cores() == max(1, cores // number)


@pytest.mark.parametrize("value", ["0", "-2", "all"])
def test_a_number_of_processes_that_is_none_is_one_line(environment, value):
    environment(LOCAL_WORLD_SIZE=value)
    with pytest.raises(OptionError, match=f"LOCAL_WORLD_SIZE={value}, which must be a whole"):
        available_cores()


def test_a_meeting_place_that_is_taken_is_one_line(environment):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environment(**COMPLETE | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": "0"})
        with pytest.raises(OptionError, match=f"process 0 of 4 did not meet .* 127.0.0.1:{port}"):
            with process_group("cpu"):
                pass
