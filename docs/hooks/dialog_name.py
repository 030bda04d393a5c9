"""The theme's search dialog gets the name that screen readers say."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

DIALOG = '<div class="md-search" data-md-component="search" role="dialog"'


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Adds the attribute that is missing."""
    return output.replace(DIALOG, f'{DIALOG} aria-label="Search"')
