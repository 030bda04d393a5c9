"""The same command twice at once.

Both must end well, and leave what one alone leaves.
"""

import random
import shutil
import tempfile
import time
from pathlib import Path

from torture.commands import COMMANDS, Command, left_behind, tell, unfinished


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
        total += tell(command.name, f"{rounds:4} pairs {len(wrong):4} faults", wrong)
    return total
