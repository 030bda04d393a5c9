"""The figure of `svm-plane`: how many times as fast as LinearSVC each size is, as colours.

Shapes: A numbers of pictures, B dimensions.
"""

import logging
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.speed.record import SpeedRecord
from vggfeat.benchmarks.speed.svm_plane import CLOCKS, SETTINGS
from vggfeat.errors import OptionError
from vggfeat.report.figures.drawing import drawing
from vggfeat.storage.files import new_file

log = logging.getLogger(__name__)

LARGEST = 100.0  # times as fast, where the colours end
GROUND, FAINT = "white", "#5f5f5f"


def write(record: SpeedRecord, folder: Path) -> Path | None:
    """Draw a record of `svm-plane` beside it; None, with a line in the log, without matplotlib."""
    path = folder / record.name / f"{record.device}.png"
    try:
        with drawing(), new_file(path) as file:
            _figure(record).savefig(file, format="png", dpi=110, facecolor=GROUND)
    except OptionError as error:
        log.warning("%s: not drawn: %s", path, error)
        return None
    return path


def ratios(record: SpeedRecord, quantity: str) -> tuple[list[int], list[int], np.ndarray]:
    """Pictures [A], dimensions [B] and ratios [A, B] of a quantity; NaN where none was measured."""
    sizes = {
        f"vggfeat, {name}": (size["num_pictures"], size["dim"])
        for name, size in record.settings.items()
        if isinstance(size, dict)
    }
    pictures, dims = (sorted({size[i] for size in sizes.values()}) for i in (0, 1))
    plane = np.full((len(pictures), len(dims)), np.nan)
    for row in record.rows:
        if row.quantity == quantity and row.ratio and row.contender in sizes:
            n, d = sizes[row.contender]
            plane[pictures.index(n), dims.index(d)] = row.ratio.median
    return pictures, dims, plane


def _figure(record: SpeedRecord):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    norm = TwoSlopeNorm(0, vmin=-1, vmax=np.log10(LARGEST))  # of powers of ten: white is 1
    grid = figure.subplots(len(SETTINGS), len(CLOCKS), squeeze=False)
    for axes_of_row, setting in zip(grid, SETTINGS, strict=True):
        for axes, clock in zip(axes_of_row, CLOCKS, strict=True):
            pictures, dims, plane = ratios(record, f"fits/{clock}, {setting}")
            image = _draw(axes, pictures, dims, plane, norm)
            axes.set_title(f"fits per {clock}, {setting}", fontsize=11)
    bar = figure.colorbar(image, ax=grid, shrink=0.7, ticks=[-1, np.log10(0.5), 0, 1, 2])
    bar.ax.set_yticklabels(["0.1", "0.5", "1: as fast", "10", "100"])
    bar.ax.axhline(0, color="black", linewidth=1.5)
    machine = f"{record.hardware['cpu']}, {record.hardware['cores']} cores"
    figure.suptitle(f"Linear SVMs: how many times as fast as LinearSVC ({machine})", fontsize=13)
    return figure


def _draw(axes, pictures: list[int], dims: list[int], plane: np.ndarray, norm):
    """A cell for each size, whose edges lie halfway between sizes on logarithmic axes."""
    with np.errstate(invalid="ignore"):
        shown = np.log10(plane).clip(-1, np.log10(LARGEST))
    image = axes.pcolormesh(
        _edges(dims), _edges(pictures), shown, cmap="RdBu", norm=norm, edgecolors="white"
    )
    axes.set(xscale="log", yscale="log", xlabel="dimensions", ylabel="pictures")
    for which, ticks in ((axes.xaxis, dims), (axes.yaxis, pictures)):
        which.set_ticks(ticks, [f"{value:,}" for value in ticks])
        which.set_ticks([], minor=True)
    for (row, column), ratio in np.ndenumerate(plane):
        if np.isfinite(ratio):
            slower = ratio < 1
            axes.text(
                dims[column], pictures[row], f"{ratio:.3g}" if ratio < 100 else f"{ratio:.0f}",
                ha="center", va="center", fontsize=10, weight="bold" if slower else "normal",
                color="white" if ratio > 12 or ratio < 0.3 else "black",
            )  # fmt: skip
    return image


def _edges(values: list[int]) -> np.ndarray:
    """Edges of cells around these values, halfway between them on a logarithmic axis."""
    logs = np.log(values)
    if len(logs) == 1:
        return np.exp(np.r_[logs - 0.5, logs + 0.5])
    middles = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.r_[2 * logs[0] - middles[0], middles, 2 * logs[-1] - middles[-1]])
