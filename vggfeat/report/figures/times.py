"""Where the time went: the seconds of each stage of a measurement, as stacked bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vggfeat.records.record import WALL_STAGES
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.labels import labels
from vggfeat.report.figures.selection import best_of_methods, by_test_set, is_limited, slug
from vggfeat.report.results import Result, Results
from vggfeat.report.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WORDS = {
    "extract": "descriptors extracted",
    "choose_C": "hyper-parameter chosen",
    "fit": "probe fitted",
    "score": "test pictures scored",
}
MOST = 8  # bars in one figure
MINUTES = 600  # seconds from which on the axis is in minutes


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set: the best result of each method."""
    for group in by_test_set(results.transfer):
        best = [r for r in best_of_methods(group) if r.record.wall_seconds][:MOST]
        if best:
            yield _figure(best)


def _figure(results: Sequence[Result]) -> Figure:
    record = results[0].record
    names = labels([result.record for result in results])
    longest = max(sum(result.record.wall_seconds.values()) for result in results)
    unit, seconds = ("min", 60) if longest > MINUTES else ("s", 1)
    stored = sum("extract" not in result.record.wall_seconds for result in results)
    no_extraction = " Where no extraction is shown the descriptors were there." if stored else ""
    devices = {r.record.hardware.get("device", "") for r in results} - {""}
    on = f" on {' and '.join(sorted(devices))}" if devices else ""
    return Figure(
        name=slug("time", record.benchmark, record.key[:6]),
        title=f"{record.title}: where the time went",
        caption=f"Wall time of the stages of a measurement in {unit}{on}, over all splits."
        f"{no_extraction}{is_limited(results[0])}",
        table=Table.of(
            ["result", *(f"{WORDS[stage]} (s)" for stage in WALL_STAGES), "in all (s)"],
            [
                [name, *(Cell(values=(spent.get(stage, 0.0),), number_format=".2f")
                         for stage in WALL_STAGES),
                 Cell(values=(sum(spent.values()),), number_format=".2f")]
                for name, spent in zip(names, (r.record.wall_seconds for r in results), strict=True)
            ],
        ),
        draw=lambda canvas: _draw(canvas, results, names, unit, seconds),
        size=(6.4, 1.2 + 0.42 * len(results)),
    )  # fmt: skip


def _draw(
    canvas: Canvas, results: Sequence[Result], names: Sequence[str], unit: str, seconds: float
) -> None:
    axes = canvas.subplots()
    places = range(len(results))[::-1]  # the best on top
    left = [0.0] * len(results)
    for number, stage in enumerate(WALL_STAGES):
        spent = [result.record.wall_seconds.get(stage, 0.0) / seconds for result in results]
        if any(spent):
            axes.barh(
                places,
                spent,
                left=left,
                height=0.6,
                color=style.COLOURS[number],
                edgecolor=style.GROUND,
                linewidth=0.5,
                label=WORDS[stage],
            )
        left = [a + b for a, b in zip(left, spent, strict=True)]
    for place, total in zip(places, left, strict=True):
        axes.text(total, place, f" {total:.3g} {unit}", va="center", fontsize=style.SMALL)
    axes.set_yticks(places, [style.wrapped(name, 44) for name in names], fontsize=style.SMALL)
    axes.set(xlim=(0, 1.14 * max(left)), xlabel=f"wall time, {unit}")
    axes.grid(axis="y", visible=False)
    canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
