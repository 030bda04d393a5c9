"""Counts and sizes as people write them, amounts as they read them: "100M", "110k", "1.6 TB"."""

import math
import re

from vggfeat.errors import OptionError

FACTORS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
NUMBER = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?(?:e\d{1,2})?)\s*([kmgbt]?)\s*(.*?)\s*", re.IGNORECASE)
MOST = 1e15


def as_count(text: str, what: str = "pictures") -> int:
    """A whole number from 1 on, written as 1300000, 1.3M, 1e8 or 1_000. Raises OptionError."""
    return _whole(text, what, units=("",), example="100M, 1.3M, 1e8 or 5000")


def as_bytes(text: str, what: str = "picture bytes") -> int:
    """Bytes, at least 1, written as 110000, 110k, 110kB or 1.2MB. Raises OptionError."""
    return _whole(text, what, units=("", "b", "bytes"), example="110k, 110kB or 1.2MB")


def as_picture_size(text: str) -> tuple[int, int]:
    """(width, height) of a text such as 500x375. Raises OptionError."""
    fit = re.fullmatch(r"\s*(\d{1,6})\s*[x×]\s*(\d{1,6})\s*", text)
    if not fit or "0" in (fit[1].lstrip("0") or "0", fit[2].lstrip("0") or "0"):
        raise OptionError(f"picture size {text!r} is no width and height: give pixels as 500x375.")
    return int(fit[1]), int(fit[2])


def _whole(text: str, what: str, *, units: tuple[str, ...], example: str) -> int:
    fit = NUMBER.fullmatch(text)
    if fit and fit[2].lower() == "b" and "b" in units:
        factor, rest = 1.0, fit[3]  # of bytes B is the unit, not billions
    elif fit:
        factor, rest = FACTORS[fit[2].lower()], fit[3]
    if not fit or rest.lower() not in units:
        raise OptionError(f"{what}: {text!r} is no number; write it as {example}.")
    number = float(re.sub("[_,]", "", fit[1])) * factor
    if not 1 <= number <= MOST:
        raise OptionError(f"{what} must be from 1 to {MOST:.0e}; got {text!r}.")
    return round(number)


def three_digits(value: float) -> str:
    """A number with three digits that say something: "0.00123", "12.3", "1,230", "1.23e-12"."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits)}f}" if -15 < digits < 9 else f"{value:.3g}"


def size_text(num_bytes: float) -> str:
    """Bytes as "230 MB", "1.64 TB": three digits."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{three_digits(num_bytes / factor)} {unit}"
    return f"{num_bytes:.0f} bytes"


def time_text(seconds: float) -> str:
    """Seconds as three digits of a unit: "48.2 ms", "3.21 h", "12.5 days"."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{three_digits(seconds / length)} {unit}"
    return f"{three_digits(seconds)} s" if seconds >= 1 else f"{three_digits(1000 * seconds)} ms"
