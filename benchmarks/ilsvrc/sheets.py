"""Sheets to look at: predicted boxes on their pictures, class scores over a picture.

Pictures are RGB in, one RGB sheet out. Boxes are (left, upper, right, lower) in pixels of their
picture, right and lower outside; score maps are [h, w], rows first, as the dense net gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vggfeat.images import rescaled_size
from vggfeat.vgg import STRIDE

Box = tuple[float, float, float, float]

CELL, PANEL = 220, 320  # side of the square that a picture is fitted into, in pixels
PANELS_A_ROW = 4
GAP, LINE = 14, 22  # between tiles; height of a line of text
TEXT, FAINT = (30, 30, 30), (95, 95, 95)
PAPER = (235, 235, 235)  # not white, so that pictures with a white ground have an edge
# Green and orange differ in brightness and in line, too, for those who do not tell their hues.
TRUE, TRUE_RIM = (0, 150, 60), (255, 255, 255)
PREDICTED, PREDICTED_RIM = (255, 160, 0), (0, 0, 0)
HIT = (0, 90, 180)
THICK, DASH = 3, 9  # pixels; dashes are about that long
# Viridis at 0, 1/4, ... 1: brightness rises evenly with the score.
RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
OPACITY = 0.65  # of a map over its picture
WASHED = 0.6  # how much white goes over a picture where there is no score


@dataclass(frozen=True)
class Cell:
    """A picture with its boxes, and whether the prediction counts as a hit."""

    picture: Image.Image
    true_boxes: Sequence[Box]
    predicted: Box | None
    title: str
    hit: bool


@dataclass(frozen=True)
class ScoreMap:
    """A class's posteriors at the positions of the dense net: values [h, w], 0 to 1."""

    values: np.ndarray
    scale: int  # Q, the shortest side of the picture that the net saw
    window: int  # side of the net's input, in pixels at that scale
    title: str


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


def score_map_sheet(picture: Image.Image, maps: Sequence[ScoreMap]) -> Image.Image:
    """The picture, and for each map the picture with the map over it, four panels in a row.

    Colours run from 0 to the maximum of all maps. A score belongs to the centre of its window and
    is interpolated between centres; further than half a stride outside of them the picture is
    washed out. Raises ValueError if there are no maps, or one does not fit its scale and window.
    """
    if not maps:
        raise ValueError("a sheet needs at least one map")
    maximum = max(float(one.values.max()) for one in maps)
    shown = picture.resize(_fitted(picture.size, PANEL), Image.Resampling.LANCZOS)
    tiles = [_panel_tile(shown, "The picture", f"{picture.width} x {picture.height} pixels")]
    for one in maps:
        h, w = one.values.shape
        geometry = f"scale {one.scale}: {w} x {h} windows of {one.window} pixels"
        tiles.append(_panel_tile(_with_map(picture, shown, one, maximum), one.title, geometry))
    ramp = np.tile(np.linspace(0, 1, 160), (LINE - 6, 1))
    bar = Image.fromarray(_blended(np.full(ramp.shape, 128.0), ramp))  # as over a middle grey
    washed = Image.new("RGB", (LINE - 6, LINE - 6), (round(128 + 127 * WASHED),) * 3)
    reach = f"posterior from 0 to {maximum:.2g}, the highest here"
    legend = _side_by_side([bar, reach, washed, "no window is centred here"])
    return _sheet(legend, tiles, PANELS_A_ROW)


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


def _with_map(
    picture: Image.Image, shown: Image.Image, score_map: ScoreMap, maximum: float
) -> Image.Image:
    """The shown picture in grey with the map over it, washed out where there is no score."""
    size = rescaled_size(picture.size, score_map.scale)
    expected = tuple((side - score_map.window) // STRIDE + 1 for side in size[::-1])
    if score_map.values.shape != expected:
        raise ValueError(
            f"a map of {score_map.values.shape} does not fit a picture of {size[0]}x{size[1]}"
            f" pixels and a window of {score_map.window}: that gives {expected}"
        )
    rows, has_row = _weights(shown.height, size[1], score_map.window, expected[0])
    columns, has_column = _weights(shown.width, size[0], score_map.window, expected[1])
    scores = rows @ score_map.values @ columns.T
    grey = np.asarray(shown.convert("L"), float)
    washed = np.rint(grey + (255 - grey) * WASHED).astype(np.uint8)
    has_score = has_row[:, None] & has_column
    flat = 128 + (grey - 128) / 2  # less contrast, so that colours look as in the legend's bar
    coloured = _blended(flat, scores / maximum if maximum > 0 else scores)
    return Image.fromarray(np.where(has_score[..., None], coloured, washed[..., None]))


def _weights(pixels: int, side: int, window: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear interpolation along one side of a panel, which shows `side` pixels in `pixels`.

    Returns the weights [pixels, count] of the `count` positions, and [pixels] whether a window's
    centre is within half a stride. Window j reaches from 32 j to 32 j + window.
    """
    at = (np.arange(pixels) + 0.5) * side / pixels  # a pixel's own centre is half a pixel on
    position = (at - window / 2) / STRIDE
    nearest = position.clip(0, count - 1)
    weights = (1 - abs(nearest[:, None] - np.arange(count))).clip(min=0)
    return weights, abs(position - nearest) <= 0.5


def _blended(grey: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours of shares 0 to 1 [h, w] of the maximum over grey [h, w]: [h, w, 3] of uint8."""
    anchors = np.linspace(0, 1, len(RAMP))
    colours = np.stack([np.interp(share, anchors, channel) for channel in RAMP.T], axis=-1)
    return np.rint(OPACITY * colours + (1 - OPACITY) * grey[..., None]).astype(np.uint8)


def _panel_tile(shown: Image.Image, title: str, geometry: str) -> Image.Image:
    tile = _framed(shown, (PANEL, shown.height), lines=2)
    draw = ImageDraw.Draw(tile)
    for line, text, font, colour in ((0, title, _font(15), TEXT), (1, geometry, _font(13), FAINT)):
        y = shown.height + 2 + line * (LINE - 2) + LINE // 2
        draw.text((0, y), _cut(text, font, PANEL), fill=colour, font=font, anchor="lm")
    return tile


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
