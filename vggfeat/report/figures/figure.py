"""A figure as a value: what it shows in words and numbers, and how matplotlib draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vggfeat.report.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: a file for a paper, or a part of a page.

    draw fills an empty matplotlib figure of this size, in the style that is in force.
    """

    name: str  # of its file, without a suffix: letters, digits, "-" and "."
    title: str
    caption: str  # what is drawn, of what, in which units; a sentence or two
    table: Table  # the numbers that are drawn, for those who cannot see them
    draw: Callable[[Canvas], None]
    size: tuple[float, float] = (6.4, 4.0)  # width and height in inches
