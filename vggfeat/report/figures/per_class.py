"""Precision, recall or error of each class, sorted: bars of the best result of each test set."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from vggfeat.layouts.class_words import class_words
from vggfeat.metrics import AP_RULES
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.labels import labels
from vggfeat.report.figures.selection import (
    best_of_methods,
    by_test_set,
    is_limited,
    malformed,
    slug,
    value_of,
)
from vggfeat.report.published import CLASSIFICATION
from vggfeat.report.results import Result, Results
from vggfeat.report.settings import percent
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import lower_is_better, metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

NAMED = 45  # classes that have a bar with a name each; of more, so many
ENDS = 15  # of the worst and of the best are named
OTHERS = 3  # methods that are marked beside the bars
# Of each class; the mean over classes has a name of its own.
WHAT = {"mean_class_recall": "recall", "accuracy": "recall"} | dict.fromkeys(
    AP_RULES, "average precision"
)
# Accuracy is of all pictures; what it is of each class is another metric's.
OF_CLASSES = {"accuracy": "mean_class_recall"}


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set with values per class."""
    on_ilsvrc = [r for r in results.ilsvrc if r.record.benchmark == CLASSIFICATION]
    for group in by_test_set([*results.transfer, *on_ilsvrc]):
        with_classes = [result for result in group if _per_class(result)]
        if with_classes:
            yield _figure(best_of_methods(with_classes))


def _per_class(result: Result) -> dict[str, float]:
    """Class -> value of the headline metric in %; without the classes that have none."""
    record = result.record
    with malformed(result, "values per class"):
        metric = record.metrics.get(OF_CLASSES.get(record.metric, record.metric), {})
        of_class = metric.get("per_class") or {}
        return {name: percent(value) for name, value in of_class.items() if value is not None}


def _figure(best: Sequence[Result]) -> Figure:
    result = best[0]
    record, values = result.record, _per_class(result)
    what = WHAT.get(record.metric) or metric_name(record.metric)
    way = -1 if lower_is_better(record.metric) else 1
    order = sorted(values, key=lambda name: (way * values[name], name))  # worst first
    words = class_words(order)
    others = [_per_class(other) for other in best[1 : 1 + OTHERS]]
    names = labels([r.record for r in best[: 1 + OTHERS]])
    mean, value, headline = _mean(values.values()), value_of(result), metric_name(record.metric)
    if abs(mean - value) >= 0.05:  # classes with other numbers of pictures, or without a value
        headline += f" of all pictures: {value:.1f} %"
    is_whole = len(order) <= NAMED
    marked = " Marks: the best results of other nets." if others and is_whole else ""
    over = f", means over {len(record.n_test)} splits" if len(record.n_test) > 1 else ""

    def draw(canvas: Canvas) -> None:
        if is_whole:
            of_nets = [[of_class.get(name) for name in order] for of_class in (values, *others)]
            _draw_all(canvas, words, list(zip(names, of_nets, strict=True)), what)
        else:
            _draw_ends(canvas, words, [values[name] for name in order], what)

    return Figure(
        name=slug("per-class", record.benchmark, record.net, record.key[:6]),
        title=f"{record.title}: {what} of each class",
        caption=f"The {what} of each class in %{over}, of {result.label}, the best on top;"
        f" the line is their mean, {mean:.1f} % ({headline})."
        f"{marked}{is_limited(result)}",
        table=Table.of(
            ["class", *(f"{name}: {what} (%)" for name in names)],
            [
                [word, *(_cell(of_class.get(name)) for of_class in [values, *others])]
                for name, word in zip(order, words, strict=True)
            ],
        ),
        draw=draw,
        size=(6.4, 1.2 + 0.17 * (len(order) + len(names))) if is_whole else (6.8, 5.2),
    )


def _cell(value: float | None) -> Cell:
    return Cell() if value is None else Cell(values=(value,))


def _draw_all(
    canvas: Canvas,
    words: Sequence[str],
    of_nets: Sequence[tuple[str, Sequence[float | None]]],
    what: str,
) -> None:
    """A bar for every class, the best on top, and marks of other nets."""
    axes = canvas.subplots()
    for number, (net, values) in enumerate(of_nets):
        label = style.wrapped(net)
        if number == 0:
            _bars(axes, range(len(words)), words, values, label=label)
            _draw_mean(axes, values)
            continue
        look = style.series(number) | {"linestyle": "none", "markersize": 4, "label": label}
        edge = {"markeredgecolor": style.GROUND, "markeredgewidth": 0.5}
        axes.plot(values, range(len(words)), **look, **edge)
    axes.set(xlim=(0, 102), xlabel=f"{what}, %")
    handles, names = axes.get_legend_handles_labels()
    order = [len(names) - 1, *range(1, len(names) - 1), 0]  # the bars first, their mean last
    canvas.legend([handles[n] for n in order], [names[n] for n in order], loc="outside upper left")


def _draw_ends(canvas: Canvas, words: Sequence[str], values: Sequence[float], what: str) -> None:
    """All classes as a profile, and the worst and the best with their names."""
    left, right = canvas.subplots(1, 2, width_ratios=(1, 1.1))
    edges = [place - 0.5 for place in range(len(values) + 1)]
    left.stairs(values, edges, orientation="horizontal", fill=True, color=style.COLOURS[0],
                alpha=0.8)  # fmt: skip
    _draw_mean(left, values)
    left.set(ylim=(-0.5, len(values) - 0.5), xlim=(0, 102), xlabel=f"{what}, %")
    left.set_yticks([0, len(values) - 1], ["worst", "best"])
    left.grid(axis="y", visible=False)
    left.set_title(f"all {len(values)} classes, mean {_mean(values):.1f} %")
    # A place is left empty where the classes between are left out.
    places = [*range(ENDS), *range(ENDS + 1, 2 * ENDS + 1)]
    _bars(right, places, *([*row[:ENDS], *row[-ENDS:]] for row in (words, values)))
    between = f"… {len(values) - 2 * ENDS} classes between …"
    right.text(1, ENDS, between, va="center", fontsize=style.SMALL, color=style.FAINT)
    right.set(xlim=(0, 102), xlabel=f"{what}, %")
    equal = sum(value == values[-1] for value in values)
    of_equal = f" (of {equal} equal)" if equal > ENDS else ""
    right.set_title(f"the {ENDS} worst and {ENDS} best{of_equal}")


def _bars(
    axes: Axes,
    places: Sequence[int],
    words: Sequence[str],
    values: Sequence[float],
    label: str = "",
) -> None:
    axes.barh(places, values, height=0.75, color=style.COLOURS[0], alpha=0.8, label=label)
    axes.set_yticks(places, [style.short(word, 24) for word in words], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, places[-1] + 0.6)
    axes.grid(axis="y", visible=False)


def _draw_mean(axes: Axes, values: Sequence[float]) -> None:
    mean = _mean(values)
    look = {"color": style.TEXT, "linewidth": 1, "linestyle": (0, (4, 2))}
    axes.axvline(mean, **look, label=f"mean, {mean:.1f} %")


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
