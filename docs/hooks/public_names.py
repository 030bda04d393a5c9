"""The page of Python lists every public name, found when the site is built."""

import inspect
import shutil
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

import vggfeat

MARK = "<!-- public names -->"
ROOT = Path(__file__).resolve().parents[2]


def on_startup(command: str, dirty: bool) -> None:
    """Copies the package together as it is installed: docstrings are read from files.

    That is before mkdocstrings asks for the folder, which it forgets where there is none.
    """
    package = ROOT / "build" / "documented" / "vggfeat"
    shutil.rmtree(package, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "vggfeat", package, ignore=ignored)
    for name in ("benchmarks", "pretraining"):
        shutil.copytree(ROOT / name, package / name, ignore=ignored)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the place of the mark: functions and classes, each where it is defined."""
    if MARK not in markdown:
        return markdown
    public = {name: getattr(vggfeat, name) for name in sorted(vggfeat.__all__)}
    defined = {
        name: f"{value.__module__}.{value.__qualname__}"
        for name, value in public.items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }
    return markdown.replace(MARK, "\n".join(f"::: {place}\n" for place in defined.values()))
