"""Columns of names made narrower: long names are cut and marked by letters for a legend."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from string import ascii_uppercase

from vggfeat.errors import printable
from vggfeat.report.table import Cell, Table
from vggfeat.report.wrapping import cut, text_width, wrapped

SHORT = 14  # columns of names are not cut to less
ENDS_OF_NAMES = "@:+(,. "  # a name is rather cut before one of these


@dataclass(frozen=True)
class Column:
    """A column as text, maybe of several lines; names are cells without numbers, and may be cut."""

    title: str
    cells: tuple[str, ...]
    has_names: bool

    @property
    def width(self) -> int:
        """That of the widest cell."""
        lines = (line for cell in self.cells for line in cell.split("\n"))
        return max(map(text_width, lines), default=0)

    @property
    def least(self) -> int:
        """The least width at which neither a cell nor a word of the title is broken."""
        return max(self.width, *map(text_width, self.title.split()), 1)


def columns_of(table: Table) -> list[Column]:
    """The columns of a table as text, in one line each."""
    cells = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    return [
        Column(
            printable(title, one_line=True),
            tuple(printable(str(cell), one_line=True) for cell in column),
            all(cell == Cell(text=cell.text) for cell in column),
        )
        for title, column in zip(table.columns, cells, strict=True)
    ]


def total_width(widths: Sequence[int], gap: int) -> int:
    """The width of columns beside each other."""
    return sum(widths) + gap * (len(widths) - 1)


def with_short_names(
    columns: list[Column],
    width: int,
    names: dict[str, str],
    *,
    gap: int,
    num_lines: int,
    shortest: int = SHORT,
) -> list[Column]:
    """The columns, names in the widest of them cut until all fit, or none is wider than shortest.

    A name that fits in num_lines lines is not cut. names gets the letter of each that is, "[A]".
    """
    widths = [c.least for c in columns]
    floors = [max(shortest, replace(c, cells=()).least) for c in columns]
    while total_width(widths, gap) > width:
        spare = [
            w if c.has_names and w > floor else 0
            for c, w, floor in zip(columns, widths, floors, strict=True)
        ]
        if not any(spare):
            break
        widths[spare.index(max(spare))] -= 1
    shown = []
    for column, least in zip(columns, widths, strict=True):
        if least < column.width:
            cells = tuple(_short(name, least, names, num_lines) for name in column.cells)
            column = replace(column, cells=cells)  # noqa: PLW2901
        shown.append(column)
    return shown


def with_short_titles(columns: list[Column], names: dict[str, str]) -> list[Column]:
    """The columns, titles that are names wider than the cells and than SHORT cut as names are.

    Titles of several words are broken over lines instead, where no word is wider.
    """
    shown = []
    for column in columns:
        width = max(column.width, SHORT)
        if max(map(text_width, column.title.split()), default=0) > width:
            column = replace(column, title=_short(column.title, width, names, 1))  # noqa: PLW2901
        shown.append(column)
    return shown


def _short(name: str, width: int, names: dict[str, str], num_lines: int) -> str:
    """A name as it is if it fits, maybe in lines; else its beginning and a letter of names."""
    are_whole = max(map(text_width, name.split(" "))) <= width
    if are_whole and len(lines := wrapped(name, width)) <= num_lines:
        return "\n".join(lines)
    letter = names.setdefault(name, f"[{_letters(len(names))}]")
    head = cut(name, width - len(letter) - 1)
    ends = [place for place in range(2, len(head) + 1) if name[place] in ENDS_OF_NAMES]
    beginning = head[: ends[-1]] if ends else head
    return f"{beginning.rstrip(' ,_-/')} {letter}".strip()


def _letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    pairs = map("".join, product(("", *ascii_uppercase), ascii_uppercase))
    return next(text for place, text in enumerate(pairs) if place == number)
