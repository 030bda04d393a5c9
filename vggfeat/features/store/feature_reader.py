"""A feature file that stays open: its done rows by their numbers, each compared with its checksum.

Nothing that grows with the file is held but the checksums, 36 bytes a row, and the numbers of the
done rows where some are not.

Shapes: n rows, S scales, D dimensions of a vector.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vggfeat.errors import StoreError
from vggfeat.features.store import sums
from vggfeat.features.store.format import (
    BROKEN,
    REMEDY,
    conditions_of,
    done_rows,
    explained,
    has_sums,
    open_file,
)

WINDOW, WINDOW_BYTES = 4096, 2**22  # rows that are read and compared together, and their vectors
# What lies between two rows and is read too, rather than that HDF5 begins anew.
GAP_BYTES, GAP_IDS = 2**17, 64


class FeatureReader:
    """The done rows of a feature file, numbered from 0 in the order of the file.

    Raises StoreError where the file is damaged.
    """

    def __init__(self, path: Path):
        self.path, self._file = path, open_file(path, "r")
        try:
            with explained(path):
                self.conditions = conditions_of(self._file)
                self._sums = sums.read_sums(path) if has_sums(self._file) else None
                done = done_rows(self._file)
                # Looking them up takes as long as reading from them.
                self._ids = self._file["ids"]
                self._vectors = self._file["descriptors"]
                self._sizes, self._lengths = self._file["image_size"], self._file["file_bytes"]
        except BaseException:
            self.close()
            raise
        self._rows = None if done.all() else np.flatnonzero(done)
        self._num_rows = int(done.sum())
        self.shape = (self._num_rows, *self._vectors.shape[1:])
        self._row_bytes = max(1, self._vectors.dtype.itemsize * self.shape[1] * self.shape[2])
        self._window = max(1, min(WINDOW, WINDOW_BYTES // self._row_bytes))

    def __len__(self) -> int:
        return self._num_rows

    @property
    def broken(self) -> dict[str, str]:
        """What was no picture: name -> reason."""
        with explained(self.path):
            if BROKEN not in self._file:
                return {}
            return dict(self._file[BROKEN].asstr()[()].reshape(-1, 2).tolist())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def ids(self, rows: np.ndarray) -> list[str]:
        """The ids of these rows [n], which ascend."""
        found: list[str] = []
        with explained(self.path):
            for window in _windows(self._in_file(rows), WINDOW):
                for here in _together(window, GAP_IDS):
                    first = int(here[0])
                    ids = self._ids[first : int(here[-1]) + 1][here - first]
                    found += [i.decode(errors="surrogateescape") for i in ids]
        return found

    def read(self, rows: np.ndarray, columns: Sequence[int], result: np.ndarray) -> None:
        """Write the descriptors of these rows [n], which ascend, into result [n, S, D] float32.

        columns [S] are numbers of scales. Raises StoreError at rows that are damaged or not finite.
        """
        done, all_columns = 0, list(columns) == list(range(self.shape[1]))
        with explained(self.path):
            for here in _windows(self._in_file(rows), self._window):
                block = self._checked(here)
                block = block if all_columns else block[:, columns]
                if not np.isfinite(block).all():
                    raise StoreError(
                        f"{self.path}: holds descriptors that are not finite. {REMEDY}"
                    )
                result[done : done + len(here)] = block
                done += len(here)

    def _in_file(self, rows: np.ndarray) -> np.ndarray:
        return rows if self._rows is None else self._rows[rows]

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        """The descriptors of rows of the file within a window, as they are stored."""
        parts = []
        for here in _together(rows, max(1, GAP_BYTES // self._row_bytes)):
            first = int(here[0])
            block = self._vectors[first : int(here[-1]) + 1]
            parts.append(block if len(block) == len(here) else block[here - first])
        block = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._sums is not None:
            self._compare(rows, block)
        return block

    def _compare(self, rows: np.ndarray, block: np.ndarray) -> None:
        """Raise StoreError unless rows of the file, descriptors and all, are as written."""
        first, end = int(rows[0]), int(rows[-1]) + 1
        here, written = rows - first, self._sums[rows]
        ids = self._ids[first:end][here]
        found = sums.sums_of(
            ids, self._sizes[first:end][here], self._lengths[first:end][here],
            written["picture_sha256"].tobytes(), block,
        )  # fmt: skip
        damaged = np.flatnonzero(written["crc32"] != np.array(found, np.uint32))
        if len(damaged):
            named = ids[damaged[0]].decode(errors="surrogateescape")
            raise StoreError(
                f"{self.path}: {len(damaged)} of the rows that were read are damaged,"
                f" {named!r} among them. `vggfeat verify --repair` has them extracted"
                " again."
            )


def _windows(rows: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Ascending rows, those together that lie within so many."""
    start = 0
    while start < len(rows):
        end = int(np.searchsorted(rows, rows[start] + length))
        yield rows[start:end]
        start = end


def _together(rows: np.ndarray, gap: int) -> list[np.ndarray]:
    """Ascending rows, those together that are at most `gap` apart."""
    if not len(rows):
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) > gap) + 1)
