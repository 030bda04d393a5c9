"""A command under torchrun whose processes are killed at random moments, and started again.

torchrun starts all its processes again when one dies, so many times; when it gives up, it is itself
started again here, with another number of processes if that is asked for.
"""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggfeat.benchmarks.scale.process_memory import PROC, children_of, environment_of, memory_of
from vggfeat.errors import VggfeatError

log = logging.getLogger(__name__)

SAMPLE_S = 0.25
MAX_RESTARTS = 3  # by torchrun
MOST_STARTS = 50
STUCK_S = 600.0  # without a row more, after which the run counts as stuck


@dataclass(frozen=True, kw_only=True)
class Kills:
    """How often a process is killed, and after how many seconds on average."""

    during: int = 0  # the extraction
    joining: int = 0  # after the last shard is whole
    mean_s: float = 12.0
    joining_mean_s: float = 1.0
    seed: int = 0


@dataclass(kw_only=True)
class RunFacts:
    """What was seen of a run: samples of memory, and when processes were started and killed."""

    seconds: float = 0.0
    extracted_s: float = 0.0  # until the last shard was whole
    starts: int = 0  # of torchrun
    kills: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def peak_rss(self) -> float:
        """MiB of the process that held most."""
        return max((max(sample["rss"], default=0.0) for sample in self.samples), default=0.0)

    @property
    def peak_pss(self) -> float:
        """MiB of all processes together, each shared page counted once."""
        return max((sum(sample["pss"]) for sample in self.samples), default=0.0)


def torchrun(num_processes: int, arguments: Sequence[str]) -> list[str]:
    """The command that starts `vggfeat` with these arguments in so many processes."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={num_processes}", f"--max-restarts={MAX_RESTARTS}",
        "-m", "vggfeat", *arguments,
    ]  # fmt: skip


def num_processes_of(command: Sequence[str]) -> int:
    """How many processes a command of torchrun's starts."""
    (option,) = (word for word in command if word.startswith("--nproc-per-node="))
    return int(option.partition("=")[2])


class DisturbedRun:
    """Runs a command until it ends well; `run` returns what was seen.

    rows_done says how many rows are in whole shards, of num_rows.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        rows_done: Callable[[], int],
        num_rows: int,
        kills: Kills,
        log_path: Path,
    ):
        self.commands, self.rows_done, self.num_rows = commands, rows_done, num_rows
        self.left = {"during": kills.during, "joining": kills.joining}
        self.mean_s = {"during": kills.mean_s, "joining": kills.joining_mean_s}
        self.random = random.Random(kills.seed)
        self.log_path = log_path
        self.facts = RunFacts()
        self.began = self.phase_began = time.monotonic()
        self.phase, self.rows = "during", 0
        self.progressed = self.began
        self.of_killed: set[int] = set()  # processes that were there when one was killed
        self.next_kill: float | None = None  # not drawn yet

    def run(self) -> RunFacts:
        """Raises VggfeatError where it does not end well, though nothing was killed."""
        if not (PROC.is_dir() and hasattr(os, "kill") and hasattr(signal, "SIGKILL")):
            raise VggfeatError("processes can be killed and their memory watched on Linux only.")
        with self.log_path.open("ab") as output:
            while True:
                command = self.commands[self.facts.starts % len(self.commands)]
                kills_before = self.facts.kills
                self.facts.starts += 1
                self._note("start", processes=num_processes_of(command))
                status = self._one_start(command, output)
                self._note("end", status=status)
                if status == 0:
                    break
                log.info("torchrun gave up after %.0f s (%d)", self._now(), status)
                if self.facts.kills == kills_before or self.facts.starts >= MOST_STARTS:
                    raise VggfeatError(
                        f"{' '.join(command)}: ended with {status}, see {output.name}"
                    )
        self.facts.seconds = self._now()
        return self.facts

    def _one_start(self, command: Sequence[str], output: Any) -> int:
        with subprocess.Popen(command, stdout=output, stderr=output) as agent:
            try:
                while (status := agent.poll()) is None:
                    self._look(agent.pid)
                    time.sleep(SAMPLE_S)
            except BaseException:
                agent.terminate()
                raise
        return status

    def _look(self, agent: int) -> None:
        """Take a sample, and kill a process if it is time."""
        processes = children_of(agent)
        memories = [memory for pid in processes if (memory := memory_of(pid))]
        rows = self.rows_done()
        if rows > self.rows:
            self.rows, self.progressed = rows, time.monotonic()
        if self.phase == "during" and rows >= self.num_rows:
            self.phase, self.facts.extracted_s = "joining", self._now()
            self.next_kill = None
        self.facts.samples.append(
            {
                "s": round(self._now(), 2),
                "rows": rows,
                "rss": [round(memory.rss, 1) for memory in memories],
                "pss": [round(memory.pss, 1) for memory in memories],
            }
        )
        self._kill_if_due([pid for pid in processes if pid not in self.of_killed])
        if time.monotonic() - self.progressed > STUCK_S:
            raise VggfeatError(f"no row more for {STUCK_S:.0f} s, after {rows:,} rows")

    def _kill_if_due(self, processes: Sequence[int]) -> None:
        """Kill one of the processes if it is time, which is drawn once they are seen."""
        living = [pid for pid in processes if memory_of(pid)]  # a dead one does not count
        if not living or not self.left[self.phase]:
            return
        if self.next_kill is None:
            self.next_kill = self._when()
        if time.monotonic() < self.next_kill:
            return
        pid = self.random.choice(living)
        rank = environment_of(pid).get("RANK", "")
        try:
            os.kill(pid, signal.SIGKILL)  # for which no process can prepare
        except ProcessLookupError:
            return
        self.of_killed = set(living)  # which the agent ends now
        self.left[self.phase] -= 1
        self.facts.kills += 1
        self._note("kill", rank=rank, phase=self.phase, rows=self.rows)
        self.next_kill = None

    def _when(self) -> float:
        return time.monotonic() + self.random.expovariate(1 / self.mean_s[self.phase])

    def _now(self) -> float:
        return time.monotonic() - self.began

    def _note(self, kind: str, **facts: Any) -> None:
        self.facts.events.append({"s": round(self._now(), 2), "kind": kind, **facts})
