"""Every figure that can be drawn of results, in the order of a report."""

from collections.abc import Iterator

from vggfeat.report.figures import per_class, training_curves
from vggfeat.report.figures.figure import Figure
from vggfeat.report.results import Results

KINDS = (per_class, training_curves)


def all_figures(results: Results) -> Iterator[Figure]:
    """The figures that results have data for, one kind after the other."""
    for kind in KINDS:
        yield from kind.figures(results)
