"""Average precision or recall of each class, sorted: bars of the best result of each test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.selection import (
    best_of_methods,
    by_test_set,
    is_limited,
    slug,
    value_of,
)
from vggfeat.report.results import Result, Results
from vggfeat.report.settings import percent
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

NAMED = 45  # classes that have a bar with a name each; of more, so many
ENDS = 15  # of the worst and of the best are named
OTHERS = 3  # methods that are marked beside the bars
WHAT = {"mean_class_recall": "recall", "accuracy": "accuracy"}


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set with values per class."""
    for group in by_test_set(results.transfer):
        with_classes = [result for result in group if _per_class(result)]
        if with_classes:
            yield _figure(best_of_methods(with_classes))


def _per_class(result: Result) -> dict[str, float]:
    """Class -> value of the headline metric in %; without the classes that have none."""
    record = result.record
    of_class = record.metrics[record.metric].get("per_class") or {}
    return {name: percent(value) for name, value in of_class.items() if value is not None}


def _figure(best: Sequence[Result]) -> Figure:
    result = best[0]
    record, values = result.record, _per_class(result)
    what = WHAT.get(record.metric, "average precision")
    order = sorted(values, key=lambda name: (values[name], name))
    others = [_per_class(other) for other in best[1 : 1 + OTHERS]]
    labels = [other.record.net for other in best[1 : 1 + OTHERS]]
    is_whole = len(order) <= NAMED
    marked = f" Marks: {' and '.join(labels)}." if labels and is_whole else ""
    over = f", means over {len(record.n_test)} splits" if len(record.n_test) > 1 else ""

    def draw(canvas: Canvas) -> None:
        if is_whole:
            _draw_all(canvas, order, values, [result.record.net, *labels], others, what)
        else:
            _draw_ends(canvas, order, values, what)

    return Figure(
        name=slug("per-class", record.benchmark, record.net, record.key[:6]),
        title=f"{record.title}: {what} of each class",
        caption=f"{what.capitalize()} of each class in %{over}, of {result.label}, sorted;"
        f" the line is their mean, {value_of(result):.1f} % ({metric_name(record.metric)})."
        f"{marked}{is_limited(result)}",
        table=Table.of(
            ["class", *(f"{r.label}: {what} (%)" for r in best[: 1 + len(others)])],
            [
                [name, *(_cell(of_class.get(name)) for of_class in [values, *others])]
                for name in order
            ],
        ),
        draw=draw,
        size=(6.4, max(1.6, 0.7 + 0.17 * len(order))) if is_whole else (6.8, 5.2),
    )


def _cell(value: float | None) -> Cell:
    return Cell() if value is None else Cell(values=(value,))


def _draw_all(
    canvas: Canvas,
    order: Sequence[str],
    values: dict[str, float],
    labels: Sequence[str],
    others: Sequence[dict[str, float]],
    what: str,
) -> None:
    """A bar for every class, the best on top, and marks of other methods."""
    axes = canvas.subplots()
    _bars(axes, order, values, label=style.short(labels[0]))
    for number, (label, of_class) in enumerate(zip(labels[1:], others, strict=True), 1):
        look = style.series(number) | {"linestyle": "none", "markersize": 4}
        axes.plot(
            [of_class.get(name) for name in order],
            range(len(order)),
            **look,
            markeredgecolor=style.GROUND,
            markeredgewidth=0.5,
            label=style.short(label),
        )
    _draw_mean(axes, values)
    axes.set(xlim=(0, 102), xlabel=f"{what}, %")
    handles, names = axes.get_legend_handles_labels()
    handles, names = [handles[-1], *handles[:-1]], [names[-1], *names[:-1]]  # the bars first
    canvas.legend(handles, names, loc="outside upper right", ncols=2)


def _draw_ends(canvas: Canvas, order: Sequence[str], values: dict[str, float], what: str) -> None:
    """All classes as a profile, and the worst and the best with their names."""
    left, right = canvas.subplots(1, 2, width_ratios=(1, 1.1))
    heights = [values[name] for name in order]
    edges = [place - 0.5 for place in range(len(order) + 1)]
    left.stairs(heights, edges, orientation="horizontal", fill=True, color=style.COLOURS[0],
                alpha=0.8)  # fmt: skip
    _draw_mean(left, values)
    left.set(ylim=(-0.5, len(order) - 0.5), xlim=(0, 102), xlabel=f"{what}, %")
    left.set_yticks([0, len(order) - 1], ["worst", "best"])
    left.grid(axis="y", visible=False)
    left.set_title(f"all {len(order)} classes, mean {_mean(values):.1f} %")
    shown = [*order[:ENDS], *order[-ENDS:]]
    # A place is left empty where the classes between are left out.
    places = [place + (place >= ENDS) for place in range(len(shown))]
    _bars(right, shown, values, places=places)
    right.text(1, ENDS, f"… {len(order) - len(shown)} classes between …", va="center",
               fontsize=style.SMALL, color=style.FAINT)  # fmt: skip
    right.set(xlim=(0, 102), xlabel=f"{what}, %")
    equal = sum(height == heights[-1] for height in heights)
    of_equal = f" (of {equal} equal)" if equal > ENDS else ""
    right.set_title(f"the {ENDS} worst and {ENDS} best{of_equal}")


def _bars(
    axes: Axes,
    order: Sequence[str],
    values: dict[str, float],
    *,
    places: Sequence[int] | None = None,
    label: str = "",
) -> None:
    places = range(len(order)) if places is None else places
    heights = [values[name] for name in order]
    axes.barh(places, heights, height=0.75, color=style.COLOURS[0], alpha=0.8, label=label)
    names = [style.short(name, 24) for name in order]
    axes.set_yticks(places, names, fontsize=min(style.SMALL, 7.5))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, places[-1] + 0.6)
    axes.grid(axis="y", visible=False)


def _draw_mean(axes: Axes, values: dict[str, float]) -> None:
    mean = _mean(values)
    look = {"color": style.TEXT, "linewidth": 1, "linestyle": (0, (4, 2))}
    axes.axvline(mean, **look, label=f"mean, {mean:.1f} %")


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)
