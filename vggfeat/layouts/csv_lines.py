"""CSV files of a user's: a header that names columns, and the lines below it by these names.

They are in UTF-8. Columns come in any order, separated by commas, semicolons or tabs; others than
those asked for are ignored, and so are empty lines.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vggfeat.errors import DatasetError
from vggfeat.plurals import counted

DELIMITERS = (",", ";", "\t")
MAX_SHOWN = 60  # characters of a line that a message quotes

Line = tuple[int, Mapping[str, str]]  # number in the file, values by column without outer blanks


def read_lines(
    path: Path, required: Sequence[Sequence[str]], words: str, *, optional: Sequence[str] = ()
) -> Iterator[Line]:
    """The lines below the header, each with the values of the columns that are there.

    required has a list of names for each column that must be there, of which the first there
    counts; words says the same to the user. Raises DatasetError, with the line where there is one,
    at a file that is no CSV in UTF-8 with these columns, each once, or has lines of other lengths.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8. Save it as CSV in UTF-8.") from error
    delimiter, places = _header(text, required, optional)
    if not places:
        first = (text.splitlines() or [""])[0]
        shown = first if len(first) <= MAX_SHOWN else f"{first[:MAX_SHOWN]}..."
        raise DatasetError(f"{path}: the first line must name {words}; it is {shown!r}.")
    reader = _reader(text, delimiter)
    try:
        width = len(next(reader))
        for values in reader:
            if not any(map(str.strip, values)):
                continue
            if len(values) != width:
                raise DatasetError(
                    f"{path}, line {reader.line_num}: has {counted(len(values), 'value')}, and"
                    f" the header {counted(width, 'column')}. Put quotes around what holds a"
                    f" {delimiter!r}."
                )
            yield reader.line_num, {name: values[n].strip() for name, n in places.items()}
    except csv.Error as error:
        raise DatasetError(
            f"{path}, line {reader.line_num}: is no CSV ({error}). Close every quote that is"
            " opened."
        ) from error


def _header(
    text: str, required: Sequence[Sequence[str]], optional: Sequence[str]
) -> tuple[str, dict[str, int]]:
    """The delimiter, and the place of each column asked for; none if one is not there or twice."""
    for delimiter in DELIMITERS:
        try:
            columns = [c.strip().lower() for c in next(_reader(text, delimiter), [])]
        except csv.Error:
            continue
        names = [next(filter(columns.__contains__, choices), "") for choices in required]
        names += filter(columns.__contains__, optional)
        if all(columns.count(name) == 1 for name in names):
            return delimiter, {name: columns.index(name) for name in names}
    return "", {}


def _reader(text: str, delimiter: str):
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
