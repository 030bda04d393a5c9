"""Counts in words, as "1 picture" and "2,040 pictures", and sizes, as "1.2 GB"."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun; plural is of nouns, or whole clauses, to which no s is added.

    Nouns that end in s, x or tch get es, so that 2 is "2 classes"; epochs end in ch and do not.
    """
    ending = "es" if noun.endswith(("s", "x", "tch")) else "s"
    return f"{number:,} {noun if number == 1 else plural or noun + ending}"


def leaks_text(number: int) -> str:
    """How many test pictures leaked, as a clause."""
    return counted(
        number, "test picture is a training picture too", "test pictures are training pictures too"
    )


def in_bytes(number: int) -> str:
    """A number of bytes in words: "1.2 GB"."""
    size, units = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return (
        f"{size:.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"
    )
