"""Files of the repository that the documents link to, outside of docs/, become part of the site.

Markdown becomes a page below repository/, everything else is copied there. A link to a folder stays
as the folder's name, as a site has no folders to look into.
"""

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")
PLACE = "repository/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds every file that can be reached from a page."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        source = waiting.pop()
        for target in _links(_in_repository(source)):
            uri = _in_site(target)
            if (ROOT / target).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
                if target.endswith(".md"):
                    waiting.append(uri)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are within the site."""
    source = page.file.src_uri

    def within_site(found: re.Match) -> str:
        image, text, target, anchor = found.groups(default="")
        if ":" in target:
            return found[0]
        path = normpath(f"{dirname(_in_repository(source))}/{target}").lstrip("/")
        if (ROOT / path).is_dir():
            return f"{text} (`{path}`)" if text != path else f"`{path}`"
        return f"{image}[{text}]({relpath(_in_site(path), dirname(source) or '.')}{anchor})"

    return LINK.sub(within_site, markdown)


def _links(path: str) -> set[str]:
    """The paths in the repository that a document links to."""
    text = (ROOT / path).read_text()
    targets = [found[3] for found in LINK.finditer(text) if ":" not in found[3]]
    return {normpath(f"{dirname(path)}/{target}").lstrip("/") for target in targets}


def _in_repository(uri: str) -> str:
    return uri.removeprefix(PLACE) if uri.startswith(PLACE) else f"docs/{uri}"


def _in_site(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{PLACE}{path}"
