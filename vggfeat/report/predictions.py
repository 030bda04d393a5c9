"""Predictions of a saved probe -> a table: a row a picture, its likeliest classes and scores."""

import os
from collections.abc import Sequence

from vggfeat.probes.prediction import Predictions
from vggfeat.report.table import Cell, Table

NO_PROBABILITY = "A score is the higher, the likelier the class; it is no probability."
FORMAT = "+.3g"  # of scores, which with strong regularisation differ by little
ABOVE_0 = "Classes are present whose score is above 0."


def table(predictions: Predictions, top: int) -> Table:
    """The best class of each picture, or those present, with scores, then the next likeliest.

    top classes in all, but every one that is present.
    """
    folder, names = _apart(predictions.pictures)
    heads, lines = ["picture", "class", "score", "next"], []
    if predictions.has_threshold:
        heads = ["picture", "present", "next"]
    for picture, row in zip(names, predictions.scores, strict=True):
        order = (-row).argsort(kind="stable")
        scored = [f"{predictions.classes[k]} {row[k]:{FORMAT}}" for k in order]
        if predictions.has_threshold:
            count = int((row > 0).sum())
            decided = [", ".join(scored[:count]) or "none"]
        else:
            count = 1
            best = Cell(values=(float(row[order[0]]),), number_format=FORMAT)
            decided = [predictions.classes[order[0]], best]
        lines.append([picture, *decided, ", ".join(scored[count : max(top, count)])])
    if not any(line[-1] for line in lines):
        heads, lines = heads[:-1], [line[:-1] for line in lines]
    legend = f"{NO_PROBABILITY} {ABOVE_0}" if predictions.has_threshold else NO_PROBABILITY
    title = f"Pictures in {folder}" if folder else ""
    return Table.of(heads, lines, legend=(legend,), title=title)


def _apart(pictures: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The folder that all pictures lie below, and their names there; "" if there is none."""
    folders = [os.path.dirname(picture) for picture in pictures]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # some are absolute
        return "", pictures
    if len(pictures) < 2 or not common.strip(os.sep):
        return "", pictures
    return common, [os.path.relpath(picture, common) for picture in pictures]
