"""A table for a terminal of some width: no line is wider, and nothing is left out.

Titles of columns are broken over lines; long names are cut and marked by letters, which a legend
below explains; and what is still too wide becomes several tables, one below the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from string import ascii_uppercase

from vggfeat.errors import printable
from vggfeat.report.table import Cell, Table
from vggfeat.report.wrapping import cut, padded, text_width, wrapped

LEAST_WIDTH = 24  # narrower terminals get this
GAP, NARROW_GAP = "   ", "  "
SHORT = 14  # columns of names are not cut to less before a table is split
ENDS_OF_NAMES = "@:+(,. "  # a name is rather cut before one of these
LINES_OF_NOTES = 12  # of all notes together, where they are shortened; each has at least one


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


def as_narrow_text(table: Table, width: int, advice: str = "") -> str:
    """The table as text at most width columns wide.

    With advice, which says where to read them in full, long notes are cut between two reasons.
    """
    width = max(width, LEAST_WIDTH)
    blocks = ["\n".join(wrapped(printable(table.title, one_line=True), width))]
    names: dict[str, str] = {}
    blocks += ["\n".join(lines) for lines in _grids(_columns(table), width, names)]
    letters = [f"{letter} {name}" for name, letter in names.items()]
    footer = [line for text in letters for line in wrapped(text, width, "    ")]
    footer += _notes(table, width, advice)
    footer += [line for text in table.legend for line in wrapped(text, width, "  ")]
    return "\n\n".join(filter(None, (*blocks, "\n".join(footer)))) + "\n"


def _columns(table: Table) -> list[Column]:
    cells = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    return [
        Column(
            printable(title, one_line=True),
            tuple(printable(str(cell), one_line=True) for cell in column),
            all(cell == Cell(text=cell.text) for cell in column),
        )
        for title, column in zip(table.columns, cells, strict=True)
    ]


def _grids(columns: list[Column], width: int, names: dict[str, str]) -> Iterator[list[str]]:
    """The lines of each table that it becomes; names gets the letter of each name that is cut."""
    if not columns:
        return
    if _total([max(c.width, text_width(c.title)) for c in columns], GAP) <= width:
        yield _lines(columns, width, GAP)
        return
    if _total([c.least for c in columns], NARROW_GAP) > width:
        columns = _with_short_names(columns, width, names)
    if _total([c.least for c in columns], NARROW_GAP) <= width:
        yield _lines(columns, width, NARROW_GAP)
        return
    for group in _groups(columns, width):
        yield _lines(group, width, NARROW_GAP)


def _groups(columns: list[Column], width: int) -> Iterator[list[Column]]:
    """Columns that fit beside each other, each time behind those that name the rows."""
    keys = [columns[0]]
    for column in columns[1:]:
        used = _total([c.least for c in (*keys, column)], NARROW_GAP)
        if used > width / 2 or not column.has_names:
            break
        keys.append(column)
    others = columns[len(keys) :]
    rows = list(zip(*(key.cells for key in keys), strict=True))
    if len(set(rows)) < len(rows):  # in other tables nothing else tells them apart
        numbers = tuple(str(number) for number in range(1, len(rows) + 1))
        keys = [Column("#", numbers, False), *keys]
    group: list[Column] = []
    for column in others:
        if group and _total([c.least for c in (*keys, *group, column)], NARROW_GAP) > width:
            yield [*keys, *group]
            group = []
        group.append(column)
    yield [*keys, *group]


def _lines(columns: Sequence[Column], width: int, gap: str) -> list[str]:
    """A header of as few lines as there is room for, a rule, and the rows.

    Where not even single columns fit, cells are broken over lines, too.
    """
    widths = [c.least for c in columns]
    titles = [c.title for c in columns]
    room = width - len(gap) * (len(columns) - 1)
    while sum(widths) > room and max(widths) > 2:
        widths[widths.index(max(widths))] -= 1
    for height in range(1, 9):
        wider = [_width_at(t, least, height) for t, least in zip(titles, widths, strict=True)]
        if sum(wider) <= room:
            widths = wider
            break
    texts = [
        titles,
        ["-" * w for w in widths],
        *zip(*(c.cells for c in columns), strict=True),
    ]
    return [line for row in texts for line in _row(row, widths, gap)]


def _row(cells: Sequence[str], widths: Sequence[int], gap: str) -> list[str]:
    """The lines of a row, as many as its highest cell has."""
    parts = [
        [part for line in cell.split("\n") for part in wrapped(line, width)]
        for cell, width in zip(cells, widths, strict=True)
    ]
    return [
        gap.join(
            padded(part[number] if number < len(part) else "", width)
            for part, width in zip(parts, widths, strict=True)
        ).rstrip()
        for number in range(max(map(len, parts)))
    ]


def _width_at(title: str, least: int, height: int) -> int:
    """The least width at which a title has at most so many lines."""
    width = least
    while len(wrapped(title, width)) > height:
        width += 1
    return width


def _total(widths: Sequence[int], gap: str) -> int:
    return sum(widths) + len(gap) * (len(widths) - 1)


def _with_short_names(columns: list[Column], width: int, names: dict[str, str]) -> list[Column]:
    """The columns, names in the widest of them cut until all fit, or none is wider than SHORT."""
    widths = [c.least for c in columns]
    floors = [max(SHORT, replace(c, cells=()).least) for c in columns]
    while _total(widths, NARROW_GAP) > width:
        spare = [
            w if c.has_names and w > floor else 0
            for c, w, floor in zip(columns, widths, floors, strict=True)
        ]
        if not any(spare):
            break
        widths[spare.index(max(spare))] -= 1
    return [
        replace(c, cells=tuple(_short(cell, w, names) for cell in c.cells)) if w < c.width else c
        for c, w in zip(columns, widths, strict=True)
    ]


def _short(name: str, width: int, names: dict[str, str]) -> str:
    """A name as it is if it fits, in two lines too; else its beginning and a letter of names."""
    are_whole = max(map(text_width, name.split(" "))) <= width
    if are_whole and len(lines := wrapped(name, width)) <= 2:
        return "\n".join(lines)
    letter = names.setdefault(name, f"[{_letters(len(names))}]")
    head = cut(name, width - len(letter) - 1)
    ends = [place for place in range(2, len(head) + 1) if name[place] in ENDS_OF_NAMES]
    return f"{head[: ends[-1]] if ends else head.rstrip('_-/')} {letter}".strip()


def _letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    pairs = map("".join, product(("", *ascii_uppercase), ascii_uppercase))
    return next(text for place, text in enumerate(pairs) if place == number)


def _notes(table: Table, width: int, advice: str) -> list[str]:
    """The numbered notes; with advice, each is cut to its share of LINES_OF_NOTES."""
    height = min(3, max(1, LINES_OF_NOTES // max(1, len(table.notes))))
    lines, are_cut = [], False
    for number, note in enumerate(table.notes, start=1):
        full = _note(number, note, width)
        shown = _shortened(number, note, width, height) if advice else full
        are_cut |= shown != full
        lines += shown
    return [*lines, *(wrapped(f"...: {advice}", width, "  ") if are_cut else ())]


def _note(number: int, text: str, width: int) -> list[str]:
    return wrapped(f"[{number}] {text}", width, "    ")


def _shortened(number: int, note: str, width: int, height: int) -> list[str]:
    """As many of the note's reasons as fit so many lines, at least the first, the decisive one."""
    reasons = note.split("; ")
    lines = _note(number, note, width)
    while len(lines) > height and len(reasons) > 1:
        reasons.pop()
        lines = _note(number, f"{'; '.join(reasons)}; ...", width)
    return lines
