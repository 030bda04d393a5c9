"""A document followed word for word in an empty folder: its commands, its Python, what they print.

    python tests/helpers/walkthrough.py docs/tutorial.md

writes the outputs in the document anew, as they are on this machine.
"""

import contextlib
import io
import os
import re
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.code_blocks import Block, blocks_of, words_of
from vggfeat.cli import main


def follow(document: Path) -> Iterator[tuple[Block, str]]:
    """Runs the blocks in the current folder; yields each block of output with what was printed.

    Python is saved where the text before it names a file ("Save this as `digits.py`"), else run.
    """
    text = document.read_text().splitlines()
    printed = ""
    for block in blocks_of(document):
        if block.language == "text":
            yield block, printed
        elif block.language == "python":
            named = re.search(r"`(\w+\.py)`", " ".join(text[max(0, block.line - 4) : block.line]))
            if named:
                Path(named[1]).write_text(block.text)
            else:
                printed = _printed_by(compile(block.text, str(block), "exec"))
        for command in block.commands():
            printed = _run(command)


def _run(command: str) -> str:
    if command.startswith("python "):
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            runpy.run_path(words_of(command)[0], run_name="__main__")
        return stdout.getvalue()
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, words_of(command))
    assert result.exit_code == 0, f"{command}: {result.output}"
    return result.stdout


def _printed_by(code) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        exec(code, {"__name__": "__main__"})
    return stdout.getvalue()


def shape_of(output: str) -> str:
    """Output without its numbers, and without the widths of columns that follow from them."""
    output = re.sub(r"\b[0-9a-f]{12,}\b", "KEY", output)
    output = re.sub(r"[+-]?\d+(,\d{3})*(\.\d+)?(e-\d+)?", "0", output)
    return re.sub(r"\s+", " ", re.sub(r"-{2,}", "--", output)).strip()


def _write_outputs(document: Path) -> None:
    new = document.read_text()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["VGGFEAT_HOME"] = str(Path(folder, "home"))
        for block, printed in follow(document):
            if "\n...\n" not in block.text:  # shortened by hand
                place = _place(new, block, document)
                new = f"{new[:place]}{printed.strip()}\n{new[place + len(block.text) :]}"
    document.write_text(new)


def _place(new: str, block: Block, document: Path) -> int:
    """Where the text of a block of the document begins in its new form."""
    outputs = [b.line for b in blocks_of(document) if b.language == "text"]
    fences = [m.end() for m in re.finditer(r"^```text\n", new, re.MULTILINE)]
    return fences[outputs.index(block.line)]


if __name__ == "__main__":
    _write_outputs(Path(sys.argv[1]).resolve())
