"""A table for a terminal of some width: no line is wider, and nothing is left out.

Titles of columns are broken over lines; long names are cut and marked by letters, which a legend
below explains; and what is still too wide becomes several tables, one below the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vggfeat.errors import printable
from vggfeat.report.short_names import (
    SHORT,
    Column,
    columns_of,
    total_width,
    with_short_names,
    with_short_titles,
)
from vggfeat.report.table import Table
from vggfeat.report.wrapping import padded, text_width, wrapped

LEAST_WIDTH = 24  # narrower terminals get this
GAP, NARROW_GAP = "   ", "  "
LINES_OF_NOTES = 12  # of all notes together, where they are shortened; each has at least one


def as_narrow_text(table: Table, width: int, advice: str = "") -> str:
    """The table as text at most width columns wide.

    With advice, which says where to read them in full, long notes are cut between two reasons.
    """
    width = max(width, LEAST_WIDTH)
    blocks = ["\n".join(wrapped(printable(table.title, one_line=True), width))]
    names: dict[str, str] = {}
    blocks += ["\n".join(lines) for lines in _grids(columns_of(table), width, names)]
    letters = [f"{letter} {name}" for name, letter in names.items()]
    footer = [line for text in letters for line in wrapped(text, width, "    ")]
    footer += _notes(table, width, advice)
    legend = (printable(text, one_line=True) for text in table.legend)
    footer += [line for text in legend for line in wrapped(text, width, "  ")]
    return "\n\n".join(filter(None, (*blocks, "\n".join(footer)))) + "\n"


def _grids(columns: list[Column], width: int, names: dict[str, str]) -> Iterator[list[str]]:
    """The lines of each table that it becomes; names gets the letter of each name that is cut."""
    if not columns:
        return
    if total_width([max(c.width, text_width(c.title)) for c in columns], len(GAP)) <= width:
        yield _lines(columns, width, GAP)
        return
    columns = [c for c in columns if any(c.cells)] or columns  # what is empty needs no room
    cutting = {"gap": len(NARROW_GAP), "num_lines": 2}
    for cuts_titles in (False, True):
        letters: dict[str, str] = {}
        titled = with_short_titles(columns, letters) if cuts_titles else columns
        short = with_short_names(titled, width, letters, **cutting)
        if total_width([c.least for c in short], len(NARROW_GAP)) <= width:
            names |= letters
            yield _lines(short, width, NARROW_GAP)
            return
    # Split all the same, a table has room for longer names.
    titled = with_short_titles(columns, names)
    longer = with_short_names(titled, width, names, **cutting, shortest=max(SHORT, width // 3 - 8))
    for group in _groups(longer, width):
        yield _lines(group, width, NARROW_GAP)


def _groups(columns: list[Column], width: int) -> Iterator[list[Column]]:
    """Columns that fit beside each other, each time behind those that name the rows."""
    keys = [columns[0]]
    for column in columns[1:]:
        used = total_width([c.least for c in (*keys, column)], len(NARROW_GAP))
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
        used = total_width([c.least for c in (*keys, *group, column)], len(NARROW_GAP))
        if group and used > width:
            yield _with_content(keys, group)
            group = []
        group.append(column)
    yield _with_content(keys, group)


def _with_content(keys: Sequence[Column], group: Sequence[Column]) -> list[Column]:
    """Columns of one table, without the rows that say nothing in it."""
    rows = [n for n in range(len(keys[0].cells)) if any(column.cells[n] for column in group)]
    return [
        replace(column, cells=tuple(column.cells[n] for n in rows)) for column in (*keys, *group)
    ]


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
    return wrapped(f"[{number}] {printable(text, one_line=True)}", width, "    ")


def _shortened(number: int, note: str, width: int, height: int) -> list[str]:
    """As many of the note's reasons as fit so many lines, at least the first, the decisive one."""
    reasons = note.split("; ")
    lines = _note(number, note, width)
    while len(lines) > height and len(reasons) > 1:
        reasons.pop()
        lines = _note(number, f"{'; '.join(reasons)}; ...", width)
    return lines
