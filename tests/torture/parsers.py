"""`python -m torture.parsers [MUTATIONS [NAME ...]]`, from the folder tests: every parser is given
mutated inputs, and must read or refuse them.

A line for each parser: mutations, refused, read, tracebacks (any exception but a VggfeatError, and
crashes), hangs of over 10 s, the slowest, the most memory beyond what sound input takes. What went
wrong is printed with the seed that makes it again. The exit status is 1 if anything did.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torture import file_subjects, subjects  # noqa: F401 (enters its subjects)

MAX_SECONDS, MAX_BYTES = 10, 2**30  # for one input
TESTS = Path(__file__).resolve().parents[1]
NUM_SHOWN = 5  # of what went wrong with a parser


@dataclass
class Outcome:
    """What became of a parser's mutated inputs."""

    name: str
    refused: int = 0
    read: int = 0
    wrong: list[str] = field(default_factory=list)
    hangs: int = 0
    slowest: float = 0.0

    @property
    def total(self) -> int:
        return self.refused + self.read + len(self.wrong)

    def __str__(self) -> str:
        tracebacks = len(self.wrong) - self.hangs
        return (
            f"{self.name:<30} {self.total:>7} mutations {self.refused:>7} refused {self.read:>7}"
            f" read {tracebacks:>4} tracebacks {self.hangs:>3} hangs, slowest {self.slowest:.2f} s"
        )


def torture(name: str, count: int, seed: int = 0) -> Outcome:
    """Mutate a parser's input `count` times, in processes that are begun anew where one ends."""
    outcome, done = Outcome(name), 0
    while done < count:
        done = _run_child(outcome, name, done, count, seed)
    return outcome


def _run_child(outcome: Outcome, name: str, start: int, count: int, seed: int) -> int:
    """One process's work; the number of the next mutation."""
    command = [sys.executable, "-m", "torture.parsers", "--child", name, str(start), str(count)]
    done, begun, index = start, False, start
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, str(seed)],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        for line in process.stdout:
            event = json.loads(line)
            begun = True
            if "begin" in event:
                index = event["begin"]
                continue
            done = index + 1
            outcome.slowest = max(outcome.slowest, event["seconds"])
            if event["result"] in ("read", "refused"):
                setattr(outcome, event["result"], getattr(outcome, event["result"]) + 1)
            else:
                outcome.wrong.append(f"{name}, seed {seed}, {index}: {event['result']}")
        code = process.wait()
        if code and not begun:
            errors.seek(0)
            raise RuntimeError(f"{name}: sound input is not read:\n{errors.read().decode()}")
    if code:
        hung = code == -signal.SIGALRM
        outcome.hangs += hung
        outcome.slowest = max(outcome.slowest, MAX_SECONDS if hung else 0)
        reason = f"over {MAX_SECONDS} s" if hung else f"ended with status {code}"
        outcome.wrong.append(f"{name}, seed {seed}, {index}: {reason}")
        done = index + 1
    return done


def _child(name: str, start: int, count: int, seed: int) -> None:
    """Report a line of JSON before and after each mutation."""
    import logging
    import resource
    import warnings

    logging.disable()
    warnings.simplefilter("ignore")
    output = os.fdopen(os.dup(1), "w", buffering=1)  # libraries may print
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        subject = subjects.SUBJECTS[name](Path(folder))
        sound = {path: path.read_bytes() for path in subject.files}
        subject.read()  # sound input is read; what is imported late is there now
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, used + MAX_BYTES))
        for index in range(start, count):
            rng = random.Random(f"{name} {seed} {index}")
            path = subject.files[index % len(subject.files)]
            path.write_bytes(subject.mutate(sound[path], rng))
            print(json.dumps({"begin": index}), file=output)
            signal.alarm(MAX_SECONDS)  # ends this process
            begun = time.perf_counter()
            result = _result(subject.read)
            seconds = time.perf_counter() - begun
            signal.alarm(0)
            print(json.dumps({"result": result, "seconds": seconds}), file=output)
            path.write_bytes(sound[path])


def _result(read: Callable[[], object]) -> str:
    """read, refused, or the exception and where it comes from."""
    import traceback

    from vggfeat.errors import VggfeatError

    try:
        read()
    except VggfeatError:
        return "refused"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = [f for f in place if "/vggfeat/" in f.filename or "/benchmarks/" in f.filename]
        last = (ours or place)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return f"{type(error).__name__} at {where}: {str(error)[:200]}"
    return "read"


def all_outcomes(count: int, names: Sequence[str], seed: int = 0) -> Iterator[Outcome]:
    """The outcomes of the named parsers, one after the other."""
    for name in names or subjects.SUBJECTS:
        yield torture(name, count, seed)


def main(count: int, names: Sequence[str] = (), seed: int = 0) -> int:
    """A line for each parser, and what went wrong; the number of that."""
    num_wrong = 0
    for outcome in all_outcomes(count, names, seed):
        print(outcome, flush=True)
        for line in outcome.wrong[:NUM_SHOWN]:
            print(f"  {line}", flush=True)
        num_wrong += len(outcome.wrong)
    return num_wrong


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        parser_name, *numbers = sys.argv[2:]
        _child(parser_name, *map(int, numbers))
        sys.exit()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("mutations", type=int, nargs="?", default=10_000)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_intermixed_args()
    sys.exit(main(given.mutations, given.names, given.seed) > 0)
