"""Figures of the documents that are drawn from the committed records: docs/images/.

python docs/figures/from_records.py
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vggfeat.benchmarks.report.read import results_in
from vggfeat.report.figures import style
from vggfeat.report.figures.all_figures import all_figures
from vggfeat.report.figures.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
RUNS = "results/pretraining/runs"
# Name here: the folder of records, how the name of the figure begins that is taken of it, the form.
CHOSEN = {
    "measured-published": ("results/nets", "published-caltech101", "png"),
    "scales": ("results/nets", "scales-caltech101", "svg"),
    "precision-recall": ("results/nets", "precision-recall-voc2007", "svg"),
    "per-class": ("results/nets", "per-class-voc2007", "svg"),
    "shots": ("results/own/shots", "shots-caltech-102", "svg"),
    "views": ("results/ilsvrc", "ilsvrc-top-1-error", "svg"),
    "training-errors": ("results/ilsvrc", "training-errors", "svg"),
    "training-curves": ("results/ilsvrc", "training-1-1", "svg"),
}


def chosen() -> Iterator[tuple[Figure, str]]:
    """The figures under their names here, each with the form of its file."""
    for name, (folder, beginning, form) in CHOSEN.items():
        runs = [ROOT / RUNS] if folder == "results/ilsvrc" else []
        figures = all_figures(results_in([ROOT / folder], runs))
        figure = next(each for each in figures if each.name.startswith(beginning))
        yield replace(figure, name=name), form


if __name__ == "__main__":
    for figure, form in chosen():
        print(style.save(figure, IMAGES, form))
