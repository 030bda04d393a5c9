"""`--plot`: the logs of runs -> curves of their loss and accuracy, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggfeat.errors import TrainingError
from vggfeat.pretraining.log import read_log
from vggfeat.report.figures import style
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.training_curves import Run, draw_drops, draw_loss, figure
from vggfeat.storage.checksums import parse_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

NAME = "curves"
ACCURACIES = {
    "top5": "top-5, validation",
    "top1": "top-1, validation",
    "train_top1": "top-1, training crops",
    "localised": "localised, validation",
    "train_localised": "localised, training crops",
}


def plot(folders: Sequence[Path]) -> Path:
    """Draw loss and accuracies of runs over their updates to curves.png.

    It lies in the folder of one run, of several in the folder that holds the first. Raises
    TrainingError if a folder holds no log, OptionError if matplotlib is not there.
    """
    runs = [_run(folder, label) for folder, label in zip(folders, _labels(folders), strict=True)]
    if len(runs) > 1:
        return style.save(figure(runs, name=NAME), folders[0].parent, "png")
    return style.save(_of_one(runs[0]), folders[0], "png")


def _run(folder: Path, label: str) -> Run:
    lines = read_log(folder)
    updates = _lines_with(lines, "train", {"step", "loss"})
    epochs = _lines_with(lines, "epoch", {"step", "loss", "rate"})
    if not updates and not epochs:
        raise TrainingError(f"{folder}: nothing to draw yet.")
    return Run(
        label=label,
        num_classes=_num_classes(folder, lines),
        epochs=epochs,
        updates=updates,
    )


def _num_classes(folder: Path, lines: Sequence[dict[str, Any]]) -> int | None:
    """The number of classes, whose logarithm the loss begins at; None where it is unknown.

    Logs of before do not state it, but the record does that a finished run leaves.
    """
    if any("localised" in line for line in lines):
        return None  # boxes are not classified
    stated = [line for line in lines if line.get("kind") == "start" and "classes" in line]
    try:
        path = folder.with_name(f"{folder.name}.json")
        data = stated[-1] if stated else parse_json(path.read_text(encoding="utf-8"))["data"]
        count = data["classes"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None
    return count if type(count) is int and count > 1 else None


def _labels(folders: Sequence[Path]) -> list[str]:
    """The names of the folders, with those above where that tells as many apart."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else list(map(str, folders))


def _of_one(run: Run) -> Figure:
    """The figure of one run, with all its accuracies."""
    whole = figure([run], name=NAME)
    return Figure(
        name=NAME,
        title=whole.title,
        caption=whole.caption,
        table=whole.table,
        draw=partial(_draw_one, run=run),
        size=(8.5, 3.6),
    )


def _draw_one(canvas: Canvas, run: Run) -> None:
    loss, accuracy = canvas.subplots(1, 2, sharex=True)
    draw_loss(loss, [run])
    if run.updates:
        loss.legend(loss.get_lines()[:2], ["mean of 20 updates", "mean of the epoch"])
    steps = [line["step"] for line in run.epochs]
    shown = [name for name in ACCURACIES if steps and all(name in line for line in run.epochs)]
    for number, name in enumerate(shown):
        look = style.series(number) | {"markersize": 3}
        values = [100 * line[name] for line in run.epochs]
        accuracy.plot(steps, values, **look, label=ACCURACIES[name])
    accuracy.set(xlabel="updates", ylabel="accuracy, %", ylim=(0, 100))
    if shown:
        accuracy.legend()
    draw_drops([loss, accuracy], run, style.FAINT)
    canvas.suptitle(f"{style.short(run.label, 60)} (dotted: the rate is divided by 10)")


def _lines_with(lines: list[dict], kind: str, names: set[str]) -> list[dict]:
    """The lines of a kind that have all these values."""
    return [line for line in lines if line.get("kind") == kind and names <= line.keys()]
