"""A text list of pictures that is too long for memory, a path a line: `LongList`.

A part is so many lines. One pass over the list notes where each part begins; later only the lines
of a part are read. Paths are as in unlabelled.py: relative to the list's folder, staying below it.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError, printable
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts.own_pictures import is_there, picture_id
from vggfeat.layouts.picture_parts import Part, PictureParts

CHUNK = 2**22
MAX_LINE_BYTES = 4096  # on average over a part; paths are no longer
NEWLINE = 10


class LongList(PictureParts):
    """The pictures of a list, `rows` lines a part; blank lines count and are no pictures."""

    def __init__(self, path: Path, rows: int):
        """Reads the list once. Raises DatasetError."""
        self.path, self.rows = path, rows
        with _readable(path) as file:
            self._state = _state(file)
            self._starts, digest = _parts(file, rows)
        self.num_parts = len(self._starts) - 1
        if not self.num_parts:
            raise DatasetError(f"{path}: is empty. Write a path a line.")
        self.digest = hashlib.sha256(f"{rows} lines of {digest}".encode()).hexdigest()
        self.name = f"list-{self.digest[:12]}"

    @contextmanager
    def opened(self, part: int) -> Iterator[Part]:
        """A `with` block in which the pictures of a part can be read. Raises DatasetError.

        What is missing, no picture by its name, or no relative path is broken.
        """
        start, end = self._starts[part : part + 2]
        with _readable(self.path) as file:
            if _state(file) != self._state:
                raise DatasetError(f"{self.path}: was changed meanwhile. Start the command again.")
            if end - start > self.rows * MAX_LINE_BYTES:
                raise DatasetError(
                    f"{self.path}: line {part * self.rows + 1:,} or one of the {self.rows:,} after"
                    " it is too long for a path. Write a path a line."
                )
            file.seek(start)
            content = file.read(end - start)
        yield self._part(content, part * self.rows)

    def _part(self, content: bytes, num_before: int) -> Part:
        root = self.path.parent
        pictures: dict[str, Path] = {}
        broken: dict[str, str] = {}
        for number, line in enumerate(content.split(b"\n"), num_before + 1):
            where = f"{self.path}, line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if not text:
                    continue
                i = picture_id(text, root, where)
                if reason := _problem(root, i):
                    broken[f"{where}: {printable(i, one_line=True)}"] = reason
                else:
                    pictures[i] = root / i
            except UnicodeDecodeError:
                broken[where] = "is no text in UTF-8"
            except DatasetError as error:
                broken[where] = str(error).removeprefix(f"{where}: ").removesuffix(".")
        return Part(pictures, broken)


def _problem(root: Path, i: str) -> str:
    if not i.lower().endswith(PICTURE_SUFFIXES):
        return f"is no picture by its name ({', '.join(PICTURE_SUFFIXES)})"
    return "" if is_there(root, i) else f"no such picture below {root}"


def _parts(file: io.BufferedReader, rows: int) -> tuple[list[int], str]:
    """The byte where each part begins, and that where the last one ends; the digest of the file."""
    digest = hashlib.sha256()
    starts, num_lines, position = [0], 0, 0
    buffer = bytearray(CHUNK)
    while num_read := file.readinto(buffer):
        chunk = memoryview(buffer)[:num_read]
        digest.update(chunk)
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == NEWLINE)
        first_of_part = ends[rows - 1 - num_lines % rows :: rows]
        starts += (position + 1 + first_of_part).tolist()
        num_lines += len(ends)
        position += num_read
    if starts[-1] != position:
        starts.append(position)
    return starts, digest.hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[io.BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _state(file: io.BufferedReader) -> tuple[int, int]:
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns
