"""The code blocks of a Markdown document, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?:    .*\n(?:\n(?=    ))?)+)")


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, its language (none for an indented block), its text."""

    document: str
    line: int
    language: str
    text: str

    def commands(self) -> list[str]:
        """The lines that are typed into a shell, continued ones joined; none of other blocks."""
        if self.language not in ("", "sh"):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if re.match(TYPED, line.strip())]

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


# Programs that a document tells its reader to call.
TYPED = r"(vggfeat|make|python3?|pip|uv|torchrun|sbatch|\.|\.venv/bin/\S+|git|cd)( |$)"


def blocks_of(path: Path) -> list[Block]:
    """Fenced and indented blocks in their order."""
    text = path.read_text()
    found = [(m.start(), m[1], m[2]) for m in _FENCE.finditer(text)]
    # What lies in a fence is no indented block.
    outside = _FENCE.sub(lambda m: re.sub(r"[^\n]", "", m[0]), text)
    shift = _line_starts(text)
    for m in _INDENTED.finditer(outside):
        line = outside.count("\n", 0, m.start())
        body = "".join(each.removeprefix("    ") for each in m[0].splitlines(keepends=True))
        found.append((shift[line], "", body))
    found.sort()
    return [
        Block(path.name, text.count("\n", 0, start) + 1, language, body)
        for start, language, body in found
    ]


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def words_of(command: str) -> list[str]:
    """The arguments of a command as a shell would give them, wildcards filled from the disk."""
    words = []
    for word in shlex.split(command, comments=True)[1:]:
        files = sorted(map(str, Path().glob(word))) if "*" in word else []
        words += files or [word]
    return words
