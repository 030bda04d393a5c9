"""Errors of trained nets: what depth, scale and the beginning bring, from the table of training."""

from collections.abc import Iterator
from functools import partial

from vggfeat.report import training
from vggfeat.report.figures.dots import draw_dots, height
from vggfeat.report.figures.figure import Figure
from vggfeat.report.results import Results
from vggfeat.report.table import Table

MARKS = ("top-1 error (%)", "top-5 error (%)")


def figures(results: Results) -> Iterator[Figure]:
    """One figure of all runs, if there are several."""
    if len(results.training) < 2:
        return
    whole = training.table(results.training)
    ranked = sorted(whole.rows, key=lambda row: row[whole.columns.index(MARKS[0])].values)
    table = Table.of(whole.columns, ranked, legend=whole.legend)
    places = {name: table.columns.index(name) for name in MARKS}
    rows = [f"{str(row[0]).partition(':')[0]}, S {row[1]}, begins with {row[2]}" for row in ranked]
    marks = {name.removesuffix(" (%)"): [row[place].values[0] for row in ranked]
             for name, place in places.items()}  # fmt: skip
    yield Figure(
        name="training-errors",
        title="Training: errors of the nets",
        caption="Top-1 and top-5 error in % on the centre crop of the validation pictures, after"
        " the last epoch, best net first. S: shortest side of the training pictures, in pixels.",
        table=table,
        draw=partial(draw_dots, rows=rows, marks=marks, axis="error, %"),
        size=(6.4, height(len(rows))),
    )
