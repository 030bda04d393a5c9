"""The page of commands ends with what `--help` prints of each, made when the site is built."""

from collections.abc import Iterator

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from vggfeat.cli import main

MARK = "<!-- options -->"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the place of the mark."""
    if MARK not in markdown:
        return markdown
    return markdown.replace(MARK, "\n".join(_helps(main, "vggfeat")))


def _helps(command: click.Command, name: str) -> Iterator[str]:
    with click.Context(command, info_name=name, terminal_width=80) as context:
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                yield from _helps(command.get_command(context, each), f"{name} {each}")
        else:
            yield f"### {name}\n\n```text\n{command.get_help(context)}\n```\n"
