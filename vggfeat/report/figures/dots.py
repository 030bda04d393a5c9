"""Dot plots: a line for each row of a table, a mark for each of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vggfeat.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

ROW = 0.22  # inches
APART = 0.17  # rows between the marks of one row, so that none hides another


def height(rows: int) -> float:
    """The height in inches of a figure of so many rows."""
    return 1.0 + ROW * rows


def draw_dots(
    canvas: Canvas,
    rows: Sequence[str],
    marks: Mapping[str, Sequence[float | None]],
    axis: str,
    *,
    ends: Mapping[str, Sequence[tuple[float, float] | None]] | None = None,
    hollow: frozenset[str] = frozenset(),
) -> None:
    """Draw the values of each kind of mark over its rows, the first row on top.

    ends are those of intervals or spreads; marks that are hollow are numbers of others.
    """
    axes = canvas.subplots()
    several = any(
        sum(value is not None for value in row) > 1 for row in zip(*marks.values(), strict=True)
    )
    apart, middle = APART if several else 0, (len(marks) - 1) / 2
    for number, (label, values) in enumerate(marks.items()):
        look = style.series(number) | {"markersize": 4.5}
        places = [len(rows) - 1 - n + apart * (middle - number) for n in range(len(rows))]
        for place, end in zip(places, (ends or {}).get(label, ()), strict=False):
            if end is not None:
                axes.plot(end, (place, place), color=look["color"], linewidth=1)
        axes.plot(
            [value for value in values if value is not None],
            [place for place, value in zip(places, values, strict=True) if value is not None],
            **look | {"linestyle": "none"},
            markerfacecolor=style.GROUND if label in hollow else look["color"],
            label=label,
        )
    axes.set_yticks(
        range(len(rows))[::-1], [style.short(row, 60) for row in rows], fontsize=style.SMALL
    )
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)
    axes.set_xlabel(axis)
    if len(marks) > 1:
        canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
