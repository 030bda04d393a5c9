"""What a page is made of, as values: sections of paragraphs, tables, drawings, pictures.

Texts are plain text wherever they come from; the templates print them so that they stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from vggfeat.report.table import Table

if TYPE_CHECKING:
    from vggfeat.report.figures.figure import Figure


@dataclass(frozen=True)
class Link:
    """Text that leads to another place of the page."""

    kind: ClassVar = "link"
    text: str
    to: str  # an id, as Anchors names it


@dataclass(frozen=True)
class Code:
    """What is typed or printed, letter by letter."""

    kind: ClassVar = "code"
    text: str


Inline = str | Link | Code


@dataclass(frozen=True)
class Paragraph:
    """A sentence or a few, in parts."""

    kind: ClassVar = "paragraph"
    parts: tuple[Inline, ...]
    role: str = ""  # "lead", "note" or "lacking": what would stand here, and why it does not


@dataclass(frozen=True)
class Command:
    """A command line, to be copied."""

    kind: ClassVar = "command"
    text: str


@dataclass(frozen=True)
class Facts:
    """Names with their values, a line each."""

    kind: ClassVar = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class TableBlock:
    """A table; places in links and faint are (row, column) or rows, from 0."""

    kind: ClassVar = "table"
    table: Table
    id: str
    label: str  # what the table is, where it has no title
    links: Mapping[tuple[int, int], str] = field(default_factory=dict)  # to ids
    faint: frozenset[int] = frozenset()  # rows that are there to compare with
    bars: frozenset[int] = frozenset()  # columns of percentages that have a bar behind them


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure as inline SVG, with the numbers that are drawn below it, folded."""

    kind: ClassVar = "drawing"
    svg: str  # trusted: made here, of texts that were escaped
    width: int  # in CSS pixels, at which its letters have their size
    title: str
    caption: str
    table: TableBlock


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small picture."""

    jpeg: str  # base64
    size: tuple[int, int]
    alt: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Rows of small pictures under names."""

    kind: ClassVar = "sheet"
    title: str
    rows: tuple[tuple[str, tuple[Thumbnail, ...]], ...]  # what they are, and the pictures


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Blocks that unfold at a click, and on paper where is_for_paper."""

    kind: ClassVar = "folded"
    summary: str
    blocks: tuple[Block, ...]
    id: str = ""
    is_for_paper: bool = True


@dataclass(frozen=True, kw_only=True)
class Card:
    """A verdict on the first screen: what it is about, and what was found, in words."""

    kind: ClassVar = "card"
    title: str
    to: str  # id of the section; empty if there is none
    answer: str  # which is best
    value: tuple[Inline, ...]  # how good it is
    lines: tuple[tuple[str, str, str], ...]  # question, answer in a word or two, sentence
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cards:
    """Verdicts beside each other."""

    kind: ClassVar = "cards"
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Group:
    """Drawings or sheets, beside each other where there is room."""

    kind: ClassVar = "group"
    blocks: tuple[Drawing | Sheet, ...]


Block = Paragraph | Command | Facts | TableBlock | Drawing | Sheet | Folded | Cards | Group


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page under a heading."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page."""

    title: str
    about: str  # of what it was made, in a sentence
    time: str  # of the latest record, ISO 8601; empty if none states one
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...] = ()  # that are drawn on it, with all their numbers


class Anchors:
    """Ids of a page, of which no two are the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, text: str) -> str:
        """An id made of a text: letters, digits and -."""
        words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "part"
        name, number = words, 1
        while name in self._taken:
            number += 1
            name = f"{words}-{number}"
        self._taken.add(name)
        return name


def says(*parts: Inline, role: str = "") -> Paragraph:
    """A paragraph of these parts."""
    return Paragraph(parts, role)
