"""Counts in words, as "1 picture" and "2,040 pictures"."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun; plural is of nouns, or whole clauses, to which no s is added.

    Nouns that end in s, x or ch get es, so that 2 is "2 classes".
    """
    ending = "es" if noun.endswith(("s", "x", "ch")) else "s"
    return f"{number:,} {noun if number == 1 else plural or noun + ending}"


def leaks_text(number: int) -> str:
    """How many test pictures leaked, as a clause."""
    return counted(
        number, "test picture is a training picture too", "test pictures are training pictures too"
    )
