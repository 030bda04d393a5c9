"""Durations in words, as progress and plans print them."""


def in_words(seconds: float) -> str:
    """Seconds as a whole number of the largest unit of which there are at least two: "3 h"."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
