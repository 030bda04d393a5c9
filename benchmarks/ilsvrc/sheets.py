"""Sheets to look at: predicted boxes on their pictures, class scores over a picture.

Boxes are (left, upper, right, lower) in pixels of their picture, right and lower outside; score
maps are [h, w], rows first, as the dense net gives them. A sheet is a matplotlib figure whose axes
show one picture each, in the coordinates of its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vggfeat.benchmarks.ilsvrc.canvas import (
    FAINT,
    PAPER,
    Sheet,
    fitted,
    linewidth,
)
from vggfeat.benchmarks.ilsvrc.predicted_boxes import grid_of
from vggfeat.boxes import MIN_IOU
from vggfeat.images import rescaled_size
from vggfeat.report.figures.drawing import drawing
from vggfeat.vgg import STRIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.patches import Rectangle

Box = tuple[float, float, float, float]

CELL, PANEL = 220, 320  # side of the square that a picture is fitted into, in pixels
PANELS_A_ROW = 4
# Green and orange differ in brightness and in line, too, for those who do not see their hues.
TRUE, TRUE_RIM = "#00963c", "white"
PREDICTED, PREDICTED_RIM = "#ffa000", "black"
HIT = "#005ab4"
THICK, RIM = 3, 5  # pixels: a box's line, and what lies below it
DASHES = (3, 2.2)  # lengths of dash and gap, in widths of the line
COLOURS = "viridis"  # brightness rises evenly with the score
OPACITY = 0.65  # of a map over its picture
WASHED = 0.6  # how much white goes over a picture where there is no score


@dataclass(frozen=True)
class Cell:
    """A picture with its boxes, and whether the prediction counts as a hit.

    overlap is the largest of the predicted box with a true one, intersection over union.
    """

    picture: Image.Image
    true_boxes: Sequence[Box]
    predicted: Box | None
    title: str  # the words of the class
    hit: bool
    overlap: float = 0.0


@dataclass(frozen=True)
class ScoreMap:
    """A class's posteriors at the positions of the dense net: values [h, w], 0 to 1."""

    values: np.ndarray
    scale: int  # Q, the shortest side of the picture that the net saw
    window: int  # side of the net's input, in pixels at that scale
    title: str


def box_sheet(cells: Sequence[Cell], *, columns: int = 6) -> Figure:
    """Pictures with their true boxes and the predicted one, `columns` in a row.

    Of a box that reaches out of its picture the part within is outlined; where there is none,
    nothing is. Raises ValueError if there are no cells, OptionError without matplotlib.
    """
    if not cells:
        raise ValueError("a sheet needs at least one cell")
    with drawing():
        sheet = Sheet(len(cells), CELL, height=CELL, lines=2, columns=columns)
        handles = [_true((0, 0), 1, 1), _predicted((0, 0), 1, 1)]
        hits = f"hits: {sum(cell.hit for cell in cells)} of {len(cells)}"
        sheet.legend(handles, ["true box", "predicted box"], f"{hits}, overlap above {MIN_IOU:g}")
        for number, cell in enumerate(cells):
            axes = sheet.picture(number, cell.picture)
            for box in cell.true_boxes:
                _outline(axes, _true, box, cell.picture.size)
            if cell.predicted is not None:
                _outline(axes, _predicted, cell.predicted, cell.picture.size)
            word, ink, ground = ("hit", PAPER, HIT) if cell.hit else ("miss", HIT, PAPER)
            sheet.tag(number, word, color=ink, facecolor=ground, edgecolor=HIT)
            sheet.title(number, f"overlap {cell.overlap:.2f}", indent=42, color=FAINT)
            sheet.title(number, cell.title, line=1)
        return sheet.figure


def score_map_sheet(picture: Image.Image, maps: Sequence[ScoreMap]) -> Figure:
    """The picture, and for each map the picture with the map over it, four panels in a row.

    Colours run from 0 to the maximum of all maps. A score belongs to the centre of its window and
    is interpolated between centres; further than half a stride outside of them the picture is
    washed out. Raises ValueError if there are no maps, or one does not fit its scale and window,
    OptionError without matplotlib.
    """
    if not maps:
        raise ValueError("a sheet needs at least one map")
    for score_map in maps:
        _check_fits(score_map, picture.size)
    maximum = max(float(score_map.values.max()) for score_map in maps)
    with drawing():
        height = fitted(picture, PANEL)[1]
        sheet = Sheet(1 + len(maps), PANEL, height=height, lines=2, columns=PANELS_A_ROW)
        sheet.picture(0, picture)
        sheet.title(0, "The picture")
        sheet.title(0, f"{picture.width} x {picture.height} pixels", line=1, color=FAINT)
        for number, score_map in enumerate(maps, 1):
            h, w = score_map.values.shape
            image = _draw_map(sheet, number, picture, score_map, maximum)
            sheet.title(number, score_map.title)
            geometry = f"scale {score_map.scale}: {w} x {h} windows of {score_map.window} pixels"
            sheet.title(number, geometry, line=1, color=FAINT)
        sheet.colour_bar(image, opacity=OPACITY, swatch=str((1 + WASHED) / 2))
        return sheet.figure


def _outline(axes: Axes, style: Any, box: Box, size: tuple[int, int]) -> None:
    """Draw the part of a box within a picture of this (width, height), if there is any.

    It is at least a pixel of the sheet wide and high, so that it is seen.
    """
    left, upper = max(box[0], 0), max(box[1], 0)
    right, lower = min(box[2], size[0]), min(box[3], size[1])
    if left < right and upper < lower:
        pixel = max(size) / CELL
        axes.add_patch(style((left, upper), max(right - left, pixel), max(lower - upper, pixel)))


def _true(corner: tuple[float, float], width: float, height: float) -> Rectangle:
    return _box(corner, width, height, color=TRUE, rim=TRUE_RIM, linestyle="solid")


def _predicted(corner: tuple[float, float], width: float, height: float) -> Rectangle:
    """Dashed, so that a true box beneath still shows."""
    dashed = (0, DASHES)
    return _box(corner, width, height, color=PREDICTED, rim=PREDICTED_RIM, linestyle=dashed)


def _box(
    corner: tuple[float, float],
    width: float,
    height: float,
    *,
    color: str,
    rim: str,
    linestyle: Any,
) -> Rectangle:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    below = Stroke(linewidth=linewidth(RIM), foreground=rim)
    return Rectangle(
        corner,
        width,
        height,
        fill=False,
        edgecolor=color,
        linewidth=linewidth(THICK),
        linestyle=linestyle,
        joinstyle="miter",
        capstyle="butt",
        clip_on=False,  # a box at the picture's edge is as thick as others
        path_effects=[below, Normal()],
    )


def _draw_map(
    sheet: Sheet, number: int, picture: Image.Image, score_map: ScoreMap, maximum: float
) -> AxesImage:
    """A panel with the picture in grey and the map over it, washed out where there is no score."""
    from matplotlib.patches import Rectangle

    grey = picture.convert("L")
    washed = grey.point(lambda value: round(value + (255 - value) * WASHED))
    flat = grey.point(lambda value: round(128 + (value - 128) / 2))  # so that colours stay alike
    axes = sheet.picture(number, washed)
    left, right, lower, upper = extent = _extent(score_map, picture.size)
    within = sheet.show(axes, flat)
    scored = Rectangle((left, upper), right - left, lower - upper, transform=axes.transData)
    within.set_clip_path(scored)
    image = axes.imshow(
        score_map.values,
        extent=extent,
        interpolation="bilinear",
        cmap=COLOURS,
        vmin=0,
        vmax=maximum or 1,
        alpha=OPACITY,
        aspect="auto",
    )
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    return image


def _extent(score_map: ScoreMap, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, right, lower and upper edge of a map's positions in pixels of the picture.

    Each position covers a square of one stride around the centre of its window.
    """
    width, height = rescaled_size(size, score_map.scale)
    rows, columns = score_map.values.shape
    across, down = size[0] / width, size[1] / height
    first = (score_map.window - STRIDE) / 2
    right, lower = (first + STRIDE * count for count in (columns, rows))
    return first * across, right * across, lower * down, first * down


def _check_fits(score_map: ScoreMap, size: tuple[int, int]) -> None:
    """Raise ValueError unless the map has the positions of its scale and window."""
    rescaled = rescaled_size(size, score_map.scale)
    expected = grid_of(rescaled, score_map.window)
    if score_map.values.shape != expected:
        raise ValueError(
            f"a map of {score_map.values.shape} does not fit a picture of"
            f" {rescaled[0]}x{rescaled[1]} pixels and a window of {score_map.window}: that gives"
            f" {expected}"
        )
