"""How far a long stage has come, as the library reports it: label, number done, number in all."""

import math
from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # a total of 0 is not known


def no_progress(label: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


MEGABYTES = ", MB"  # ends the label of a stage whose numbers are megabytes


def in_megabytes(progress: Progress) -> Progress:
    """Progress in bytes, reported in megabytes."""

    def report(label: str, done: int, total: int) -> None:
        progress(f"{label}{MEGABYTES}", math.ceil(done / 1e6), math.ceil(total / 1e6))

    return report
