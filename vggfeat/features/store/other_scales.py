"""Vectors of single scales that lie in feature files of otherwise equal conditions.

Scales are stored apart, so that a file with scale 128 has a column of one with 64 and 128.

Shapes: S scales, D dimensions of a vector.
"""

import glob
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vggfeat.errors import StoreError
from vggfeat.features.store import sums
from vggfeat.features.store.format import (
    Conditions,
    RowSums,
    conditions_of,
    done_rows,
    explained,
    has_sums,
    open_file,
    opened,
    rows_of,
)
from vggfeat.features.store.reader import lacking
from vggfeat.storage.checksums import parse_json


@dataclass(frozen=True)
class StoredRow:
    """What is stored of a picture: vectors [S, D], its (width, height), and what its file was."""

    vectors: np.ndarray
    image_size: tuple[int, int]
    file_bytes: int
    picture_sha256: bytes  # sums.UNKNOWN where nobody took it


@dataclass(frozen=True)
class _File:
    path: Path
    scales: tuple[int, ...]
    ids: frozenset[str]  # of the rows that can be used
    versions: list[dict[str, str]]


class OtherScales:
    """The files of a folder that have some of the scales of `conditions`, and the same otherwise.

    file_bytes maps id -> size of the picture's file; rows of files of another size, damaged ones
    and those that are not done do not count. `path` is the file that is to be completed; without a
    folder there are no others. In a `with` block, which keeps the files open, rows are read one by
    one.
    """

    def __init__(
        self,
        folder: Path | None,
        stem: str,
        conditions: Conditions,
        file_bytes: Mapping[str, int],
        *,
        path: Path,
    ):
        self.conditions = conditions
        self._files = []
        for other in sorted(folder.glob(f"{glob.escape(stem)}-*.h5") if folder else ()):
            if other != path and (file := _useful(other, conditions, file_bytes)):
                self._files.append(file)
        self._readers: dict[Path, _RowReader] = {}

    @property
    def paths(self) -> list[Path]:
        """The files that have rows to use."""
        return [file.path for file in self._files]

    @property
    def versions(self) -> list[dict[str, str]]:
        """The library versions that wrote to the files."""
        return [versions for file in self._files for versions in file.versions]

    def leave_out(self, path: Path, ids: Iterable[str]) -> None:
        """Do not use the rows of these ids in one of the files."""
        left_out = frozenset(ids)
        self._files = [
            replace(file, ids=file.ids - left_out) if file.path == path else file
            for file in self._files
        ]

    def scales_of(self, picture_id: str) -> tuple[int, ...]:
        """The scales at which a picture is stored, in the order of the conditions."""
        stored = {scale for file in self._files if picture_id in file.ids for scale in file.scales}
        return tuple(scale for scale in self.conditions.scales if scale in stored)

    def read(self, picture_id: str, scales: Sequence[int]) -> StoredRow | None:
        """A picture at these scales, which `scales_of` returned.

        None if it cannot be read any more, or files hold it as it was at different times.
        """
        rows, columns = [], []
        for scale in scales:
            file = next(f for f in self._files if picture_id in f.ids and scale in f.scales)
            reader = self._readers.get(file.path)
            row = None if reader is None else reader.read(picture_id)
            if row is None:
                return None
            rows.append(row)
            columns.append(row.vectors[file.scales.index(scale)])
        if len({(row.file_bytes, row.picture_sha256) for row in rows}) > 1:
            return None
        return replace(rows[0], vectors=np.stack(columns))

    def __enter__(self) -> "OtherScales":
        with ExitStack() as stack:
            for file in self._files:
                with suppress(StoreError):  # it was moved away or damaged meanwhile
                    self._readers[file.path] = stack.enter_context(_RowReader(file.path))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._stack.close()
        self._readers.clear()


def _useful(path: Path, conditions: Conditions, file_bytes: Mapping[str, int]) -> _File | None:
    """A file with some of the scales and pictures; None if it is another or cannot be read."""
    try:
        with opened(path) as file:
            stored = conditions_of(file)
            versions = parse_json(file.attrs["versions"])
        if not stored.is_like(conditions) or set(conditions.scales).isdisjoint(stored.scales):
            return None
        ids = frozenset(file_bytes) - lacking(path, file_bytes)
    except StoreError:
        return None  # it is extracted anew
    return _File(path, stored.scales, ids, versions) if ids else None


class _RowReader:
    """A feature file that is read row by row, each compared with its checksum."""

    def __init__(self, path: Path):
        self._path = path
        self._file = open_file(path, "r")
        try:
            with explained(path):
                self._rows, self._sums = rows_of(self._file), RowSums(path, self._file)
                self._digests = (
                    sums.read_sums(path)["picture_sha256"] if has_sums(self._file) else None
                )
                self._sizes = self._file["image_size"][()]
                self._lengths = self._file["file_bytes"][()]
                self._done = done_rows(self._file)
        except BaseException:
            self._file.close()
            raise

    def read(self, picture_id: str) -> StoredRow | None:
        """The row of a picture; None if it is not as it was written."""
        row = self._rows.get(picture_id)
        if row is None:  # another file came into its place meanwhile
            return None
        try:
            with explained(self._path):
                vectors = self._file["descriptors"][row]
        except StoreError:
            return None
        is_damaged = self._sums.damaged(row, vectors[None], np.array([row]))
        if is_damaged or not self._done[row]:
            return None
        width, height = self._sizes[row].tolist()
        digest = sums.UNKNOWN if self._digests is None else self._digests[row].tobytes()
        return StoredRow(vectors, (width, height), int(self._lengths[row]), digest)

    def __enter__(self) -> "_RowReader":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._file.close()
