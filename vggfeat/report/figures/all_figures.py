"""Every figure that can be drawn of results, in the order of a report."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

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
    """The figures that results have data for, one kind after the other, each with its own name."""
    names: Counter[str] = Counter()
    for kind in KINDS:
        for figure in kind.figures(results):
            name = figure.name.lower()  # which file systems take for the same
            names[name] += 1
            same = names[name] > 1
            yield replace(figure, name=f"{figure.name}-{names[name]}") if same else figure
