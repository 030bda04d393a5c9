"""Sheets of boxes and of score maps: where on the sheet things are drawn."""

import numpy as np
import pytest
from PIL import Image

from vggfeat.benchmarks.ilsvrc import sheets
from vggfeat.benchmarks.ilsvrc.sheets import Cell, ScoreMap, box_sheet, score_map_sheet

TOP = sheets.LINE + 2 * sheets.GAP  # of the first row, below the legend
GREY = (90, 90, 90)


def cell(*, size=(64, 64), true=(), predicted=None, title="", hit=False) -> Cell:
    return Cell(Image.new("RGB", size, GREY), true, predicted, title, hit)


def cells_of(sheet: Image.Image) -> np.ndarray:
    """The first row from the first cell's corner on, without the titles: [CELL, w, 3]."""
    return np.asarray(sheet)[TOP : TOP + sheets.CELL, sheets.GAP :]


def is_colour(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (pixels == colour).all(axis=-1)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First and last column and row: (left, upper, right, lower), all inside."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_a_true_box_has_its_edges_on_the_enlarged_edges_of_its_pixels():
    drawn = cells_of(box_sheet([cell(true=[(16, 8, 48, 60)])]))
    green = is_colour(drawn, sheets.TRUE)
    # 220 / 64 = 3.4375 pixels a pixel; the last pixel inside is one before the edge.
    assert extent(green) == (55, 28, 164, 205)
    assert green[100, [55, 164]].all() and not green[100, [54, 165]].any()
    assert not green[100, 60:160].any()


def test_a_picture_that_is_not_square_keeps_its_aspect_and_lies_in_the_middle():
    drawn = cells_of(box_sheet([cell(size=(440, 220), true=[(0, 0, 440, 220), (40, 20, 80, 40)])]))
    assert extent(is_colour(drawn, sheets.TRUE)) == (0, 55, 219, 164)
    assert is_colour(drawn[56, 10:200], sheets.TRUE).all()
    assert is_colour(drawn[55 + 10, 20:40], sheets.TRUE).all()  # of the second box


def test_a_predicted_box_ends_at_its_pictures_edge():
    wide = cell(size=(440, 220), predicted=(220.0, -900.0, 2000.0, 110.0))
    drawn = cells_of(box_sheet([wide, cell()]))
    orange = is_colour(drawn, sheets.PREDICTED)
    assert extent(orange) == (110, 55, 219, 109)
    assert orange[60:105, 219].any() and orange[55, 115:215].any()  # closed at the picture's edge
    outside = drawn[:, sheets.CELL : sheets.CELL + sheets.GAP]
    assert (
        is_colour(outside, sheets.PAPER).all()
        and is_colour(drawn[:55, : sheets.CELL], sheets.PAPER).all()
    )


def test_predicted_boxes_are_dashed_and_let_a_true_box_show():
    box = (16, 16, 48, 48)
    side = cells_of(box_sheet([cell(true=[box], predicted=box)]))[56, 55:165]
    assert 30 < is_colour(side, sheets.PREDICTED).sum() < 80
    assert is_colour(side, sheets.TRUE).sum() > 20


@pytest.mark.parametrize(
    "box",
    [None, (70.0, 0.0, 90.0, 20.0), (-9.0, 5.0, 0.0, 9.0), (40.0, 40.0, 30.0, 50.0)]
    + [(float("nan"), 0.0, 9.0, 9.0)],
)
def test_no_part_within_the_picture_draws_nothing(box):
    drawn = cells_of(box_sheet([cell(predicted=box)]))[:, : sheets.CELL]
    assert is_colour(drawn, GREY).all()


@pytest.mark.parametrize("box", [(3.0, 3.0, 3.01, 3.01), (63.99, 63.99, 64, 64), (0, 0, 64, 0.1)])
def test_the_smallest_boxes_are_seen(box):
    assert is_colour(cells_of(box_sheet([cell(predicted=box)])), sheets.PREDICTED).any()
    assert is_colour(cells_of(box_sheet([cell(true=[box])])), sheets.TRUE).any()


def test_hits_and_misses_look_different_and_are_counted():
    tags = slice(TOP + sheets.CELL, None), slice(sheets.GAP, sheets.GAP + 36)
    blue = [
        is_colour(np.asarray(box_sheet([cell(hit=hit)]))[tags], sheets.HIT).sum()
        for hit in (True, False)
    ]
    assert blue[0] > 2 * blue[1] > 0
    one, both = (np.asarray(box_sheet([cell(hit=True), cell(hit=hit)])) for hit in (False, True))
    assert (one[:TOP] != both[:TOP]).any()


def test_a_long_title_is_cut_and_stays_in_its_cell():
    long = cell(title="Pembroke, Pembroke Welsh corgi, 0.71, and more of this")
    row = np.asarray(box_sheet([long, cell()]))[TOP + sheets.CELL :]
    after = sheets.GAP + sheets.CELL
    assert (row[:, :after] == sheets.TEXT).all(axis=-1).any()
    assert is_colour(row[:, after : after + sheets.GAP], sheets.PAPER).all()
    font = sheets._font(14)
    assert sheets._cut("short", font, 100) == "short"
    cut = sheets._cut("W" * 50, font, 100)
    assert cut.endswith("W…") and 80 < font.getlength(cut) <= 100


def test_rows_are_as_long_as_asked_for():
    seven = [cell() for _ in range(7)]
    assert box_sheet(seven).width == sheets.GAP + 6 * (sheets.CELL + sheets.GAP)
    narrow, wide = box_sheet(seven, columns=3), box_sheet(seven, columns=7)
    row = sheets.CELL + 4 + sheets.LINE + sheets.GAP
    assert narrow.height - wide.height == 2 * row


def test_an_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="at least one cell"):
        box_sheet([])
    with pytest.raises(ValueError, match="at least one map"):
        score_map_sheet(Image.new("RGB", (64, 64)), [])


def panels(sheet: Image.Image, shown: tuple[int, int]) -> list[np.ndarray]:
    """The panels of the first row: [h, w, 3] of int."""
    pixels, step = np.asarray(sheet).astype(int), sheets.PANEL + sheets.GAP
    starts = [sheets.GAP + i * step for i in range(sheet.width // step)]
    offset = (sheets.PANEL - shown[0]) // 2
    return [pixels[TOP : TOP + shown[1], x + offset : x + offset + shown[0]] for x in starts]


def hottest(panel: np.ndarray) -> tuple[float, float]:
    """Middle (x, y) of the pixels nearest to the ramp's end, over a grey picture."""
    yellow = panel[..., 0] + panel[..., 1] - 2 * panel[..., 2]
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
    panel = panels(
        score_map_sheet(picture, [ScoreMap(one_hot((5, 9), 2, 7), 256, 128, "")]), (320, 213)
    )[1]
    assert hottest(panel) == pytest.approx((288 * 320 / 384, 128 * 213 / 256), abs=1)


def test_the_hottest_pixel_in_an_upright_picture():
    picture = Image.new("RGB", (100, 190), GREY)  # 96 x 182 at scale 96, shown at 168 x 320
    # Window (3, 1) reaches from x 32 to 96 and y 96 to 160: its centre is (64, 128).
    panel = panels(
        score_map_sheet(picture, [ScoreMap(one_hot((4, 2), 3, 1), 96, 64, "")]), (168, 320)
    )[1]
    x, y = 64 * 168 / 96, 128 * 320 / 182
    # The last centre's colour goes on for the half stride that is left.
    columns = np.nonzero(coloured(panel))[1]
    assert columns.max() == pytest.approx(x + 16 * 168 / 96, abs=2)
    yellow = (panel[..., 0] - panel[..., 2])[: round(y) + 1, : round(x) + 1]
    assert np.unravel_index(yellow.argmax(), yellow.shape) == pytest.approx((y, x), abs=2)


@pytest.mark.parametrize("shape, size", [((1, 1), (64, 64)), ((1, 3), (130, 64))])
def test_margins_without_a_score_are_washed_out(shape, size):
    picture = Image.new("RGB", size, GREY)
    shown = (320, round(320 * size[1] / size[0]))
    panel = panels(score_map_sheet(picture, [ScoreMap(np.full(shape, 0.2), 64, 64, "")]), shown)[1]
    across, down = shown[0] / size[0], shown[1] / size[1]
    # Centres from 32 to 32 * count, and 16 pixels around them.
    expected = (16 * across, 16 * down, (32 * shape[1] + 16) * across, (32 * shape[0] + 16) * down)
    assert extent(coloured(panel)) == pytest.approx(expected, abs=1.5)
    assert (panel[~coloured(panel)] == 189).all()  # 90 + (255 - 90) * 0.6


def test_scores_between_two_centres_are_interpolated():
    picture = Image.new("RGB", (96, 64), GREY)  # two windows, centres at x 32 and 64
    two, half = (ScoreMap(np.array([values]), 64, 64, "") for values in ((0, 0.8), (0.4, 0.4)))
    first, second = panels(score_map_sheet(picture, [two, half]), (320, 213))[1:]
    assert abs(first[106, 160] - second[106, 160]).max() <= 2
    assert (first[106, 100] == first[106, 60]).all()  # beyond the first centre: as at it
    assert abs(first[106, 220] - second[106, 220]).max() > 20


def test_maps_share_one_range_and_zeros_are_at_its_lower_end():
    picture = Image.new("RGB", (64, 64), (128, 128, 128))
    maps = [ScoreMap(np.full((1, 1), value), 64, 64, "") for value in (0.0, 0.2, 0.8)]
    drawn = [panel[160, 160] for panel in panels(score_map_sheet(picture, maps), (320, 320))[1:]]
    for pixel, anchor in zip(drawn, sheets.RAMP[[0, 1, 4]], strict=True):
        expected = sheets.OPACITY * anchor + (1 - sheets.OPACITY) * 128
        assert abs(pixel - expected).max() <= 1
    alone = panels(score_map_sheet(picture, maps[:1]), (320, 320))[1]
    assert (alone[160, 160] == drawn[0]).all()


def test_more_than_four_panels_wrap_and_the_first_is_the_picture():
    picture = Image.new("RGB", (64, 64), (200, 40, 10))
    one = ScoreMap(np.full((1, 1), 0.5), 64, 64, "a title that is far too long for its panel " * 3)
    four, five = (score_map_sheet(picture, [one] * count) for count in (3, 4))
    assert four.width == five.width == sheets.GAP + 4 * (sheets.PANEL + sheets.GAP)
    assert five.height - four.height == sheets.PANEL + 4 + 2 * sheets.LINE + sheets.GAP
    assert (panels(four, (320, 320))[0] == (200, 40, 10)).all()
    between = np.asarray(four)[TOP:, sheets.GAP + sheets.PANEL :][:, : sheets.GAP]
    assert is_colour(between, sheets.PAPER).all()


def test_a_map_of_another_scale_is_refused():
    with pytest.raises(ValueError, match=r"300x200 pixels and a window of 64.*\(5, 8\)"):
        score_map_sheet(Image.new("RGB", (300, 200)), [ScoreMap(np.zeros((6, 8)), 200, 64, "")])
