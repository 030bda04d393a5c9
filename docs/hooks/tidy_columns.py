"""The page of tables lists the columns of tidy data, found when the site is built."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from vggfeat.report.tidy import COLUMNS

MARK = "<!-- columns -->"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills the place of the mark."""
    rows = [f"| `{name}` | {unit} | {meaning} |" for name, (unit, meaning) in COLUMNS.items()]
    table = "\n".join(["| column | unit | meaning |", "| --- | --- | --- |", *rows])
    return markdown.replace(MARK, table)
