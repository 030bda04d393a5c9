"""The choice of a probe's hyper-parameter: the score on validation examples over its grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.labels import labels
from vggfeat.report.figures.selection import (
    best_of_methods,
    by_test_set,
    is_limited,
    malformed,
    slug,
)
from vggfeat.report.results import Result, Results
from vggfeat.report.shots import probe_of
from vggfeat.report.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MOST = 4  # methods in one figure
WIDTH = 0.8  # of all bars of a value


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """How the hyper-parameter of one result was chosen; values are texts, as the record has them.

    A value that was not tried in every split has no score here.
    """

    label: str
    name: str  # of the hyper-parameter
    grid: Sequence[str]
    scores: dict[str, float]  # value -> mean over splits, in %
    lowest: dict[str, float]
    highest: dict[str, float]
    chosen: Counter[str]
    of_classes: bool  # whether each class has a choice of its own, else each split


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set whose probes chose from a grid."""
    for group in by_test_set(results.transfer):
        of_best = [r for r in group if choice_of(r)]
        if of_best:
            best = best_of_methods(of_best)
            same = [r for r in of_best if probe_of(r.record) == probe_of(best[0].record)]
            yield _figure(best_of_methods(same)[:MOST])


def choice_of(result: Result, label: str = "") -> Choice | None:
    """The choice that a record states; None where there was none, or older records lack it."""
    probe = result.record.probe
    name = next((n.removesuffix("_grid") for n in probe if n.endswith("_grid")), None)
    tried = probe.get("validation")
    if name is None or not tried or not isinstance(probe.get(name), list):
        return None
    with malformed(result, "values of a hyper-parameter"):
        grid = [f"{value:g}" for value in probe[f"{name}_grid"]]
        in_all = [value for value in grid if all(value in split for split in tried)]
        of_value = {value: [100 * split[value] for split in tried] for value in in_all}
        chosen, of_classes = _chosen(probe[name])
    return Choice(
        label=label or result.label,
        name="C" if name == "c" else name,
        grid=grid,
        scores={value: sum(scores) / len(scores) for value, scores in of_value.items()},
        lowest={value: min(scores) for value, scores in of_value.items()},
        highest={value: max(scores) for value, scores in of_value.items()},
        chosen=chosen,
        of_classes=of_classes,
    )


def _chosen(of_splits: Sequence[Any]) -> tuple[Counter[str], bool]:
    """How often each value was chosen, and whether by classes."""
    of_classes = any(isinstance(split, dict) for split in of_splits)
    values = [v for s in of_splits for v in (s.values() if isinstance(s, dict) else [s])]
    return Counter(f"{value:g}" for value in values), of_classes


def _figure(results: Sequence[Result]) -> Figure:
    record = results[0].record
    names = labels([result.record for result in results])
    choices = [choice for pair in zip(results, names, strict=True) if (choice := choice_of(*pair))]
    first = choices[0]
    is_cut = any(choice.scores.keys() != set(choice.grid) for choice in choices)
    cut = (
        " Values beyond the end of a line were not tried in every split, as the score no longer"
        " rose."
    )
    splits = len(record.n_test)
    band = f", means over {splits} splits with the lowest and the highest" if splits > 1 else ""
    what, unit = ("mean average precision", "classes") if first.of_classes else (
        "mean class recall", "splits")  # fmt: skip
    return Figure(
        name=slug("choice", first.name, record.benchmark, record.key[:6]),
        title=f"{record.title}: the choice of {first.name}",
        caption=f"{what.capitalize()} on the validation examples in % over {first.name}{band};"
        f" below, in how many {unit} each value was chosen.{cut if is_cut else ''}"
        f"{is_limited(results[0])}",
        table=Table.of(
            ["result", first.name, f"{what} (%)", f"chosen in {unit}"],
            [
                [
                    choice.label,
                    value,
                    Cell(values=(choice.scores[value],)) if value in choice.scores else Cell(),
                    Cell(values=(choice.chosen[value],), number_format="d"),
                ]
                for choice in choices
                for value in choice.grid
            ],
        ),
        draw=lambda canvas: _draw(canvas, choices, what, unit),
        size=(5.6, 3.9 + 0.17 * len(choices)),
    )


def _draw(canvas: Canvas, choices: Sequence[Choice], what: str, unit: str) -> None:
    upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    grid = sorted({value for choice in choices for value in choice.grid}, key=float)
    for number, choice in enumerate(choices):
        look = style.series(number)
        tried = [value for value in grid if value in choice.scores]
        at = [grid.index(value) for value in tried]
        means = [choice.scores[v] for v in tried]
        upper.plot(at, means, **look, label=style.wrapped(choice.label))
        upper.fill_between(
            at,
            [choice.lowest[v] for v in tried],
            [choice.highest[v] for v in tried],
            color=look["color"],
            alpha=0.15,
            linewidth=0,
        )
        width = WIDTH / len(choices)
        places = [n - WIDTH / 2 + (number + 0.5) * width for n in range(len(grid))]
        lower.bar(places, [choice.chosen[v] for v in grid], width=width * 0.9, color=look["color"])
    lower.set_xticks(range(len(grid)), grid)
    for axes in (upper, lower):
        axes.grid(axis="x", visible=False)
    lower.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    lower.set(xlabel=choices[0].name, ylabel=f"chosen\n({unit})")
    upper.set(ylabel=f"{what},\nvalidation, %")
    canvas.align_ylabels()
    canvas.legend(*upper.get_legend_handles_labels(), loc="outside lower left")
