"""Matplotlib as every picture here uses it: its own defaults, and fonts for any script."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from vggfeat.errors import OptionError

# What writes the scripts that matplotlib's own font lacks, where one of them is installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Droid Sans Fallback",
         "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS", "Noto Sans Arabic",
         "Noto Sans Devanagari", "Noto Sans")  # fmt: skip


@contextmanager
def drawing(settings: dict[str, Any] | None = None) -> Iterator[None]:
    """A `with` block in which matplotlib draws the same whatever the user's settings of it are.

    settings are added to its defaults. Texts are never taken as formulas. Raises OptionError if
    matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise OptionError(
            "pictures are drawn by matplotlib, which is not installed: pip install 'vggfeat[plot]'."
        ) from error
    used = matplotlib.rcParamsDefault | {"font.family": _fonts(), "text.parse_math": False}
    used.pop("backend", None)
    with matplotlib.rc_context(used | (settings or {})), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # drawn as a box
        yield


@cache
def _fonts() -> list[str]:
    """Those of FONTS that are installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in FONTS if name in installed]
