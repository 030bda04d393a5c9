"""Sheets to look at: predicted boxes on their pictures.

Pictures are RGB in, one RGB sheet out. Boxes are (left, upper, right, lower) in pixels of their
picture, right and lower outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = tuple[float, float, float, float]

CELL = 220  # side of the square that a picture is fitted into, in pixels
GAP, LINE = 14, 22  # between tiles; height of a line of text
TEXT = (30, 30, 30)
PAPER = (235, 235, 235)  # not white, so that pictures with a white ground have an edge
# Green and orange differ in brightness and in line, too, for those who do not tell their hues.
TRUE, TRUE_RIM = (0, 150, 60), (255, 255, 255)
PREDICTED, PREDICTED_RIM = (255, 160, 0), (0, 0, 0)
HIT = (0, 90, 180)
THICK, DASH = 3, 9  # pixels; dashes are about that long


@dataclass(frozen=True)
class Cell:
    """A picture with its boxes, and whether the prediction counts as a hit."""

    picture: Image.Image
    true_boxes: Sequence[Box]
    predicted: Box | None
    title: str
    hit: bool


def box_sheet(cells: Sequence[Cell], *, columns: int = 6) -> Image.Image:
    """Pictures with their true boxes and the predicted one, `columns` in a row.

    Of a box that reaches out of its picture the part within is outlined; where there is none,
    nothing is. Raises ValueError if there are no cells.
    """
    if not cells:
        raise ValueError("a sheet needs at least one cell")
    swatch, box = Image.new("RGB", (40, LINE), (150, 150, 150)), (4, 4, 36, LINE - 4)
    true = _with_boxes(swatch, swatch.size, [box], None)
    predicted = _with_boxes(swatch, swatch.size, [], box)
    hits = f"hits: {sum(cell.hit for cell in cells)} of {len(cells)}"
    legend = _side_by_side([true, "true box", predicted, "predicted box", hits])
    return _sheet(legend, [_cell_tile(cell) for cell in cells], columns)


def _cell_tile(cell: Cell) -> Image.Image:
    size = _fitted(cell.picture.size, CELL)
    shown = _with_boxes(cell.picture, size, cell.true_boxes, cell.predicted)
    tile = _framed(shown, (CELL, CELL), lines=1)
    draw, top = ImageDraw.Draw(tile), CELL + 5
    draw.rectangle((0, top, 35, top + LINE - 6), fill=HIT if cell.hit else PAPER, outline=HIT)
    word, colour = ("hit", PAPER) if cell.hit else ("miss", HIT)
    draw.text((18, top + 8), word, fill=colour, font=_font(12), anchor="mm")
    title = _cut(cell.title, _font(14), CELL - 42)
    draw.text((42, top + 8), title, fill=TEXT, font=_font(14), anchor="lm")
    return tile


def _with_boxes(
    picture: Image.Image, size: tuple[int, int], true_boxes: Sequence[Box], predicted: Box | None
) -> Image.Image:
    """The picture at this size with its boxes drawn."""
    shown = picture.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(shown)
    for box in true_boxes:
        if corners := _corners(box, picture.size, size):
            _draw_true(draw, corners)
    if predicted is not None and (corners := _corners(predicted, picture.size, size)):
        _draw_predicted(draw, corners)
    return shown


def _corners(
    box: Box, size: tuple[int, int], shown: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """The first and last columns and rows of the box within a picture of size, where shown."""
    (width, height), (across, down) = size, shown
    left, right = max(box[0], 0) * across / width, min(box[2], width) * across / width
    upper, lower = max(box[1], 0) * down / height, min(box[3], height) * down / height
    if not (left < right and upper < lower):
        return None
    left, upper = min(round(left), across - 1), min(round(upper), down - 1)
    return left, upper, max(left, round(right) - 1), max(upper, round(lower) - 1)


def _draw_true(draw: ImageDraw.ImageDraw, corners: tuple[int, int, int, int]) -> None:
    left, upper, right, lower = corners
    for inset in (-1, THICK, *reversed(range(THICK))):  # the rims first, green goes over them
        colour = TRUE if 0 <= inset < THICK else TRUE_RIM
        ring = (left + inset, upper + inset, right - inset, lower - inset)
        if ring[0] <= ring[2] and ring[1] <= ring[3]:
            draw.rectangle(ring, outline=colour)


def _draw_predicted(draw: ImageDraw.ImageDraw, corners: tuple[int, int, int, int]) -> None:
    """Dashed, so that a true box beneath still shows."""
    left, upper, right, lower = corners
    bars, more = [], THICK - 1
    for start, stop in _dashes(left, right):
        bars += [(start, upper, stop, upper + more), (start, lower - more, stop, lower)]
    for start, stop in _dashes(upper, lower):
        bars += [(left, start, left + more, stop), (right - more, start, right, stop)]
    for x0, y0, x1, y1 in bars:
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), fill=PREDICTED_RIM)
    for bar in bars:
        draw.rectangle(bar, fill=PREDICTED)


def _dashes(first: int, last: int) -> list[tuple[int, int]]:
    """An odd number of equal parts, every other one: both corners have a dash."""
    count = 2 * round((last - first) / (2 * DASH)) + 1
    ends = np.linspace(first, last, count + 1).round().astype(int).tolist()
    return list(zip(ends[::2], ends[1::2], strict=True))


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of a picture that just fits into a square."""
    longest = max(size)
    return max(1, round(side * size[0] / longest)), max(1, round(side * size[1] / longest))


def _framed(shown: Image.Image, size: tuple[int, int], *, lines: int) -> Image.Image:
    """The picture in the middle of a field of this size, with room below for lines of text."""
    width, height = size
    tile = Image.new("RGB", (width, height + 4 + lines * LINE), PAPER)
    tile.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2))
    return tile


def _side_by_side(parts: Sequence[Image.Image | str]) -> Image.Image:
    """A line of small pictures and words; a picture stands close to the words after it."""
    font = _font(15)
    widths = [p.width + 8 if isinstance(p, Image.Image) else font.getlength(p) + 24 for p in parts]
    line = Image.new("RGB", (round(sum(widths)), LINE), PAPER)
    x = 0.0
    for part, width in zip(parts, widths, strict=True):
        if isinstance(part, Image.Image):
            line.paste(part, (round(x), (LINE - part.height) // 2))
        else:
            ImageDraw.Draw(line).text((x, LINE // 2), part, fill=TEXT, font=font, anchor="lm")
        x += width
    return line


def _sheet(legend: Image.Image, tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    """The legend, and below it tiles of one size in rows."""
    columns = min(columns, len(tiles))
    across, down = tiles[0].width + GAP, tiles[0].height + GAP
    top = legend.height + 2 * GAP
    width = GAP + max(columns * across, legend.width)
    sheet = Image.new("RGB", (width, top + -(-len(tiles) // columns) * down), PAPER)
    sheet.paste(legend, (GAP, GAP))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + number % columns * across, top + number // columns * down))
    return sheet


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)
