"""The executed notebook as a page: its text, its code, and what that printed and drew."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DOCS = Path(__file__).resolve().parents[1]
NOTEBOOK = DOCS / "notebooks" / "frozen_features.ipynb"
FOLDER = "notebooks/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page and the pictures in it."""
    pictures: dict[str, bytes] = {}
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    parts = [part for cell in cells for part in _parts(cell, pictures)]
    link = f"Run it yourself: [{NOTEBOOK.name}]({NOTEBOOK.name}).\n"
    page = "\n\n".join([parts[0], link, *parts[1:]])
    files.append(File.generated(config, f"{FOLDER}{NOTEBOOK.stem}.md", content=page))
    for name, content in pictures.items():
        files.append(File.generated(config, f"{FOLDER}{name}", content=content))
    return files


def _parts(cell: dict[str, Any], pictures: dict[str, bytes]) -> Iterator[str]:
    """A cell and its outputs as Markdown; adds its pictures."""
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield text
        return
    yield f"```python\n{text}\n```"
    for output in cell["outputs"]:
        data = {kind: "".join(lines) for kind, lines in output.get("data", {}).items()}
        if "image/png" in data:
            name = f"{NOTEBOOK.stem}-{len(pictures) + 1}.png"
            pictures[name] = b64decode(data["image/png"])
            yield f"![{_alternative(text)}]({name})"
        elif html := data.get("text/html"):
            yield html
        elif plain := data.get("text/markdown"):
            yield plain
        elif printed := data.get("text/plain") or "".join(output.get("text", "")):
            yield f"```text\n{printed}\n```"


def _alternative(code: str) -> str:
    """What a drawing shows: the titles that its code gives, else where it comes from."""
    titles = [line.split('"')[1] for line in code.splitlines()
              if ("title" in line or "set_ylabel" in line) and line.count('"') >= 2]  # fmt: skip
    return "; ".join(titles) or "What the code above draws"
