"""Curves of training: loss and error of several runs over their updates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.selection import slug
from vggfeat.report.results import Results
from vggfeat.report.table import Cell, Table
from vggfeat.report.training import begins_with

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MOST = len(style.COLOURS)  # runs in one figure
LEAST = 0.2  # nats that the loss axis shows


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of training as it is drawn: a line for each epoch, and between them if known."""

    label: str
    num_classes: int | None
    epochs: Sequence[Mapping[str, Any]]  # step, loss; top1, top5 and others as shares of one
    updates: Sequence[Mapping[str, Any]] = ()  # step, loss of every few updates


def figures(results: Results) -> Iterator[Figure]:
    """Figures of the runs on the same pictures, of MOST runs each."""
    by_data: dict[object, list[dict[str, Any]]] = {}
    for record in results.training:
        if record.get("curve"):
            by_data.setdefault(record.get("data", {}).get("digest"), []).append(record)
    for number, records in enumerate(by_data.values(), 1):
        runs = [
            Run(label=label, num_classes=record["data"].get("classes"), epochs=record["curve"])
            for record, label in zip(records, _labels(records), strict=True)
        ]
        chunks = -(-len(runs) // MOST)
        size = -(-len(runs) // chunks)
        for part in range(chunks):
            chunk = runs[part * size : (part + 1) * size]
            of_parts = f" ({part + 1} of {chunks})" if chunks > 1 else ""
            yield figure(chunk, name=slug("training", str(number), str(part + 1)), title=of_parts)


def figure(runs: Sequence[Run], *, name: str, title: str = "") -> Figure:
    """One figure of these runs: training loss on the left, top-1 error on the right."""
    has_error = any("top1" in line for run in runs for line in run.epochs)
    chance = sorted({run.num_classes for run in runs if run.num_classes})
    levels = " or ".join(f"{math.log(count):.2f}" for count in chance)
    plateau = f" The thin line is ln(classes), {levels}: all classes equally likely."
    return Figure(
        name=name,
        title=f"Training: loss and error over the updates{title}",
        caption="Mean training loss of each epoch (cross-entropy, in nats)"
        + (" and top-1 error on the validation pictures (%)" if has_error else "")
        + " over the updates that were made."
        + (plateau if chance else "")
        + " A dotted line is where the learning rate was divided.",
        table=Table.of(
            ["run", "epoch", "updates", "training loss (nats)", "top-1 error (%)"],
            [
                [
                    run.label,
                    Cell(values=(number,), number_format="d"),
                    Cell(values=(line["step"],), number_format="d"),
                    Cell(values=(line["loss"],), number_format=".3f"),
                    Cell(values=(100 * (1 - line["top1"]),)) if "top1" in line else Cell(),
                ]
                for run in runs
                for number, line in enumerate(run.epochs, 1)
            ],
        ),
        draw=lambda canvas: _draw(canvas, runs, has_error),
        size=(6.8, 3.4) if has_error else (4.6, 3.4),
    )


def draw_loss(axes: Axes, runs: Sequence[Run]) -> None:
    """The loss of runs on an axis that shows their range, and the loss of equal scores."""
    for number, run in enumerate(runs):
        look = style.series(number) | {"markersize": 3}
        if run.updates:
            faint = {"color": look["color"], "alpha": 0.3, "linewidth": 0.8}
            axes.plot(*_columns(run.updates, "step", "loss"), **faint)
        axes.plot(*_columns(run.epochs, "step", "loss"), **look, label=style.short(run.label, 34))
    chance = sorted({run.num_classes for run in runs if run.num_classes})
    for count in chance:
        level = math.log(count)
        axes.axhline(level, color=style.TEXT, linewidth=0.8)
        axes.text(1, level, f"ln({count}) = {level:.2f}", transform=axes.get_yaxis_transform(),
                  ha="right", va="bottom", fontsize=style.SMALL)  # fmt: skip
    low, high = axes.get_ylim()
    if chance and high - low < LEAST:  # the noise of a net that does not learn is no curve
        axes.set_ylim((low + high - LEAST) / 2, (low + high + LEAST) / 2)
    unit = ", nats" if all(run.num_classes for run in runs) else ""
    axes.set(xlabel="updates", ylabel=f"training loss{unit}")


def draw_drops(panels: Sequence[Axes], run: Run, color: str) -> None:
    """A dotted line in every panel after each epoch that was the last of its learning rate."""
    for before, line in zip(run.epochs, run.epochs[1:], strict=False):
        if line.get("rate", 0) < before.get("rate", 0):
            for axes in panels:
                axes.axvline(before["step"], color=color, linestyle=(0, (1, 2)), linewidth=0.8)


def _draw(canvas: Canvas, runs: Sequence[Run], has_error: bool) -> None:
    panels = canvas.subplots(1, 1 + has_error, sharex=True, squeeze=False)[0]
    draw_loss(panels[0], runs)
    for number, run in enumerate(runs):
        look = style.series(number) | {"markersize": 3}
        lines = [line for line in run.epochs if "top1" in line]
        if lines:
            steps, shares = _columns(lines, "step", "top1")
            panels[1].plot(steps, [100 * (1 - share) for share in shares], **look)
        draw_drops(panels, run, look["color"])
    if has_error:
        panels[1].set(xlabel="updates", ylabel="top-1 error, validation, %")
    if len(runs) > 1:
        canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _columns(lines: Sequence[Mapping[str, Any]], *names: str) -> list[list[Any]]:
    return [[line[name] for line in lines] for name in names]


def _labels(records: Sequence[dict[str, Any]]) -> list[str]:
    """Stages; those of one name with what they begin with, else with all in which they differ."""
    labels = [record["stage"] for record in records]
    for more in (begins_with, partial(_differing, records)):
        labels = [
            label if labels.count(label) == 1 else f"{label}, {more(record['recipe'])}"
            for label, record in zip(labels, records, strict=True)
        ]
    return labels


def _differing(records: Sequence[dict[str, Any]], recipe: Mapping[str, Any]) -> str:
    """The fields of a recipe in which others of its name differ."""
    alike = [r["recipe"] for r in records if r["recipe"]["name"] == recipe["name"]]
    fields = [name for name in recipe if len({str(other.get(name)) for other in alike}) > 1]
    return ", ".join(f"{name} {recipe[name]}" for name in fields)
