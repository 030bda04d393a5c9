"""Commands that are killed go on as if nothing had been.

Each command is killed at random moments, some times in a row in one folder, and then run to its
end. What it leaves must be what it leaves when nobody kills it; and what `vggfeat verify` says of
the folder right after a kill must be that nothing is damaged.
"""

import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from torture.commands import COMMANDS, Command, left_behind, tell, unfinished

KILLS_IN_A_ROW = 5


def torture(
    command: Command, num_kills: int, folder: Path, seed: int
) -> tuple[int, int, list[str], int]:
    """Rounds, kills that hit the running command, losses in words, and parts of files left over."""
    draw, losses, kills, rounds = random.Random(f"{command.name} {seed}"), [], 0, 0
    num_left = 0
    reference = folder / "reference"
    reference.mkdir()
    command.prepare(reference)
    shutil.copytree(reference, folder / "ready")
    began = time.monotonic()
    status, errors = command.run(reference)
    seconds = time.monotonic() - began
    assert status == 0, errors
    expected = left_behind(reference)
    while kills < num_kills:
        rounds += 1
        tried = folder / "tried"
        shutil.copytree(folder / "ready", tried)
        for _ in range(KILLS_IN_A_ROW):
            process = command.start(tried)
            try:
                # Little is written while modules are imported, in the first half.
                process.communicate(timeout=seconds * draw.uniform(0.3, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
            losses += [f"{command.name}: after a kill: {line}" for line in damaged(tried)]
        status, errors = command.run(tried)
        if status:
            losses.append(f"{command.name}: ended with {status}: {errors.strip()[-200:]}")
        elif (found := left_behind(tried)) != expected:
            names = {n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)}
            losses.append(f"{command.name}: other content in {', '.join(sorted(names)[:3])}")
        num_left += len(unfinished(tried))
        shutil.rmtree(tried)
    return rounds, kills, losses, num_left


def damaged(folder: Path) -> list[str]:
    """What `vggfeat verify` calls damaged of what is in a folder."""
    from vggfeat.benchmarks.verify import files_below, findings

    found = [
        str(finding)
        for path in files_below(folder)
        if "data" not in path.parts and "pictures" not in path.parts
        for finding in findings(path)
    ]
    return [text for text in found if ": damaged" in text]


def main(num_kills: int, seed: int = 0) -> int:
    """A line for each command; the number of losses."""
    total = 0
    for command in COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            share = -(-num_kills // len(COMMANDS))
            rounds, kills, losses, num_left = torture(command, share, Path(folder), seed)
        counts = f"{rounds:4} rounds {kills:5} kills {len(losses):4} losses,"
        total += tell(command.name, f"{counts} {num_left} hidden parts left over", losses)
    return total
