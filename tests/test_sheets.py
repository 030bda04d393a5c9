"""Sheets of boxes: where on the sheet things are drawn."""

import numpy as np
import pytest
from PIL import Image

from vggfeat.pretraining import sheets
from vggfeat.pretraining.sheets import Cell, box_sheet

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
