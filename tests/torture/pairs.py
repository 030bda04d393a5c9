"""`python -m torture.pairs [ROUNDS]`, from the folder tests: the same command twice at once.

Both must end well, and leave what one alone leaves.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from torture.commands import COMMANDS, Command, left_behind, unfinished


def torture(command: Command, rounds: int, folder: Path, seed: int) -> list[str]:
    """What was wrong, in words."""
    draw, wrong, reference = random.Random(f"{command.name} {seed}"), [], folder / "reference"
    reference.mkdir()
    command.prepare(reference)
    shutil.copytree(reference, folder / "ready")
    status, errors = command.run(reference)
    assert status == 0, errors
    expected = left_behind(reference)
    for _ in range(rounds):
        tried = folder / "tried"
        shutil.copytree(folder / "ready", tried)
        first = command.start(tried)
        time.sleep(draw.uniform(0, 1))
        for process in (command.start(tried), first):
            _, errors = process.communicate(timeout=300)
            if process.returncode:
                wrong.append(f"{command.name}: {process.returncode}: {errors.strip()[-200:]}")
        if left_behind(tried) != expected or unfinished(tried):
            wrong.append(f"{command.name}: other content than of one alone")
        shutil.rmtree(tried)
    return wrong


def main(rounds: int, seed: int = 0) -> int:
    """A line for each command; the number of faults."""
    total = 0
    for command in COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            wrong = torture(command, rounds, Path(folder), seed)
        print(f"{command.name:<16} {rounds:4} pairs {len(wrong):4} faults", flush=True)
        for fault in wrong[:5]:
            print(f"  {fault}")
        total += len(wrong)
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(main(given.rounds, given.seed) > 0)
