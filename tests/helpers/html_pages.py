"""HTML as what a reader and a browser take from it: texts, links, ids, headings, what it loads."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "wbr", "input", "hr"}
LOADING = {"src", "srcset", "data", "poster", "background", "action"}


@dataclass
class ReadPage:
    """What was found, in the order of the page."""

    ids: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)  # of links within the page
    labels: list[str] = field(default_factory=list)  # ids that aria-labelledby names
    loads: list[str] = field(default_factory=list)  # addresses that a browser would fetch
    tags: list[str] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    text: str = ""

    def between(self, start: str, end: str) -> str:
        """The text from one place to another."""
        return self.text.partition(start)[2].partition(end)[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.open_tags = ReadPage(), []

    def handle_starttag(self, tag, attributes):
        page, values = self.page, dict(attributes)
        page.tags.append(tag)
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open_tags.append(tag)
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            page.headings.append((int(tag[1]), ""))
        if "id" in values:
            page.ids.append(values["id"])
        page.labels += values.get("aria-labelledby", "").split()
        href = values.get("href", "#")
        if href.startswith("#"):
            page.targets += [href[1:]] if "href" in values else []
        else:
            page.loads.append(href)
        page.loads += [values[name] for name in LOADING & values.keys()]
        assert not any(name.startswith("on") for name in values), f"a script in {tag}"

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open_tags and self.open_tags[-1] == tag, f"{tag} ends, {self.open_tags} is open"
        self.open_tags.pop()

    def handle_data(self, data):
        if self.open_tags and self.open_tags[-1] == "style":
            return
        self.page.text += data
        if any(tag in self.open_tags for tag in ("h1", "h2", "h3", "h4", "h5", "h6")):
            level, text = self.page.headings[-1]
            self.page.headings[-1] = level, text + data


def read_page(html: str) -> ReadPage:
    """What is on a page. Fails where an element is closed out of turn, or has a script."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open_tags == []
    return reader.page


def check_sound(html: str) -> ReadPage:
    """Fail unless links have their targets, ids are unique, headings in order, nothing loads."""
    page = read_page(html)
    assert len(set(page.ids)) == len(page.ids)
    assert {*page.targets, *page.labels} <= set(page.ids)
    assert [level for level, _ in page.headings][:2] == [1, 2]
    levels = [level for level, _ in page.headings]
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    assert all(text.strip() for _, text in page.headings)
    assert all(address.startswith("data:") for address in page.loads)
    assert "script" not in page.tags and "@import" not in html and "url(http" not in html
    assert page.tags.count("main") == page.tags.count("header") == page.tags.count("nav") == 1
    return page
