"""Precision over recall of each class, where an example may have several: from the scores.

Shapes: n test examples, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vggfeat.metrics import AP_RULES, average_precisions
from vggfeat.records.scores import Scores
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.selection import by_test_set, is_limited, slug, with_scores
from vggfeat.report.results import Result, Results
from vggfeat.report.settings import percent
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANELS = 24  # classes that have a panel each; of more, the best, the median and the worst
COLUMNS = 5
POINTS = 160  # of a thin curve in a small panel
IN_TABLE = (0.1, 0.3, 0.5, 0.7, 0.9)  # levels of recall
LEVELS = np.linspace(0, 1, 101)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Precision and recall of a class after each example of its ranking, down to the last hit."""

    name: str
    num_positives: int
    recall: np.ndarray
    precision: np.ndarray
    ap: float  # by the rule of the headline, a fraction

    def best_from(self, levels: np.ndarray) -> np.ndarray:
        """The highest precision at each recall or more; 0 where it is never reached."""
        highest = np.maximum.accumulate(self.precision[::-1])[::-1]
        return np.append(highest, 0)[np.searchsorted(self.recall, levels)]


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set of several labels an example, where there are scores."""
    for group in by_test_set(results.transfer):
        if group[0].record.metric in AP_RULES and (scored := with_scores(group)):
            curves = curves_of(scored[1], group[0].record.metric)
            if curves:
                yield _figure(scored[0], curves)


def curves_of(scores: Scores, rule: str) -> list[Curve]:
    """The curve of each class that has scores and a positive, in the first split."""
    rows = scores.splits == scores.splits.min(initial=0)
    curves = []
    for k, name in enumerate(scores.classes):
        signs, values = scores.labels[rows, k], scores.scores[rows, k].astype(np.float64)
        if np.isnan(values).any() or not (signs > 0).any():
            continue
        counts = signs != 0
        hits = np.cumsum(signs[counts][np.argsort(-values[counts], kind="stable")] > 0)
        hits = hits[: np.argmax(hits == hits[-1]) + 1]
        curves.append(
            Curve(
                name=name,
                num_positives=int(hits[-1]),
                recall=hits / hits[-1],
                precision=hits / np.arange(1, len(hits) + 1),
                ap=average_precisions(signs, values)[rule],
            )
        )
    return curves


def _figure(result: Result, curves: Sequence[Curve]) -> Figure:
    record = result.record
    ordered = sorted(curves, key=lambda curve: (-curve.ap, curve.name))
    panels = len(ordered) <= PANELS
    mean = percent(float(np.mean([curve.ap for curve in ordered])))
    rows = -(-len(ordered) // COLUMNS)
    first = ", first of its splits" if len(record.n_test) > 1 else ""
    what = (
        "Thin: along the ranking; thick: the highest precision at that recall or"
        " more. In the titles: average precision in %, best class first."
        if panels
        else "The best, the median and the worst class, and the mean of all at each recall."
    )
    return Figure(
        name=slug("precision-recall", record.benchmark, record.net, record.key[:6]),
        title=f"{record.title}: precision over recall",
        caption=f"Precision over recall, in %, of {result.label}{first}; mean {mean:.1f} %"
        f" ({metric_name(record.metric)}). {what}{is_limited(result)}",
        table=Table.of(
            ["class", "positives", "average precision (%)",
             *(f"precision at recall {100 * level:.0f} % (%)" for level in IN_TABLE)],
            [
                [
                    curve.name,
                    Cell(values=(curve.num_positives,), number_format="d"),
                    Cell(values=(percent(curve.ap),)),
                    *(Cell(values=(percent(p),)) for p in curve.best_from(np.array(IN_TABLE))),
                ]
                for curve in ordered
            ],
        ),
        draw=lambda canvas: (_panels if panels else _three)(canvas, ordered),
        size=(6.8, 0.5 + 1.25 * rows) if panels else (4.6, 3.8),
    )  # fmt: skip


def _panels(canvas: Canvas, curves: Sequence[Curve]) -> None:
    """A small panel a class, the best first."""
    rows = -(-len(curves) // COLUMNS)
    grid = canvas.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for axes, curve in zip(grid.flat, curves, strict=False):
        look = {"color": style.COLOURS[0]}
        axes.plot(*_shown(curve.recall, curve.precision), **look, alpha=0.5, linewidth=0.7)
        axes.plot(*_in_percent(*_outline(curve)), **look, linewidth=1.4)
        axes.set_title(f"{style.short(curve.name, 14)} {100 * curve.ap:.1f}", fontsize=style.SMALL)
        axes.tick_params(labelsize=7, length=0)
    for axes in grid.flat[len(curves) :]:
        axes.set_visible(False)
    _limits(grid[0, 0])
    for axes in grid.flat[max(0, len(curves) - COLUMNS) : len(curves)]:
        axes.tick_params(labelbottom=True)  # also above the places that are left empty
    canvas.supxlabel("recall, %", fontsize=9)
    canvas.supylabel("precision, %", fontsize=9)


def _three(canvas: Canvas, curves: Sequence[Curve]) -> None:
    axes = canvas.subplots()
    chosen = {"best": curves[0], "median": curves[len(curves) // 2], "worst": curves[-1]}
    for number, (word, curve) in enumerate(chosen.items()):
        look = style.series(number) | {"marker": ""}
        label = f"{word}: {style.short(curve.name, 24)}, {100 * curve.ap:.1f} %"
        axes.plot(*_in_percent(*_outline(curve)), **look, label=label)
    mean = np.mean([curve.best_from(LEVELS) for curve in curves], axis=0)
    axes.plot(100 * LEVELS, 100 * mean, color=style.TEXT, label=f"mean of {len(curves)} classes")
    _limits(axes)
    axes.set(xlabel="recall, %", ylabel="precision, %")
    canvas.legend(loc="outside lower center", ncols=1)


def _outline(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the highest precision at each recall or more, from recall 0."""
    levels = np.unique(curve.recall[curve.recall > 0])
    heights = curve.best_from(levels)
    ends = np.flatnonzero(np.diff(heights, append=-1))  # of the stretches of one height
    return np.repeat(np.r_[0, levels[ends]], 2)[1:-1], np.repeat(heights[ends], 2)


def _shown(recall: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve in %, without points within its vertical lines, and of so many as can be seen."""
    falls = np.diff(recall, prepend=-1, append=2) == 0  # from the point before, to the one after
    kept = np.flatnonzero(~(falls[:-1] & falls[1:]))
    if len(kept) > POINTS:
        kept = kept[np.linspace(0, len(kept) - 1, POINTS).round().astype(int)]
    return 100 * recall[kept], 100 * precision[kept]


def _in_percent(*fractions: np.ndarray) -> list[np.ndarray]:
    return [100 * of_all for of_all in fractions]


def _limits(axes: Axes) -> None:
    axes.set(xlim=(0, 101), ylim=(0, 104), xticks=(0, 50, 100), yticks=(0, 50, 100))
