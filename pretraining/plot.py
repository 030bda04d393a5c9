"""`--plot`: the log of a run -> curves of its loss and accuracy, by matplotlib."""

from pathlib import Path

from vggfeat.errors import OptionError, TrainingError
from vggfeat.pretraining.log import read_log
from vggfeat.storage.files import new_file

NAME = "curves.png"


def plot(folder: Path) -> Path:
    """Draw a run's loss and accuracies over its updates to curves.png in its folder.

    Raises TrainingError if the folder holds no log, OptionError if matplotlib is not there.
    """
    lines = read_log(folder)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionError("--plot needs matplotlib: pip install 'vggfeat[plot]'") from error
    train = _lines_with(lines, "train", {"step", "loss"})
    epochs = _lines_with(lines, "epoch", {"step", "loss", "rate"})
    if not train and not epochs:
        raise TrainingError(f"{folder}: nothing to draw yet.")
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(_of(train, "step"), _of(train, "loss"), color="0.7", label="20 updates")
    loss.plot(_of(epochs, "step"), _of(epochs, "loss"), color="C0", label="epoch")
    loss.set(xlabel="updates", ylabel="training loss", ylim=(0, None))
    for name, label, style in (
        ("top5", "top-5, validation", "C2-"),
        ("top1", "top-1, validation", "C1-"),
        ("train_top1", "top-1, training crops", "C1--"),
        ("localised", "localised, validation", "C1-"),
        ("train_localised", "localised, training crops", "C1--"),
    ):
        if not epochs or not all(name in line for line in epochs):
            continue
        values = [100 * value for value in _of(epochs, name)]
        accuracy.plot(_of(epochs, "step"), values, style, label=label)
    accuracy.set(xlabel="updates", ylabel="accuracy, %", ylim=(0, 100))
    for before, line in zip(epochs, epochs[1:], strict=False):
        if line["rate"] < before["rate"]:  # from the epoch after `before` on
            for axes in (loss, accuracy):
                axes.axvline(before["step"], color="0.5", linestyle=":", linewidth=1)
    for axes in (loss, accuracy):
        if axes.lines:
            axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{folder.name} (dotted: the rate is divided by 10)")
    target = folder / NAME
    with new_file(target) as file:
        figure.savefig(file, format="png", dpi=120)
    return target


def _lines_with(lines: list[dict], kind: str, names: set[str]) -> list[dict]:
    """The lines of a kind that have all these values."""
    return [line for line in lines if line.get("kind") == kind and names <= line.keys()]


def _of(lines: list[dict], name: str) -> list[float]:
    return [line[name] for line in lines]
