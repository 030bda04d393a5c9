"""How far a long stage has come, as the library reports it: label, number done, number in all."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # a total of 0 is not known


def no_progress(label: str, done: int, total: int) -> None:
    """Progress that nobody sees."""
