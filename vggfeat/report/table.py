"""A table as a value: columns, rows of cells, numbered notes and a legend.

Renderers (render.py) print it; what stands in it is known only to the modules that make tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Of a cell beside its value.
PARTS = ("text", "spread", "low", "high", "difference", "mark", "flag", "notes")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in one place: numbers, or text.

    str() prints it as "91.8 ± 1.1 (+0.0) = LIMITED [2]", with an interval as
    "91.8 ± 1.1 (90.2 to 93.1) (+0.0)". An empty Cell is an empty place.
    """

    values: tuple[float, ...] = ()  # several are printed with " / " between them
    number_format: str = ".1f"  # of values and spread, as format() takes it
    spread: float | None = None
    interval: tuple[float, float] | None = None  # its ends, of the first of the values
    difference: float | None = None
    mark: str = ""  # how the value stands to what it is compared with, as one character
    flag: str = ""  # a word of warning behind the value
    notes: tuple[int, ...] = ()  # numbers of notes of the table
    text: str = ""  # printed in place of values and spread
    is_best: bool = False  # of the measured values of its column; text and data do not say so

    def __str__(self) -> str:
        values = " / ".join(format(value, self.number_format) for value in self.values)
        parts = [self.text or values]
        if self.spread is not None and not self.text:
            parts.append(f"± {self.spread:{self.number_format}}")
        if self.interval is not None and not self.text:
            low, high = (format(end, self.number_format.replace("+", "")) for end in self.interval)
            parts.append(f"({low} to {high})")
        if self.difference is not None:
            parts.append(f"({self.difference:+{self.number_format}})")
        parts += [self.mark, self.flag, *(f"[{number}]" for number in self.notes)]
        return " ".join(filter(None, parts))

    @classmethod
    def of(cls, value: object) -> Cell:
        """The cell of a plain value, printed in full: text, a number, or nothing for None."""
        if value is None:
            return cls()
        if isinstance(value, str):
            return cls(text=value)
        return cls(values=(value,), number_format="")

    def data(self) -> dict[str, Any]:
        """The parts that are not empty, of PARTS; one value, or else the text, is "value"."""
        text = self.text or " / ".join(map(str, self.values))
        is_number = len(self.values) == 1
        parts = {
            "value": self.values[0] if is_number else text,
            "text": self.text if is_number else "",
            "spread": self.spread,
            **dict(zip(("low", "high"), self.interval or (), strict=False)),
            "difference": self.difference,
            "mark": self.mark,
            "flag": self.flag,
            "notes": " ".join(map(str, self.notes)),
        }
        return {name: part for name, part in parts.items() if part not in (None, "")}


class Notes:
    """Collects the notes of a table while its cells are made; equal notes share a number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def refer(self, text: str) -> tuple[int, ...]:
        """The number of this note, for Cell.notes; none if the text is empty."""
        return (self._numbers.setdefault(text, len(self._numbers) + 1),) if text else ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The notes in the order of their numbers, for Table.notes."""
        return tuple(self._numbers)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of as many cells as there are columns, with what stands above and below them.

    Raises ValueError if a row has more or fewer cells.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()  # numbered from 1; cells refer to them
    legend: tuple[str, ...] = ()  # lines below that no cell refers to
    title: str = ""
    title_level: int = 3  # depth of the title among a document's headings

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row has not the {len(self.columns)} cells of the columns")

    @classmethod
    def of(cls, columns: Iterable[str], rows: Iterable[Iterable[Cell | str]], **more: Any) -> Table:
        """A table of cells and plain texts; more are the other fields."""
        cells = tuple(
            tuple(Cell(text=cell) if isinstance(cell, str) else cell for cell in row)
            for row in rows
        )
        return cls(columns=tuple(columns), rows=cells, **more)

    @classmethod
    def of_records(cls, records: Sequence[Mapping[str, object]]) -> Table:
        """A row for each mapping, with a column for each key of any; what is missing is empty."""
        columns = tuple(dict.fromkeys(name for record in records for name in record))
        return cls(
            columns=columns,
            rows=tuple(tuple(Cell.of(record.get(name)) for name in columns) for record in records),
        )

    def footer(self) -> tuple[str, ...]:
        """The lines below the table: numbered notes, then the legend."""
        numbered = (f"[{number}] {note}" for number, note in enumerate(self.notes, start=1))
        return (*numbered, *self.legend)

    def data(self) -> tuple[list[str], list[list[Any]]]:
        """Names and rows of plain values: each part of a cell that a column has is one of them.

        A column "error" of values with spreads becomes "error" and "error spread".
        """
        rows = [[cell.data() for cell in row] for row in self.rows]
        parts = []
        for place, column in enumerate(self.columns):
            used = {part for row in rows for part in row[place]}
            parts.append((place, "value", column))
            parts += [(place, part, f"{column} {part}") for part in PARTS if part in used]
        names = [name for _, _, name in parts]
        return names, [[row[place].get(part) for place, part, _ in parts] for row in rows]

    def _repr_html_(self) -> str:
        from vggfeat.report.render import render  # which is made of tables

        return render(self, "html")

    def to_frame(self) -> pd.DataFrame:
        """The table's plain values as a pandas DataFrame; what is empty is None or NaN."""
        import pandas as pd  # takes as long to import as all else of this library

        names, rows = self.data()
        return pd.DataFrame(rows, columns=names)
