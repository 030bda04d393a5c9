"""Sheets of boxes and of score maps: what is drawn where, in pixels of picture and sheet.

Colours are those of the rendered sheet, as people see it.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

from vggfeat.benchmarks.ilsvrc import canvas, sheets
from vggfeat.benchmarks.ilsvrc.canvas import write_png
from vggfeat.benchmarks.ilsvrc.sheets import Cell, ScoreMap, box_sheet, score_map_sheet
from vggfeat.errors import OptionError

GREY = (90, 90, 90)
NUM_BARS = 1  # axes of a sheet of maps that show no picture


def cell(*, size=(64, 64), true=(), predicted=None, title="", hit=False) -> Cell:
    return Cell(Image.new("RGB", size, GREY), true, predicted, title, hit)


def rendered(figure) -> np.ndarray:
    """The sheet's pixels [h, w, 3] of uint8."""
    with canvas.drawing():
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def shown(figure, number: int = 0) -> np.ndarray:
    """The pixels of a picture of the sheet, as large as it is drawn."""
    pixels, area = rendered(figure), figure.axes[number].get_window_extent()
    top = len(pixels) - area.y1
    rows, columns = (
        slice(round(top), round(top + area.height)),
        slice(round(area.x0), round(area.x1)),
    )
    return pixels[rows, columns]


def is_colour(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Where a pixel is of this colour, but for rounding."""
    expected = np.array(to_rgb(colour)) * 255
    return (abs(pixels.astype(int) - expected) <= 2).all(axis=-1)


def boxes(axes, colour: str) -> list[list[float]]:
    """(left, upper, right, lower) of the boxes of a colour, in pixels of the picture."""
    patches = [patch for patch in axes.patches if patch.get_edgecolor()[:3] == to_rgb(colour)]
    return [[*p.get_xy(), p.get_x() + p.get_width(), p.get_y() + p.get_height()] for p in patches]


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


# Boxes.


def test_boxes_are_at_the_pixels_of_their_picture():
    wide = cell(
        size=(440, 220), true=[(0, 0, 440, 220), (40, 20, 80, 40)], predicted=(1, 2, 30, 40)
    )
    (axes,) = box_sheet([wide]).axes
    assert boxes(axes, sheets.TRUE) == [[0, 0, 440, 220], [40, 20, 80, 40]]
    assert boxes(axes, sheets.PREDICTED) == [[1, 2, 30, 40]]
    assert axes.get_xlim() == (0, 440) and axes.get_ylim() == (220, 0)


def test_a_true_box_is_drawn_at_the_enlarged_edges_of_its_pixels():
    green = is_colour(shown(box_sheet([cell(true=[(16, 8, 48, 60)])])), sheets.TRUE)
    rows, columns = np.nonzero(green)
    # 220 / 64 = 3.4375 pixels a pixel; the line of three pixels lies over the edge.
    extent = columns.min(), rows.min(), columns.max(), rows.max()
    assert extent == pytest.approx((55, 27.5, 165, 206), abs=2)
    assert green[100, 54:57].any() and not green[100, 60:160].any()


def test_a_picture_that_is_not_square_keeps_its_aspect_and_lies_in_the_middle():
    figure = box_sheet([cell(size=(440, 220))])
    area, height = figure.axes[0].get_window_extent(), figure.get_size_inches()[1] * canvas.DPI
    top = canvas.LINE + 2 * canvas.GAP
    assert (area.x0, area.width) == pytest.approx((canvas.GAP, sheets.CELL))
    assert (height - area.y1, area.height) == pytest.approx((top + 55, sheets.CELL / 2))


def test_a_predicted_box_ends_at_its_pictures_edge():
    wide = cell(size=(440, 220), predicted=(220.0, -900.0, 2000.0, 110.0))
    assert boxes(box_sheet([wide]).axes[0], sheets.PREDICTED) == [[220, 0, 440, 110]]


def test_predicted_boxes_are_dashed_and_let_a_true_box_show():
    box = (16, 16, 48, 48)
    side = shown(box_sheet([cell(true=[box], predicted=box)]))[55:165, 55]
    assert 30 < is_colour(side, sheets.PREDICTED).sum() < 90
    assert is_colour(side, sheets.TRUE).sum() > 10


@pytest.mark.parametrize(
    "box",
    [None, (70.0, 0.0, 90.0, 20.0), (-9.0, 5.0, 0.0, 9.0), (40.0, 40.0, 30.0, 50.0)]
    + [(float("nan"), 0.0, 9.0, 9.0)],
)
def test_no_part_within_the_picture_draws_nothing(box):
    figure = box_sheet([cell(predicted=box)])
    assert not figure.axes[0].patches and (shown(figure) == GREY).all()


@pytest.mark.parametrize("box", [(3.0, 3.0, 3.01, 3.01), (63.99, 63.99, 64, 64), (0, 0, 64, 0.1)])
def test_the_smallest_boxes_are_seen(box):
    for figure, colour in (
        (box_sheet([cell(predicted=box)]), sheets.PREDICTED),
        (box_sheet([cell(true=[box])]), sheets.TRUE),
    ):
        legend = slice(canvas.GAP, canvas.GAP + canvas.LINE)
        pixels = rendered(figure).copy()
        pixels[legend] = 0
        assert is_colour(pixels, colour).any()


def test_hits_and_misses_look_different_and_are_counted():
    figure = box_sheet([cell(hit=True), cell(hit=False), cell(hit=True)])
    assert "hits: 2 of 3, overlap above 0.5" in texts(figure)
    assert [text for text in texts(figure) if text in ("hit", "miss")] == ["hit", "miss", "hit"]
    grounds = [tag.get_facecolor()[:3] for tag in figure.artists if isinstance(tag, Rectangle)]
    assert grounds == [to_rgb(colour) for colour in (sheets.HIT, canvas.PAPER, sheets.HIT)]


def test_the_legend_names_both_kinds_of_boxes():
    figure = box_sheet([cell()])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["true box", "predicted box"]
    colours = [handle.get_edgecolor()[:3] for handle in legend.get_patches()]
    assert colours == [to_rgb(sheets.TRUE), to_rgb(sheets.PREDICTED)]


def test_the_number_at_a_box_is_said_to_be_its_overlap():
    one = replace(cell(title="goldfish, Carassius auratus"), overlap=0.625)
    assert {"overlap 0.62", "goldfish, Carassius auratus"} <= set(texts(box_sheet([one])))


def test_a_long_title_is_cut_and_stays_in_its_cell():
    title = "Pembroke, Pembroke Welsh corgi, 0.71, and more of this"
    figure = box_sheet([cell(title=title), cell(title="short")])
    (cut,) = (text for text in figure.texts if text.get_text().endswith("…"))
    area = cut.get_window_extent(figure.canvas.get_renderer())
    assert area.x0 >= canvas.GAP - 1 and area.x1 <= canvas.GAP + sheets.CELL + 0.5
    assert title.startswith(cut.get_text()[:-1]) and len(cut.get_text()) > 15
    assert "short" in texts(figure)


@pytest.mark.parametrize("title", ["鸟类", "птица", "عصفور", "$x_1$ \\frac", "a\nb", "😀", ""])
def test_titles_may_be_in_any_script(title, tmp_path):
    write_png(box_sheet([cell(title=title)]), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.format == "PNG"


def test_rows_are_as_long_as_asked_for():
    seven = [cell() for _ in range(7)]
    assert len(box_sheet(seven).axes) == 7
    sizes = [rendered(box_sheet(seven, columns=columns)).shape for columns in (6, 3, 7)]
    assert sizes[0][1] == canvas.GAP + 6 * (sheets.CELL + canvas.GAP)
    row = sheets.CELL + 4 + 2 * canvas.LINE + canvas.GAP
    assert sizes[1][0] - sizes[2][0] == 2 * row


def test_the_same_sheet_is_the_same_file_whatever_the_users_settings_are(tmp_path):
    import matplotlib

    cells = [cell(true=[(3, 4, 30, 40)], predicted=(5, 5, 40, 40), title="ant", hit=True)]
    write_png(box_sheet(cells), tmp_path / "a.png")
    odd = {"savefig.dpi": 33, "font.size": 30, "lines.linewidth": 9, "axes.facecolor": "red"}
    with matplotlib.rc_context(odd):
        write_png(box_sheet(cells), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_an_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="at least one cell"):
        box_sheet([])
    with pytest.raises(ValueError, match="at least one map"):
        score_map_sheet(Image.new("RGB", (64, 64)), [])


def test_without_matplotlib_a_user_reads_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"pip install 'vggfeat\[plot\]'"):
        box_sheet([cell()])


# Score maps.


def hottest(panel: np.ndarray) -> tuple[float, float]:
    """Middle (x, y) of the pixels nearest to the colours' end, over a grey picture."""
    yellow = panel[..., 0].astype(int) + panel[..., 1] - 2 * panel[..., 2].astype(int)
    rows, columns = np.nonzero(yellow >= yellow.max() - 3)
    return columns.mean() + 0.5, rows.mean() + 0.5


def coloured(panel: np.ndarray) -> np.ndarray:
    """Where the map lies: the washed grey picture around has equal channels."""
    return np.ptp(panel, axis=-1) > 0


def one_hot(shape: tuple[int, int], i: int, j: int) -> np.ndarray:
    values = np.zeros(shape)
    values[i, j] = 0.5
    return values


def test_the_hottest_pixel_is_at_the_centre_of_its_window():
    picture = Image.new("RGB", (600, 400), GREY)  # 384 x 256 at scale 256, shown at 320 x 213
    # Window (2, 7) reaches from x 224 to 352 and y 64 to 192: its centre is (288, 128).
    panel = shown(score_map_sheet(picture, [ScoreMap(one_hot((5, 9), 2, 7), 256, 128, "")]), 1)
    assert hottest(panel) == pytest.approx((288 * 320 / 384, 128 * 213 / 256), abs=1)


def test_the_hottest_pixel_in_an_upright_picture():
    picture = Image.new("RGB", (100, 190), GREY)  # 96 x 182 at scale 96, shown at 168 x 320
    # Window (3, 1) reaches from x 32 to 96 and y 96 to 160: its centre is (64, 128).
    panel = shown(score_map_sheet(picture, [ScoreMap(one_hot((4, 2), 3, 1), 96, 64, "")]), 1)
    x, y = 64 * 168 / 96, 128 * 320 / 182
    # The last centre's colour goes on for the half stride that is left.
    columns = np.nonzero(coloured(panel))[1]
    assert columns.max() == pytest.approx(x + 16 * 168 / 96, abs=2)
    yellow = (panel[..., 0].astype(int) - panel[..., 2])[: round(y) + 1, : round(x) + 1]
    assert np.unravel_index(yellow.argmax(), yellow.shape) == pytest.approx((y, x), abs=2)


@pytest.mark.parametrize("shape, size", [((1, 1), (64, 64)), ((1, 3), (130, 64))])
def test_margins_without_a_score_are_washed_out(shape, size):
    picture = Image.new("RGB", size, GREY)
    panel = shown(score_map_sheet(picture, [ScoreMap(np.full(shape, 0.2), 64, 64, "")]), 1)
    across, down = panel.shape[1] / size[0], panel.shape[0] / size[1]
    rows, columns = np.nonzero(coloured(panel))
    extent = columns.min(), rows.min(), columns.max(), rows.max()
    # Centres from 32 to 32 * count, and 16 pixels around them.
    expected = (16 * across, 16 * down, (32 * shape[1] + 16) * across, (32 * shape[0] + 16) * down)
    assert extent == pytest.approx(expected, abs=1.5)
    assert (panel[~coloured(panel)] == 189).mean() > 0.95  # 90 + (255 - 90) * 0.6; edges are mixed


def test_scores_between_two_centres_are_interpolated():
    picture = Image.new("RGB", (96, 64), GREY)  # two windows, centres at x 32 and 64
    two, half = (ScoreMap(np.array([values]), 64, 64, "") for values in ((0, 0.8), (0.4, 0.4)))
    figure = score_map_sheet(picture, [two, half])
    first, second = (shown(figure, number).astype(int) for number in (1, 2))
    assert abs(first[106, 160] - second[106, 160]).max() <= 2
    assert abs(first[106, 100] - first[106, 60]).max() <= 2  # beyond the first centre: as at it
    assert abs(first[106, 220] - second[106, 220]).max() > 20


def test_maps_share_one_range_and_zeros_are_at_its_lower_end():
    picture = Image.new("RGB", (64, 64), (128, 128, 128))
    maps = [ScoreMap(np.full((1, 1), value), 64, 64, "") for value in (0.0, 0.2, 0.8)]
    figure = score_map_sheet(picture, maps)
    drawn = [shown(figure, number)[160, 160].astype(float) for number in (1, 2, 3)]
    for pixel, share in zip(drawn, (0.0, 0.25, 1.0), strict=True):
        colour = 255 * np.array(colormaps[sheets.COLOURS](share)[:3])
        expected = sheets.OPACITY * colour + (1 - sheets.OPACITY) * 128
        assert abs(pixel - expected).max() <= 2
    alone = shown(score_map_sheet(picture, maps[:1]), 1)
    assert abs(alone[160, 160] - drawn[0]).max() <= 1
    assert "posterior from 0 to 0.8, the highest here" in texts(figure)


def test_the_colour_bar_has_the_colours_of_the_maps():
    picture = Image.new("RGB", (64, 64), (128, 128, 128))
    figure = score_map_sheet(picture, [ScoreMap(np.full((1, 1), 0.8), 64, 64, "")])
    bar, panel = shown(figure, -1), shown(figure, 1)
    assert abs(bar[8, -2].astype(int) - panel[160, 160]).max() <= 4


def test_more_than_four_panels_wrap_and_the_first_is_the_picture():
    picture = Image.new("RGB", (64, 64), (200, 40, 10))
    one = ScoreMap(np.full((1, 1), 0.5), 64, 64, "a title that is far too long for its panel " * 3)
    figures = [score_map_sheet(picture, [one] * count) for count in (3, 4)]
    four, five = map(rendered, figures)
    assert [len(figure.axes) - NUM_BARS for figure in figures] == [4, 5]
    assert four.shape[1] == five.shape[1] == canvas.GAP + 4 * (sheets.PANEL + canvas.GAP)
    assert len(five) - len(four) == sheets.PANEL + 4 + 2 * canvas.LINE + canvas.GAP
    assert (shown(figures[0]) == (200, 40, 10)).all()
    top = 2 * canvas.GAP + canvas.LINE
    between = four[top:, canvas.GAP + sheets.PANEL :][:, : canvas.GAP]
    assert is_colour(between, canvas.PAPER).all()


def test_a_map_of_another_scale_is_refused():
    with pytest.raises(ValueError, match=r"300x200 pixels and a window of 64.*\(5, 8\)"):
        score_map_sheet(Image.new("RGB", (300, 200)), [ScoreMap(np.zeros((6, 8)), 200, 64, "")])
