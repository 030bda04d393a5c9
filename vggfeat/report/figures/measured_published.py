"""Measured numbers beside the published ones of a benchmark, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from vggfeat.report import transfer
from vggfeat.report.figures.dots import draw_dots, height
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.labels import labels
from vggfeat.report.figures.selection import best_of_methods, by_test_set, is_limited, slug
from vggfeat.report.results import Result, Results
from vggfeat.report.table import Cell, Table
from vggfeat.report.transfer import TransferResult, metric_name

MOST = 12  # measured methods in one figure


def figures(results: Results) -> Iterator[Figure]:
    """A figure for each test set: the best result of each method, and what was published."""
    for group in by_test_set(results.transfer):
        methods = best_of_methods(group)
        best = methods[:MOST]
        shown = transfer.compare([result.record for result in best])
        published = [r for r in shown if not r.is_measured and r.metric == best[0].record.metric]
        if len(best) + len(published) > 1:
            yield _figure(best, published, len(methods))


def _figure(
    best: Sequence[Result], published: Sequence[TransferResult], num_methods: int
) -> Figure:
    record = best[0].record
    measured = transfer.compare([result.record for result in best], ())
    rows = [
        *zip(labels([result.record for result in best]), measured, strict=True),
        *((result.method, result) for result in published),
    ]
    rows.sort(key=lambda row: -row[1].value)
    names = [name for name, _ in rows]
    marks = {
        word: [result.value if result.is_measured is measured else None for _, result in rows]
        for word, measured in (("measured", True), ("published", False))
        if any(result.is_measured is measured for _, result in rows)
    }
    ends = {word: [_end(result) for _, result in rows] for word in ("measured",)}
    metric = metric_name(record.metric)
    return Figure(
        name=slug("published", record.benchmark, record.splits_sha256[:6]),
        title=f"{record.title}: measured{' and published' if published else ''}",
        caption=f"The {metric} in %, the best result of each method, best first."
        + (f" The {MOST} best of {num_methods} methods." if num_methods > MOST else "")
        + (" Lines: standard deviation over splits." if any(ends["measured"]) else "")
        + (" Whether a published number may be compared with is said in the table of results."
           if published else "")
        + is_limited(best[0]),
        table=Table.of(
            ["method", "", f"{metric} (%)"],
            [
                [name, "measured" if result.is_measured else "published",
                 Cell(values=(result.value,), spread=result.spread)]
                for name, result in rows
            ],
        ),
        draw=partial(
            draw_dots, rows=names, marks=marks, axis=f"{metric}, %", ends=ends,
            hollow=frozenset({"published"}),
        ),
        size=(6.4, height(len(rows))),
    )  # fmt: skip


def _end(result: TransferResult) -> tuple[float, float] | None:
    if not result.is_measured or result.spread is None:
        return None
    return result.value - result.spread, result.value + result.spread
