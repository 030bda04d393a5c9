"""The number over training pictures a class, from the table of the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vggfeat.report import shots
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.labels import without_weights
from vggfeat.report.figures.selection import slug
from vggfeat.report.results import Results
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

IN_ONE = 4  # lines in one panel; of more, each probe has a panel
APART = 0.05  # between lines at one place, so that error bars do not hide each other


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each benchmark with few training pictures."""
    records = [result.record for result in results.transfer]
    kinds = {(r.benchmark, r.metric, r.limited): r for r in records}
    for (benchmark, metric, limited), record in kinds.items():
        alike = [r for r in records if (r.benchmark, r.metric, r.limited) == (
            benchmark, metric, limited)]  # fmt: skip
        for table in shots.tables(alike):
            name = slug("shots", benchmark, metric, *(["limited"] if limited else []))
            yield _figure(name, table, record.title, metric_name(metric))


def _figure(name: str, table: Table, title: str, metric: str) -> Figure:
    heads = 2 if table.columns[0] == "method" else 1
    panels: dict[str, list[tuple[str, Sequence[Cell]]]] = {}
    nets = without_weights([str(row[0]) for row in table.rows])
    for net, row in zip(nets, table.rows, strict=True):
        label = ", ".join([net, *map(str, row[1:heads])])
        probe = str(row[heads - 1]) if len(table.rows) > IN_ONE and heads == 2 else ""
        label = net if probe else label
        panels.setdefault(probe, []).append((label, row[heads:]))
    columns = table.columns[heads:]
    return Figure(
        name=name,
        title=f"{title}: few training pictures",
        caption=f"{table.title}. {table.legend[0]} Bars: standard deviation.",
        table=table,
        draw=lambda canvas: _draw(canvas, panels, columns, metric),
        size=(max(4.6, 2.3 * len(panels) + 0.4), 3.4),
    )


def _draw(
    canvas: Canvas,
    panels: dict[str, list[tuple[str, Sequence[Cell]]]],
    columns: Sequence[str],
    metric: str,
) -> None:
    grid = canvas.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    labels = list(dict.fromkeys(label for lines in panels.values() for label, _ in lines))
    for axes, (probe, lines) in zip(grid, panels.items(), strict=True):
        for label, cells in lines:
            _line(axes, label, cells, columns, labels.index(label))
        axes.set_title(style.short(probe))
        axes.set_xticks(range(len(columns)), columns, fontsize=style.SMALL)
        axes.set_xlim(-0.4, len(columns) - 0.6)
        axes.grid(axis="x", visible=False)
    grid[0].set_ylabel(f"{metric}, %")
    grid[len(grid) // 2].set_xlabel("training pictures a class")
    handles = {style.wrapped(label): handle for axes in grid for handle, label in zip(
        *axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    canvas.legend(handles.values(), handles.keys(), loc="outside lower left",
                  ncols=2 if len(labels) > 2 else 1)  # fmt: skip


def _line(
    axes: Axes, label: str, cells: Sequence[Cell], columns: Sequence[str], number: int
) -> None:
    """One line with the spread of its draws; a gap before "all", which is no fixed number."""
    look = style.series(number) | {"markersize": 4, "elinewidth": 0.9}
    at = [n for n, cell in enumerate(cells) if cell.values]
    for part in (True, False):
        places = [n for n in at if (columns[n] == shots.ALL) is part]
        axes.errorbar(
            [n + APART * number for n in places],
            [cells[n].values[0] for n in places],
            yerr=[cells[n].spread or 0 for n in places],
            **look,
            label=None if part else label,
        )
