"""The style of all figures: colours, lines and letters; figures as files, and inline in a page.

Six colours are of Okabe & Ito (2008), whose palette is made for colour blindness, the last is a
brown; lines and markers differ, too, for print in grey.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggfeat.errors import OptionError, printable
from vggfeat.report.figures.drawing import drawing
from vggfeat.report.figures.figure import Figure
from vggfeat.report.figures.inline_svg import inline_svg
from vggfeat.storage.files import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

FORMS = ("png", "svg", "pdf")
DPI = 200  # of PNG files
TEXT, FAINT, GRID, GROUND = "#222222", "#666666", "#d8d8d8", "#ffffff"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f00")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# A page sets the variable, or leaves it: the light colour is what it falls back to.
VARIABLES = {
    "--fg": (TEXT, "#e6e6e6"),
    "--figure-faint": (FAINT, "#a5a5a5"),
    "--figure-grid": (GRID, "#454545"),
    "--bg": (GROUND, "#161616"),
    "--figure-1": (COLOURS[0], "#4aa8e0"),
    "--figure-2": (COLOURS[1], "#f58a42"),
    "--figure-3": (COLOURS[2], "#2fc79a"),
    "--figure-4": (COLOURS[3], "#dd94bb"),
    "--figure-5": (COLOURS[4], "#efb02f"),
    "--figure-6": (COLOURS[5], "#8ccbf0"),
    "--figure-7": (COLOURS[6], "#c9a227"),
    "--figure-image": ("none", "brightness(1.9)"),  # a filter
}  # fmt: skip
LINES_OF_LABEL = 3
SMALL = 8  # points, of labels that are many
_SETTINGS: dict[str, Any] = {
    "figure.constrained_layout.use": True,
    "figure.facecolor": GROUND,
    "font.size": 9,
    "text.color": TEXT,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": TEXT,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "xtick.labelcolor": TEXT,
    "ytick.color": FAINT,
    "ytick.labelcolor": TEXT,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # letters as letters, which journals ask for
    "image.interpolation": "none",
    "path.simplify_threshold": 0.4,  # points: what leaves no trace, but makes pages large
}


def series(number: int) -> dict[str, Any]:
    """Colour, line and marker of one of several lines, from 0; they come again after seven."""
    place = number % len(COLOURS)
    return {"color": COLOURS[place], "linestyle": LINES[place], "marker": MARKERS[place]}


def short(text: str, most: int = 40) -> str:
    """A name in one line of so many letters at most, its middle left out; nothing unprintable."""
    text = printable(text, one_line=True)
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


def wrapped(label: str, width: int = 78) -> str:
    """A label in up to LINES_OF_LABEL lines of about so many letters; nothing unprintable.

    Only what is longer than any name should be loses letters.
    """
    words = printable(label, one_line=True).replace("+", "+ ").split(" ")  # nets used together
    kept = [word if len(word) <= width else short(word, width) for word in words]
    lines = textwrap.wrap(" ".join(kept), width, break_long_words=False, break_on_hyphens=False)
    shown = lines[:LINES_OF_LABEL]
    more = "…" if len(lines) > LINES_OF_LABEL else ""
    return "\n".join(line.replace("+ ", "+") for line in shown) + more


def save(figure: Figure, folder: Path, form: str) -> Path:
    """Write a figure to `folder`, whole or not at all; the same figure gives the same bytes.

    Raises OptionError for a form that is none of FORMS, or where matplotlib is missing.
    """
    if form not in FORMS:
        raise OptionError(f"figures are one of {', '.join(FORMS)}; got {form!r}.")
    path = folder / f"{figure.name}.{form}"
    content = _bytes(figure, form)
    with new_file(path) as file:
        file.write(content)
    return path


def as_svg(figure: Figure) -> str:
    """The figure as an svg element of a page: small, its texts as text, its colours the page's."""
    variables = {light: f"var({name}, {light})" for name, (light, _) in VARIABLES.items()}
    svg = _bytes(figure, "svg", facecolor="none").decode()
    title = printable(figure.title, one_line=True)
    return inline_svg(svg, name=figure.name, title=title, colours=variables)


def _bytes(figure: Figure, form: str, **options: Any) -> bytes:
    """What a file of the figure holds: no dates, and ids that do not change."""
    metadata = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}.get(
        form, {"CreationDate": None, "Creator": None, "Producer": None}
    )
    with drawing(_SETTINGS | {"svg.hashsalt": figure.name}):
        content = io.BytesIO()
        _drawn(figure).savefig(content, format=form, dpi=DPI, metadata=metadata, **options)
    return content.getvalue()


def _drawn(figure: Figure) -> Canvas:
    from matplotlib.figure import Figure as NewCanvas

    canvas = NewCanvas(figsize=figure.size)
    figure.draw(canvas)
    return canvas
