"""The list of `datasets ls`: by groups, in columns, or in lines of text on a narrow terminal."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from vggfeat.plurals import in_bytes
from vggfeat.storage.folders import Folders

WIDTH = 80  # of the columns
COLUMNS = "  {:<19} {:>9} {:>8}  {:<9}  {}"
HEADER = ("benchmark", "pictures", "size", "data", "licence or terms")
TERMS_WIDTH = WIDTH - len(COLUMNS.format(*HEADER[:-1], ""))
NO_TERMS = "not stated here"


def dataset_lines(
    lines: Sequence[Mapping[str, Any]], places: Folders, width: int | None
) -> Iterator[str]:
    """What is printed of listings.datasets; width is the terminal's, None where there is none."""
    is_narrow = width is not None and width < WIDTH
    if not is_narrow:
        yield COLUMNS.format(*HEADER)
    for group, members in groupby(lines, lambda line: line["group"]):
        yield f"{group}:"
        for line in members:
            yield from _narrow(line, width) if is_narrow else _in_columns(line)
    yield ""
    for text in _below(lines, places):
        yield from _wrapped(text, width) if width is not None else [text]


def _in_columns(line: Mapping[str, Any]) -> Iterator[str]:
    terms, *more = textwrap.wrap(line["licence or terms"] or NO_TERMS, TERMS_WIDTH)
    pictures = f"{line['pictures']:,}" if line["pictures"] else ""
    yield COLUMNS.format(line["benchmark"], pictures, _size(line), line["state"], terms)
    yield from (COLUMNS.format("", "", "", "", part) for part in more)


def _narrow(line: Mapping[str, Any], width: int) -> list[str]:
    pictures = f"{line['pictures']:,} pictures" if line["pictures"] else ""
    terms = line["licence or terms"] or f"terms {NO_TERMS}"
    facts = "; ".join(filter(None, (pictures, _size(line), line["state"], terms)))
    return _wrapped(f"{line['benchmark']}: {facts}", width)


def _size(line: Mapping[str, Any]) -> str:
    if line["bytes on disk"]:
        return in_bytes(line["bytes on disk"])
    return f"~{in_bytes(line['bytes to fetch'])}" if line["bytes to fetch"] else ""


def _below(lines: Sequence[Mapping[str, Any]], places: Folders) -> Iterator[str]:
    """Where the data is that is there, and what to do about the others."""
    of_place: dict[str, list[str]] = {}
    for line in lines:
        of_place.setdefault(line["data"] or "", []).append(line["benchmark"])
    yield from (f"{', '.join(names)}: {place}" for place, names in of_place.items() if place)
    yield "size: on disk; ~: of what is fetched"
    states = {line["state"] for line in lines}
    if "to fetch" in states:
        yield f"to fetch: not in {places.data}; vggfeat datasets fetch NAME gets it"
    if "by hand" in states:
        yield "by hand: cannot be fetched; vggfeat datasets fetch NAME says where to get it"
    if "in part" in states:
        yield "in part: vggfeat datasets fetch NAME gets the rest, or says where that is"


def _wrapped(text: str, width: int) -> list[str]:
    from vggfeat.report.wrapping import wrapped

    return wrapped(text, width, "  ")
