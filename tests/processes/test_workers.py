"""What processes tell each other through the store: values, who is first, and what failed."""

import os
import time
from pathlib import Path

import pytest
from helpers.processes import Agent

from vggfeat import devices
from vggfeat.errors import OptionError, VggfeatError
from vggfeat.processes.meeting import StoreLost
from vggfeat.processes.workers import ALONE, WorkerFailed, Workers, workers


def ended(processes, seconds: float = 120) -> list[int]:
    """The exit codes of processes, once they have ended."""
    for process in processes:
        process.join(seconds)
    return [process.exitcode for process in processes]


def tell(folder: Path, workers: Workers, text: str) -> None:
    (folder / f"rank{workers.rank}").write_text(text)


def told(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("rank*"))]


def all_here(workers: Workers) -> None:
    workers.announce(f"here {workers.rank}")
    for rank in range(workers.size):
        workers.wait_for(f"here {rank}")


def announced(workers: Workers, folder: Path) -> None:
    if workers.leads:
        workers.announce("conditions", {"parts": 3, "name": "Bäume"})
    else:
        tell(folder, workers, str(workers.wait_for("conditions")))


def first(workers: Workers, folder: Path) -> None:
    for name in ("dataset", "dataset"):
        with workers.leader_first(name), (folder / "order").open("a") as order:
            order.write(str(workers.rank))
            order.flush()
            time.sleep(0.1 * workers.leads)


def leader_fails(workers: Workers, folder: Path) -> None:
    all_here(workers)
    try:
        with workers.leader_first("dataset"):
            assert workers.leads, "another process tried it, too"
            raise OptionError("no such dataset.")
    except VggfeatError as error:
        tell(folder, workers, f"{type(error).__name__}: {error}")
        raise


def second_fails(workers: Workers, folder: Path) -> None:
    """In the middle of a part, say; the others look now and then whether all is well."""
    try:
        all_here(workers)
        if workers.rank == 1:
            raise OptionError("its disk is full.")
        for _ in workers.looks():
            pass
    except WorkerFailed as error:
        tell(folder, workers, str(error))
        raise


def forever(workers: Workers, folder: Path) -> None:
    tell(folder, workers, "here")
    try:
        workers.wait_for("nothing")
    except StoreLost as error:
        tell(folder, workers, str(error))


def test_a_value_is_announced_to_all(tmp_path):
    agent = Agent(3)
    assert ended(agent.start(announced, tmp_path)) == [0, 0, 0]
    assert told(tmp_path) == ["{'parts': 3, 'name': 'Bäume'}"] * 2


def test_the_leading_process_is_first_each_time(tmp_path):
    agent = Agent(3)
    assert ended(agent.start(first, tmp_path)) == [0, 0, 0]
    order = (tmp_path / "order").read_text()
    assert order[0] == "0" and sorted(order) == list("001122")


def test_what_failed_for_the_leading_process_is_not_tried_by_others(tmp_path):
    agent = Agent(3)
    assert ended(agent.start(leader_fails, tmp_path)) == [1, 1, 1]
    leader, *others = told(tmp_path)
    assert leader == "OptionError: no such dataset."
    assert all(text.startswith("WorkerFailed: ") for text in others)


def test_the_leading_process_is_told_what_failed_elsewhere(tmp_path):
    agent = Agent(3)
    assert ended(agent.start(second_fails, tmp_path)) == [1, 1, 1]
    assert all(text.startswith("process 1 on ") for text in told(tmp_path))
    assert told(tmp_path)[0].endswith(": its disk is full.")


def test_a_new_start_takes_nothing_that_an_earlier_one_left_in_the_store(tmp_path):
    """As torchrun's agent keeps its store for all starts: the first here ends in an error."""
    agent = Agent(2)
    assert ended(agent.start(leader_fails, tmp_path)) == [1, 1]
    assert ended(agent.start(announced, tmp_path)) == [0, 0]
    assert told(tmp_path)[1] == "{'parts': 3, 'name': 'Bäume'}"


def test_a_lost_store_ends_a_process_that_waits(tmp_path):
    agent = Agent(2)
    processes = agent.start(forever, tmp_path)
    while told(tmp_path) != ["here", "here"]:
        time.sleep(0.01)
    del agent.store
    ended(processes)
    for text in told(tmp_path):
        assert f"the processes' store at 127.0.0.1:{agent.port} is gone" in text
        assert "\n" not in text


def test_without_an_agent_the_leading_process_keeps_the_store_until_all_have_left(tmp_path):
    agent = Agent(3, keeps_store=False)
    assert ended(agent.start(announced, tmp_path)) == [0, 0, 0]
    assert len(told(tmp_path)) == 2


def test_one_process_alone_waits_for_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with workers() as here, here.leader_first("dataset"):
        assert here is ALONE and here.leads and not here.announced("anything")
        here.announce("anything")
        here.check()
        with pytest.raises(ValueError, match="would wait for 'anything' forever"):
            here.wait_for("anything")


@pytest.fixture
def second_of_two(monkeypatch):
    of_torchrun = {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    }  # fmt: skip
    for name, value in of_torchrun.items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


def test_each_process_of_a_machine_has_its_own_gpu(second_of_two, monkeypatch):
    assert devices.of_this_process("cuda") == "cuda:1"
    assert devices.of_this_process("cpu") == "cpu"
    with pytest.raises(OptionError, match="cuda:0: 2 processes of this machine have a GPU each."):
        devices.of_this_process("cuda:0")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(OptionError, match="process 1 of this machine has no GPU: there are 1."):
        devices.of_this_process("cuda")


def test_a_process_alone_uses_the_gpu_that_is_named(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert devices.of_this_process("cuda:1") == "cuda:1"
    assert devices.of_this_process("cuda") == "cuda"


def late(workers: Workers, folder: Path) -> None:
    tell(folder, workers, "was here")


def test_the_leading_process_does_not_leave_before_late_ones_have_come(tmp_path):
    """As it may, where everything was made already."""
    agent = Agent(2)
    processes = agent.start(late, tmp_path, ranks=[0])
    while told(tmp_path) != ["was here"]:
        time.sleep(0.01)
    processes += agent.start(late, tmp_path, ranks=[1])
    assert ended(processes) == [0, 0]
