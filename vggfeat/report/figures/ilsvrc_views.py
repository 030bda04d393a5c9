"""Error on ILSVRC by net, scale and view, from the table of the same numbers."""

from collections.abc import Iterator
from functools import partial

from vggfeat.report import ilsvrc_grid
from vggfeat.report.figures.dots import draw_dots, height
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.selection import slug
from vggfeat.report.ilsvrc_results import VIEWS
from vggfeat.report.ilsvrc_some_classes import is_of_some
from vggfeat.report.published import CLASSIFICATION
from vggfeat.report.results import Results
from vggfeat.report.table import Table

ERRORS = {"top-1 error": 0, "top-5 error": 1}  # place among the values of a cell


def figures(results: Results) -> Iterator[Figure]:
    """A figure of top-1 and one of top-5 errors for each set of pictures."""
    records = [
        r.record
        for r in results.ilsvrc
        if r.record.benchmark == CLASSIFICATION and not is_of_some(r.record)
    ]
    titles = dict.fromkeys((record.title, record.splits_sha256) for record in records)
    for (title, digest), table in zip(titles, ilsvrc_grid.tables(records), strict=True):
        for error, place in ERRORS.items():
            yield _figure(title, digest, table, error, place)


def _figure(title: str, digest: str, table: Table, error: str, place: int) -> Figure:
    views = {view: table.columns.index(f"{view} (%)") for view in VIEWS
             if f"{view} (%)" in table.columns}  # fmt: skip
    rows = [f"{net}, S {s or '?'}, Q {q}" for net, s, q in (map(str, r[:3]) for r in table.rows)]
    marks = {
        view: [row[column].values[place] if row[column].values else None for row in table.rows]
        for view, column in views.items()
    }
    intervals = {
        view: [row[column].interval for row in table.rows] if place == 0 else []
        for view, column in views.items()
    }
    return Figure(
        name=slug("ilsvrc", error, title, digest[:6]),
        title=f"{title}: {error} by net, scale and view",
        caption=f"{error.capitalize()} in %, in the order of the table: S is the shortest side of"
        f" the training pictures, Q of the test pictures, in pixels. {table.legend[0]}",
        table=table,
        draw=partial(draw_dots, rows=rows, marks=marks, axis=f"{error}, %", ends=intervals),
        size=(6.4, height(len(rows))),
    )
