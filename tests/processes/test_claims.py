"""Parts are handed out once, and again where a process died or is stuck; all get done, exactly."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.processes import Agent

from vggfeat.processes.claims import handed_out
from vggfeat.processes.workers import ALONE, Workers

LEASE_S = 0.4


def work(workers: Workers, folder: Path, num_parts: int, seconds: float) -> None:
    """Write a file for each part, as extraction does: by a name of its own, renamed when whole."""
    claims = handed_out(
        workers, "test", num_parts, is_done=lambda i: path(folder, i).exists(), lease_s=LEASE_S
    )
    for claim in claims:
        own = folder / f".{claim.part}.{claim.token}"
        own.write_text(f"part {claim.part}")
        time.sleep(seconds)
        own.replace(path(folder, claim.part))
        with (folder / "log").open("a") as log:
            log.write(f"{claim.part} {workers.rank} {claim.lost}\n")


def work_to_the_end_of_parts(workers: Workers, folder: Path, *arguments) -> None:
    """The same among processes that no agent ends when one is killed."""
    (folder / f"rank{workers.rank}").touch()
    work(workers, folder, *arguments)
    os._exit(0)


def path(folder: Path, part: int) -> Path:
    return folder / f"part{part}"


def contents(folder: Path, num_parts: int) -> list[str]:
    return [path(folder, part).read_text() for part in range(num_parts)]


def times_done(folder: Path) -> list[int]:
    return [int(line.split()[0]) for line in (folder / "log").read_text().splitlines()]


def test_a_process_alone_does_what_the_disk_does_not_have():
    claims = list(handed_out(ALONE, "alone", 5, is_done=lambda part: part == 2))
    assert [claim.part for claim in claims] == [0, 1, 3, 4]
    assert len({claim.token for claim in claims}) == 4 and not claims[0].lost


def test_every_part_is_done_once_by_some_process(tmp_path):
    path(tmp_path, 3).write_text("part 3")
    agent = Agent(3)
    for process in agent.start(work, tmp_path, 40, 0.01):
        process.join(120)
        assert process.exitcode == 0
    assert sorted(times_done(tmp_path)) == [part for part in range(40) if part != 3]
    assert len({line.split()[1] for line in (tmp_path / "log").read_text().splitlines()}) > 1


def send(number: int, process) -> None:
    with suppress(ProcessLookupError):  # it may be done
        os.kill(process.pid, number)


def tortured(folder: Path, seed: int, num_parts: int, size: int) -> None:
    """Kill or stop all processes but one at random moments, and see what is left."""
    draw = random.Random(seed)
    agent = Agent(size)
    processes = agent.start(work_to_the_end_of_parts, folder, num_parts, 0.005)
    while len(list(folder.glob("rank*"))) < size:
        time.sleep(0.01)
    survivor = draw.randrange(size)
    stopped = []
    for process in processes:
        if process is not processes[survivor]:
            time.sleep(draw.uniform(0, 0.3))
            kind = draw.choice([signal.SIGKILL, signal.SIGSTOP])
            send(kind, process)
            stopped += [process] if kind == signal.SIGSTOP else []
    if draw.random() < 0.5:  # some wake up before the end, others after it
        time.sleep(draw.uniform(0, 2 * LEASE_S))
    else:
        processes[survivor].join(120)
    for process in stopped:
        send(signal.SIGCONT, process)
    for process in (processes[survivor], *stopped):
        process.join(120)
        assert process.exitcode == 0
    assert contents(folder, num_parts) == [f"part {part}" for part in range(num_parts)]


def give_up(workers: Workers, folder: Path) -> None:
    """One process is interrupted at its part, when the others have nothing left but to wait."""
    for claim in handed_out(workers, "test", 3, is_done=lambda part: False, lease_s=600):
        if workers.rank == 1:
            raise KeyboardInterrupt
        path(folder, claim.part).write_text(f"part {claim.part}")


def test_the_part_of_an_interrupted_process_goes_to_another_at_once(tmp_path):
    agent = Agent(2)
    for process in agent.start(give_up, tmp_path):
        process.join(120)
    assert contents(tmp_path, 3) == ["part 0", "part 1", "part 2"]


def test_what_killed_and_stuck_processes_leave_is_done_by_others(tmp_path):
    tortured(tmp_path, seed=0, num_parts=100, size=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 20))
def test_whoever_dies_or_is_stuck_at_any_moment_all_parts_get_done(tmp_path, seed):
    tortured(tmp_path, seed, num_parts=200, size=4)
