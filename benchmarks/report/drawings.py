"""Figures of results as parts of a page: drawn as SVG, their numbers folded below."""

import importlib.util
from dataclasses import replace

from vggfeat.benchmarks.report.material import Material
from vggfeat.errors import printable
from vggfeat.report.figures.all_figures import all_figures
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.style import as_svg
from vggfeat.report.page.blocks import Block, Drawing, Group, TableBlock, says
from vggfeat.report.results import Results

PIXELS_AN_INCH = 96  # of CSS
MAX_ROWS = 300  # of a figure's numbers; whole ones are in the files of `--figures`
NO_MATPLOTLIB = "Figures are not drawn here: install matplotlib (`pip install vggfeat[plot]`)."


def drawings(material: Material, results: Results, *kinds: str) -> list[Block]:
    """The figures of these results whose names begin with one of these words."""
    figures = [figure for figure in all_figures(results) if figure.name.startswith(kinds)]
    if importlib.util.find_spec("matplotlib") is None:
        material.figures.extend(figures)  # files of them are asked for in vain, too
        return [says(NO_MATPLOTLIB, role="lacking")]
    drawn = tuple(drawing(material, figure) for figure in figures)
    return [Group(drawn)] if drawn else []


def drawing(material: Material, figure: Figure) -> Drawing:
    """A figure as SVG; of long tables of numbers the first rows."""
    material.figures.append(figure)
    table = figure.table
    if len(table.rows) > MAX_ROWS:
        cut = f"The first {MAX_ROWS} of {len(table.rows):,} rows."
        table = replace(table, rows=table.rows[:MAX_ROWS], legend=(*table.legend, cut))
    name = material.anchors.new(f"figure {figure.name}")  # of which its ids are made
    return Drawing(
        svg=as_svg(replace(figure, name=name, title=printable(figure.title, one_line=True))),
        width=round(PIXELS_AN_INCH * figure.size[0]),
        title=figure.title,
        caption=figure.caption,
        table=TableBlock(
            table=replace(table, title=""),
            id=material.anchors.new(f"{figure.name} numbers"),
            label=f"{figure.title}, in numbers",
        ),
    )
