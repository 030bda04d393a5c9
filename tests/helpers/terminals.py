"""A terminal of a test's own: what a command writes to it, and what a person sees there then."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path


def written_to_terminal(
    arguments: Sequence[str], *, cwd: Path | None = None, columns: int = 80, **environment: str
) -> str:
    """What a Python process, started with these arguments, writes to a terminal on which it is."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=there, stdout=there, stderr=there, cwd=cwd,
        env=inherited | {"TERM": "xterm"} | environment,
    )  # fmt: skip
    os.close(there)
    written = b""
    try:
        while piece := os.read(here, 4096):
            written += piece
    except OSError:
        pass  # the other end is closed
    os.close(here)
    process.wait()
    return written.replace(b"\r\n", b"\n").decode(errors="surrogateescape")


def seen(written: str, columns: int = 80) -> list[str]:
    """The lines that a person sees: \\r goes to the line's begin, long lines go on in the next."""
    lines, column = [[" "] * columns], 0
    for letter in re.sub(r"\x1b\[[0-9;]*m", "", written):
        if letter == "\r":
            column = 0
        elif letter == "\n":
            lines, column = [*lines, [" "] * columns], 0
        else:
            if column == columns:
                lines, column = [*lines, [" "] * columns], 0
            lines[-1][column] = letter
            column += 1
    return ["".join(line).rstrip() for line in lines]
