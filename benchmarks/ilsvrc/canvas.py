"""A matplotlib figure that is laid out in pixels: a legend, and below it tiles in rows.

A tile is a square that a picture is fitted into, with lines of text below it. The same input gives
the same pixels, whatever the user's settings of matplotlib are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vggfeat.report.figures.drawing import drawing
from vggfeat.storage.files import new_file

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

DPI = 100
GAP, LINE = 14, 22  # between tiles; height of a line of text, in pixels
MIN_WIDTH = 540  # the legend's, in pixels
BAR, TAG = 160, 36  # widths of a colour bar and of a framed word, in pixels
TEXT, FAINT = "#1e1e1e", "#5f5f5f"
PAPER = "#ebebeb"  # not white, so that pictures with a white ground have an edge
MIDDLE_GREY = "#808080"


def linewidth(pixels: float) -> float:
    """Matplotlib's width of a line, in points."""
    return pixels * 72 / DPI


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with drawing(), new_file(path) as file:
        figure.savefig(file, format="png", dpi=DPI, facecolor=PAPER)


class Sheet:
    """A figure of `count` tiles: pictures that fit into `side`, lines of text below each.

    height is that of the highest picture.
    """

    def __init__(self, count: int, side: int, *, height: int, lines: int, columns: int):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.side, self.tile_height, self.columns = side, height, min(columns, count)
        self._tile = side + GAP, height + 4 + lines * LINE + GAP
        rows = -(-count // self.columns)
        self.width = GAP + max(self.columns * self._tile[0], MIN_WIDTH)
        self.height = LINE + 2 * GAP + rows * self._tile[1]
        size = (self.width / DPI, self.height / DPI)
        self.figure = Figure(figsize=size, dpi=DPI, facecolor=PAPER)
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()

    def picture(self, number: int, picture: Image.Image) -> Axes:
        """Show a picture in a tile, in axes whose coordinates are its pixels."""
        width, height = fitted(picture, self.side)
        left, top = self._corner(number)
        left, top = left + (self.side - width) // 2, top + (self.tile_height - height) // 2
        axes = self._axes(left, top, width, height)
        axes.set_axis_off()
        self.show(axes, picture)
        return axes

    def show(self, axes: Axes, picture: Image.Image) -> AxesImage:
        """Show a picture in axes of its own shape, pixel by pixel of the figure."""
        shown = picture.resize(fitted(picture, self.side), Image.Resampling.LANCZOS).convert("RGB")
        extent = (0, picture.width, picture.height, 0)
        return axes.imshow(shown, extent=extent, interpolation="nearest", aspect="auto")

    def title(
        self, number: int, text: str, *, line: int = 0, indent: int = 0, color: str = TEXT
    ) -> None:
        """Write a line of text below a tile's picture, cut where the tile ends."""
        left, top = self._text_corner(number, line)
        self._write(left + indent, top, text, self.side - indent, color=color, fontsize=9.5)

    def tag(self, number: int, text: str, *, color: str, facecolor: str, edgecolor: str) -> None:
        """Write a framed word where a tile's first line of text begins."""
        left, middle = self._text_corner(number, 0)
        self._rectangle(left, middle - 8, TAG, 16, facecolor=facecolor, edgecolor=edgecolor)
        self._write(left + TAG / 2, middle, text, TAG, color=color, fontsize=8, ha="center")

    def legend(self, handles: Sequence[Artist], labels: Sequence[str], remark: str) -> None:
        """A line above the tiles that says what is what, and a remark behind it."""
        legend = self.figure.legend(
            handles,
            labels,
            loc="center left",
            bbox_to_anchor=(GAP / self.width, self._y(GAP + LINE / 2)),
            ncols=len(labels),
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            labelcolor=TEXT,
            fontsize=10,
        )
        after = legend.get_window_extent(self._renderer).x1 + 24
        self._write(after, GAP + LINE / 2, remark, self.width - after)

    def colour_bar(self, image: AxesImage, *, opacity: float, swatch: str) -> None:
        """A line above the tiles with the colours of an image that is so opaque, over a grey.

        swatch is the colour where the image has no value.
        """
        axes = self._axes(GAP, GAP + 3, BAR, LINE - 6)
        axes.set_facecolor(MIDDLE_GREY)
        bar = self.figure.colorbar(image, cax=axes, orientation="horizontal", alpha=opacity)
        bar.outline.set_visible(False)
        bar.set_ticks([])
        x, y = GAP + BAR + 8, GAP + LINE / 2
        reach = f"posterior from 0 to {image.norm.vmax:.2g}, the highest here"
        text = self._write(x, y, reach, self.width - x)
        x = text.get_window_extent(self._renderer).x1 + 24
        self._rectangle(x, GAP + 3, LINE - 6, LINE - 6, facecolor=swatch)
        self._write(x + LINE, y, "no window is centred here", self.width - x - LINE)

    def _write(self, x: float, y: float, text: str, room: float, **style: Any) -> Any:
        """Text at pixels from the left and the top, cut with an ellipsis to so many pixels."""
        style = {"color": TEXT, "fontsize": 10, "va": "center"} | style
        artist = self.figure.text(x / self.width, self._y(y), text, **style)
        while text and artist.get_window_extent(self._renderer).width > room:
            text = text[:-1]
            artist.set_text(f"{text.rstrip()}…")
        return artist

    def _rectangle(
        self, left: float, top: float, width: float, height: float, **style: Any
    ) -> None:
        from matplotlib.patches import Rectangle

        corner = left / self.width, self._y(top + height)
        size = width / self.width, height / self.height
        style = {"transform": self.figure.transFigure, "linewidth": linewidth(1)} | style
        self.figure.add_artist(Rectangle(corner, *size, **style))

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        corner = left / self.width, self._y(top + height)
        return self.figure.add_axes((*corner, width / self.width, height / self.height))

    def _y(self, pixels: float) -> float:
        """Pixels from the top as the figure's coordinate."""
        return 1 - pixels / self.height

    def _corner(self, number: int) -> tuple[int, int]:
        row, column = divmod(number, self.columns)
        return GAP + column * self._tile[0], LINE + 2 * GAP + row * self._tile[1]

    def _text_corner(self, number: int, line: int) -> tuple[int, float]:
        left, top = self._corner(number)
        return left, top + self.tile_height + 4 + LINE / 2 + line * (LINE - 3)


def fitted(picture: Image.Image, side: int) -> tuple[int, int]:
    """The (width, height) of a picture that just fits into a square, in pixels."""
    longest = max(picture.size)
    width, height = (max(1, round(side * length / longest)) for length in picture.size)
    return width, height
