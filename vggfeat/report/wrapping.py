"""Texts measured and wrapped in a terminal's columns, of which Chinese letters take two."""

import re
import unicodedata

# A word that is wider than a line is broken behind one of these, if it has one.
_SEPARATORS = re.compile(r"(?<=[/@:,;=+_-])")


def text_width(text: str) -> int:
    """The columns that a text takes: two for wide letters, none for combining marks."""
    if text.isascii():
        return len(text)
    return sum(map(_letter_width, text))


def padded(text: str, width: int) -> str:
    """The text with spaces behind it up to a width."""
    return text + " " * (width - text_width(text))


def cut(text: str, width: int) -> str:
    """The longest beginning of a text that fits a width."""
    taken = 0
    for place, letter in enumerate(text):
        taken += _letter_width(letter)
        if taken > width:
            return text[:place]
    return text


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines no wider than width, of at least 2 columns, those after the first one indented.

    Lines end between words; a word wider than a line is broken behind `/`, `@`, `:` and the like,
    or where nothing else is left anywhere.
    """
    lines, line = [], ""
    for word in text.split():
        start = f"{line} " if line.strip() else line
        if text_width(start + word) <= width:
            line = start + word
            continue
        if line.strip() and text_width(indent + word) <= width:
            lines.append(line)
            line = indent + word
            continue
        for part in _SEPARATORS.split(word):
            if text_width(start + part) > width and start.strip():
                lines.append(start.rstrip())
                start = indent
            while text_width(start + part) > width:
                head = cut(part, max(width - text_width(start), 2))
                lines.append(start + head)
                start, part = indent, part[len(head) :]
            start += part
        line = start
    return [*lines, line]


def _letter_width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
