"""Which measured values of a table are the best of their columns; some renderers make them bold."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vggfeat.report.table import Cell


def with_best(
    rows: Sequence[Sequence[Cell | str]],
    places: Iterable[int],
    measured: Sequence[bool],
    *,
    lower_is_better: bool = False,
) -> list[list[Cell | str]]:
    """The rows, the best of the measured cells at each of the places marked as such.

    Best is the first value, as it is printed, so that there may be several. A column with a single
    measured value has no best, and a cell with a flag, such as LIMITED, is none.
    """
    marked = [list(row) for row in rows]
    for place in places:
        cells = {
            number: cell
            for number, (row, is_measured) in enumerate(zip(rows, measured, strict=True))
            if is_measured
            and isinstance(cell := row[place], Cell)
            and cell.values
            and not cell.flag
        }
        if len(cells) < 2:
            continue
        best = (min if lower_is_better else max)(cell.values[0] for cell in cells.values())
        for number, cell in cells.items():
            if _printed(cell, cell.values[0]) == _printed(cell, best):
                marked[number][place] = replace(cell, is_best=True)
    return marked


def _printed(cell: Cell, value: float) -> str:
    return format(value, cell.number_format)
