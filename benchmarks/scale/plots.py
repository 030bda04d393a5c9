"""Plots of the records of scale: memory over time with its kills, and growth with the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from vggfeat.benchmarks.scale import growth, many_rows, record
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def write(out: Path) -> list[Path]:
    """Draw what there are records of, beside them."""
    figures = (many_rows.NAME, _memory), (growth.NAME, _growth), (growth.NAME, _index)
    found = ((draw, record.read(name, out)) for name, draw in figures)
    return [style.save(draw(content), out, "svg") for draw, content in found if content]


def _memory(content: Mapping[str, Any]) -> Figure:
    samples, kills = content["samples"], content["kills"]
    return Figure(
        name="rows",
        title=f"{samples[-1]['rows']:,} rows, {kills} kills",
        caption="Memory of the processes and rows in whole shards over time; a tick is a kill.",
        table=Table.of(
            ["tenth of the rows", "largest process (MiB)"],
            [[place + 1, peak] for place, peak in enumerate(content["rss_mib_by_tenth"])],
        ),
        draw=lambda canvas: _draw_memory(canvas, content),
        size=(6.4, 4.6),
    )


def _draw_memory(canvas: Canvas, content: Mapping[str, Any]) -> None:
    samples = content["samples"]
    seconds = [sample["s"] for sample in samples]
    top, bottom = canvas.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    lines = {
        "the largest process, resident": [max(sample["rss"], default=0) for sample in samples],
        "all together, shared pages once": [sum(sample["pss"]) for sample in samples],
    }
    for number, (label, values) in enumerate(lines.items()):
        top.plot(seconds, values, label=label, **(style.series(number) | {"marker": ""}))
    kills = [event["s"] for event in content["events"] if event["kind"] == "kill"]
    top.plot(kills, [0] * len(kills), "|", color=style.TEXT, markersize=9, label="a process killed")
    top.set(ylabel="MiB", ylim=(0, None))
    bottom.plot(seconds, [sample["rows"] / 1e6 for sample in samples], color=style.COLOURS[2])
    bottom.set(xlabel="seconds", ylabel="million rows", ylim=(0, None))
    canvas.legend(*top.get_legend_handles_labels(), loc="outside upper left", ncols=3)


def _growth(content: Mapping[str, Any]) -> Figure:
    runs = content["runs"]
    return Figure(
        name="growth",
        title="Time and memory against the number of pictures",
        caption="Medians over the rounds.",
        table=Table.of(
            ["pictures", "processes", "seconds", "largest process (MiB)"],
            [
                [n, processes, seconds, dict(_curve(runs, processes, "peak_rss_mib"))[n]]
                for processes in _processes(runs)
                for n, seconds in _curve(runs, processes, "seconds")
            ],
        ),
        draw=lambda canvas: _draw_growth(canvas, runs),
        size=(6.4, 5.4),
    )


def _processes(runs: Sequence[Mapping[str, Any]]) -> list[int]:
    return sorted({run["processes"] for run in runs})


def _curve(
    runs: Sequence[Mapping[str, Any]], processes: int, quantity: str
) -> list[tuple[int, float]]:
    """Pairs of a number of pictures and the median over the rounds."""
    values: dict[int, list[float]] = {}
    for run in runs:
        if run["processes"] == processes and quantity in run:
            values.setdefault(run["pictures"], []).append(run[quantity])
    return [(n, median(values[n])) for n in sorted(values)]


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")


def _from_zero(axes: Axes) -> None:
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])


PANELS: tuple[tuple[str, str, Callable[[Axes], None]], ...] = (
    ("seconds", "seconds from start to end", _logarithmic),
    ("extracted_s", "seconds until all rows are there", _logarithmic),
    ("peak_rss_mib", "MiB, the largest process", _from_zero),
    ("peak_pss_mib", "MiB, all together", _from_zero),
)


def _draw_growth(canvas: Canvas, runs: Sequence[Mapping[str, Any]]) -> None:
    panels = canvas.subplots(2, 2, sharex=True).flat
    for axes, (quantity, title, finish) in zip(panels, PANELS, strict=True):
        for number, processes in enumerate(_processes(runs)):
            curve = _curve(runs, processes, quantity)
            label = f"{processes} process{'es' if processes > 1 else ''}"
            axes.plot(*zip(*curve, strict=True), label=label, **style.series(number))
        axes.set_title(title)
        finish(axes)
        _pictures_below(axes, runs)
    canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)


def _pictures_below(axes: Axes, runs: Sequence[Mapping[str, Any]]) -> None:
    """Numbers of pictures on the axis of a panel, in full."""
    numbers = sorted({run["pictures"] for run in runs})
    axes.set_xscale("log")
    axes.xaxis.set_ticks(numbers, [f"{number:,}" for number in numbers])
    axes.xaxis.set_ticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:,g}")
    if axes.get_subplotspec().is_last_row():
        axes.set(xlabel="pictures")


INDEX_PANELS = (
    ("index_built_s", "seconds to make the index", 1, _logarithmic),
    ("one_id_s", "milliseconds to find and read an id", 1e3, _from_zero),
)


def _index(content: Mapping[str, Any]) -> Figure:
    runs = [run for run in content["runs"] if "index" in run]
    return Figure(
        name="index",
        title="The index against the number of pictures",
        caption="Made by one process; one id after the other, the median of 500.",
        table=Table.of(
            ["pictures", *(name for _, name, _, _ in INDEX_PANELS)],
            [
                [run["pictures"], *(by * run["index"][key] for key, _, by, _ in INDEX_PANELS)]
                for run in runs
            ],
        ),
        draw=lambda canvas: _draw_index(canvas, runs),
        size=(6.4, 2.6),
    )


def _draw_index(canvas: Canvas, runs: Sequence[Mapping[str, Any]]) -> None:
    for axes, (key, title, by, finish) in zip(canvas.subplots(1, 2), INDEX_PANELS, strict=True):
        numbers = [run["pictures"] for run in runs]
        axes.plot(numbers, [by * run["index"][key] for run in runs], **style.series(0))
        axes.set_title(title)
        finish(axes)
        _pictures_below(axes, runs)
