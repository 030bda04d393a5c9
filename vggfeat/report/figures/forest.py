"""Forest plot: paired differences with their 95 % intervals, from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vggfeat.report.figures import style
from vggfeat.report.figures.dots import height
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.selection import slug
from vggfeat.report.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A minus B in percent points of a metric, with the ends of its 95 % interval."""

    a: str
    b: str
    value: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def forest(
    differences: Sequence[Difference], *, name: str, title: str, metric: str, remark: str = ""
) -> Figure:
    """A figure with a line a difference, in their order; remark ends its caption.

    Raises ValueError if there are none.
    """
    if not differences:
        raise ValueError("a forest plot needs at least one difference")
    return Figure(
        name=slug("paired", name),
        title=title,
        caption=f"Differences A - B of {metric} in percent points with 95 % intervals; filled where"
        f" the interval excludes 0. {remark}".strip(),
        table=Table.of(
            ["A", "B", "A - B (percent points)"],
            [
                [d.a, d.b, Cell(values=(d.value,), number_format="+.1f", interval=(d.low, d.high))]
                for d in differences
            ],
        ),
        draw=lambda canvas: _draw(canvas, differences, metric),
        size=(6.8, 0.3 + height(2 * len(differences))),
    )


def _draw(canvas: Canvas, differences: Sequence[Difference], metric: str) -> None:
    axes = canvas.subplots()
    places = range(len(differences))[::-1]
    color = style.COLOURS[0]
    for place, d in zip(places, differences, strict=True):
        axes.plot((d.low, d.high), (place, place), color=color, linewidth=1.4)
        face = color if d.is_certain else style.GROUND
        axes.plot(d.value, place, "o", color=color, markerfacecolor=face)
        axes.annotate(
            f"{d.value:+.1f} ({d.low:+.1f} to {d.high:+.1f})",
            xy=(1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            annotation_clip=False,
        )
    axes.axvline(0, color=style.TEXT, linewidth=0.8)
    names = [f"A: {style.short(d.a, 46)}\nB: {style.short(d.b, 46)}" for d in differences]
    axes.set_yticks(places, names, fontsize=style.SMALL)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(differences) - 0.3)
    axes.margins(x=0.08)
    axes.set_xlabel(f"A - B, percent points of {metric}")
    axes.set_title("← B is higher", loc="left", fontsize=style.SMALL)
    axes.set_title("A is higher →", loc="right", fontsize=style.SMALL)
