"""Every figure that can be drawn of results, in the order of a report."""

from collections.abc import Iterator

from vggfeat.report.figures import (
    choice,
    confusion,
    ilsvrc_views,
    measured_published,
    per_class,
    precision_recall,
    scales,
    shots,
    times,
    training_curves,
    training_errors,
)
from vggfeat.report.figures.figure import Figure
from vggfeat.report.results import Results

KINDS = (
    measured_published, per_class, precision_recall, confusion, scales, choice, shots, ilsvrc_views,
    training_errors, training_curves, times,
)  # fmt: skip


def all_figures(results: Results) -> Iterator[Figure]:
    """The figures that results have data for, one kind after the other."""
    for kind in KINDS:
        yield from kind.figures(results)
