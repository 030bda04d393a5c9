"""Durations in words, as progress and plans print them."""


def in_words(seconds: float, number_format: str = ".0f") -> str:
    """Seconds as a whole number of the largest unit of which there are at least two: "3 h".

    number_format is that of less than two minutes, in seconds.
    """
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    if 0 < seconds < 1 and number_format == ".0f":
        return "1 s"  # nobody says that something takes 0 s
    return f"{seconds:{number_format}} s"
