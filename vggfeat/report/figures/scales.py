"""The number over the scales of the test pictures: single ones, and several combined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.labels import labels
from vggfeat.report.figures.selection import by_test_set, is_limited, slug, value_of
from vggfeat.report.results import Result, Results
from vggfeat.report.settings import later_options, percent, settings_of
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

OF_SCALES = ("scales", "aggregate", "scale_l2")
MOST = len(style.COLOURS)  # curves in one figure
APART = 0.07  # between curves at one place, so that error bars do not hide each other
Place = tuple[tuple[int, ...], str]  # scales, and how they are combined


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The results that differ in nothing but their scales."""

    label: str
    results: Mapping[Place, Result]

    @property
    def best(self) -> float:
        """The highest of its values, in %."""
        return max(map(value_of, self.results.values()))


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set with results that differ in their scales only."""
    for group in by_test_set(results.transfer):
        curves = curves_of([r for r in group if r.record.protocol.get("scales")])
        if curves:
            yield _figure(group[0], curves)


def curves_of(results: Sequence[Result]) -> list[Curve]:
    """Curves of two places or more, the best first."""
    later = later_options([result.record for result in results])
    curves: dict[tuple, dict[Place, Result]] = {}
    for result in results:
        settings = settings_of(result.record, later)
        others = tuple((n, value) for n, value in settings.items() if n not in OF_SCALES)
        key = (("net", result.record.method), *others)
        curves.setdefault(key, {}).setdefault(_place(result, settings), result)
    curves = {key: places for key, places in curves.items() if len(places) > 1}
    firsts = [next(iter(places.values())).record for places in curves.values()]
    names = labels(firsts, left_out=OF_SCALES) if firsts else []
    labelled = [
        Curve(label=label, results=places)
        for label, places in zip(names, curves.values(), strict=True)
    ]
    return sorted(labelled, key=lambda curve: -curve.best)


def _place(result: Result, settings: Mapping[str, str]) -> Place:
    scales = tuple(sorted(result.record.protocol["scales"]))
    if len(scales) == 1:
        return scales, ""
    l2 = ", L2 of each" if settings["scale_l2"] == "yes" else ""
    return scales, settings["aggregate"] + l2


def _figure(first: Result, all_curves: Sequence[Curve]) -> Figure:
    record, curves = first.record, all_curves[:MOST]
    metric = metric_name(record.metric)
    places = sorted(
        {place for curve in curves for place in curve.results},
        key=lambda place: (len(place[0]), place),
    )
    has_spread = any(_spread(r) for curve in curves for r in curve.results.values())
    left_out = len(all_curves) - len(curves)
    spread = " Bars: standard deviation over splits." if has_spread else ""
    best = f" The {MOST} best of {len(all_curves)} curves." if left_out else ""
    return Figure(
        name=slug("scales", record.benchmark, record.splits_sha256[:6]),
        title=f"{record.title}: single scales and scales combined",
        caption=f"The {metric} in % over the shortest side of the test pictures in pixels; combined"
        f" scales on the right.{spread}{best}{is_limited(first)}",
        table=Table.of(
            ["curve", *(_words(place) for place in places)],
            [[c.label, *(_cell(c.results.get(place)) for place in places)] for c in curves],
        ),
        draw=lambda canvas: _draw(canvas, curves, places, metric),
        size=(6.4, 3.0 + 0.17 * len(curves)),
    )


def _words(place: Place) -> str:
    scales, how = place
    return " + ".join(map(str, scales)) + (f", {how}" if how else "")


def _tick(scales: Sequence[int], how: str) -> str:
    """The place of an axis in short lines, so that neighbours do not touch."""
    return "\n".join(["\n+ ".join(map(str, scales)), *how.split(", ")]).rstrip()


def _spread(result: Result) -> float | None:
    return percent(result.record.metrics[result.record.metric]["spread"])


def _cell(result: Result | None) -> Cell:
    if result is None:
        return Cell()
    return Cell(values=(value_of(result),), spread=_spread(result))


def _draw(canvas: Canvas, curves: Sequence[Curve], places: Sequence[Place], metric: str) -> None:
    axes = canvas.subplots()
    ways = {how for scales, how in places if len(scales) > 1}
    middle = (len(curves) - 1) / 2
    for number, curve in enumerate(curves):
        look = style.series(number) | {"elinewidth": 0.9, "markersize": 5}
        shift = APART * (number - middle)
        at = [n for n, place in enumerate(places) if place in curve.results]
        single = [n for n in at if len(places[n][0]) == 1]
        values = [value_of(curve.results[places[n]]) for n in at]
        axes.plot([n + shift for n in at], values, color=look["color"], linewidth=0.5, alpha=0.6)
        # Single scales are joined by a line, combined ones stand for themselves.
        for shown, more in (
            (single, {"label": style.wrapped(curve.label)}),
            ([n for n in at if n not in single], {"linestyle": "none"}),
        ):
            of_places = [curve.results[places[n]] for n in shown]
            axes.errorbar(
                [n + shift for n in shown],
                list(map(value_of, of_places)),
                yerr=[_spread(result) or 0 for result in of_places],
                **look | more,
            )
    num_single = sum(len(scales) == 1 for scales, _ in places)
    if 0 < num_single < len(places):
        axes.axvline(num_single - 0.5, color=style.FAINT, linewidth=0.6, linestyle=":")
    # How they are combined is said where it differs.
    names = [_tick(scales, how if len(ways) > 1 else "") for scales, how in places]
    axes.set_xticks(range(len(places)), names, fontsize=style.SMALL)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="shortest side of the test pictures, pixels", ylabel=f"{metric}, %")
    canvas.legend(*axes.get_legend_handles_labels(), loc="outside lower left")
