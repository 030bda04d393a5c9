"""Commands on a disk that is full.

Each command meets a limit on the size of files at several sizes, and where this process may mount,
a disk that is really full. It must end with one line, leave nothing
half-written, and go on when there is room.
"""

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torture.commands import COMMANDS, Command, left_behind, tell, unfinished

SHARES = (0.02, 0.2, 0.5, 0.9)  # of the largest file that the command writes


def torture(command: Command, folder: Path) -> tuple[int, list[str]]:
    """How often the command met an end of the disk, and what was wrong then."""
    reference, met, wrong = folder / "reference", 0, []
    reference.mkdir()
    command.prepare(reference)
    shutil.copytree(reference, folder / "ready")
    status, errors = command.run(reference)
    assert status == 0, errors
    expected = left_behind(reference)
    before = {path.relative_to(folder / "ready") for path in (folder / "ready").rglob("*")}
    written = [p for p in reference.rglob("*") if p.is_file()]
    new = [p.stat().st_size for p in written if p.relative_to(reference) not in before]
    for place in (*(_limited(int(share * max(new))) for share in SHARES), _tmpfs(sum(new) // 3)):
        with place(folder / "tried", folder / "ready") as options:
            if options is None:
                continue
            status, errors = command.run(folder / "tried", **options)
            met += status != 0
            wrong += [
                f"{command.name}: {fault}" for fault in _faults(folder / "tried", status, errors)
            ]
            if place.__name__ == "limited":
                status, errors = command.run(folder / "tried")
                if status or left_behind(folder / "tried") != expected:
                    wrong.append(f"{command.name}: did not go on when there was room")
    return met, wrong


def _faults(folder: Path, status: int, errors: str) -> Iterator[str]:
    if status not in (0, 1):
        yield f"exit status {status}"
    if "Traceback" in errors:
        yield f"a traceback: {errors.strip().splitlines()[-1]}"
    if status and errors.strip() and not errors.strip().splitlines()[-1].startswith("Error: "):
        yield f"its last line is {errors.strip().splitlines()[-1]!r}"
    if left := unfinished(folder):
        yield f"it left {left[0]}"


def _limited(num_bytes: int) -> Callable:
    @contextmanager
    def limited(tried: Path, ready: Path) -> Iterator[dict]:
        shutil.copytree(ready, tried)
        limits = (num_bytes, num_bytes)
        try:
            yield {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)}
        finally:
            shutil.rmtree(tried)

    return limited


def _tmpfs(num_bytes: int) -> Callable:
    @contextmanager
    def full(tried: Path, ready: Path) -> Iterator[dict | None]:
        """A file system with room for its input and a part of what is written."""
        size = num_bytes + sum(p.stat().st_size + 4096 for p in ready.rglob("*") if p.is_file())
        tried.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tried)]
        allowed = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        try:
            if allowed:
                shutil.copytree(ready, tried, dirs_exist_ok=True)
            yield {} if allowed else None
        finally:
            if allowed:
                subprocess.run(["umount", str(tried)], check=True)
            shutil.rmtree(tried)

    return full


def main() -> int:
    """A line for each command; the number of faults."""
    total = 0
    for command in COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            met, wrong = torture(command, Path(folder))
        total += tell(command.name, f"{met:4} ends of the disk {len(wrong):4} faults", wrong)
    return total
