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

WINDOW = 4096  # rows whose ids and sizes are read together
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
                self._ids = self._file["ids"].asstr()
                self._vectors = self._file["descriptors"]
                self._sizes, self._lengths = self._file["image_size"], self._file["file_bytes"]
        except BaseException:
            self.close()
            raise
        self._rows = None if done.all() else np.flatnonzero(done)
        self._num_rows = int(done.sum())
        self.shape = (self._num_rows, *self._vectors.shape[1:])

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
            for window in _windows(self._in_file(rows)):
                for here in _together(window, GAP_IDS):
                    first = int(here[0])
                    found += self._ids[first : int(here[-1]) + 1][here - first].tolist()
        return found

    def read(self, rows: np.ndarray, columns: Sequence[int]) -> np.ndarray:
        """The descriptors of these rows [n], which ascend, at these scales: [n, S, D] float32.

        Raises StoreError at rows that are damaged or not finite.
        """
        result = np.empty((len(rows), len(columns), self.shape[2]), np.float32)
        done, all_columns = 0, list(columns) == list(range(self.shape[1]))
        with explained(self.path):
            for here in _windows(self._in_file(rows)):
                block = self._checked(here)
                block = block if all_columns else block[:, columns]
                result[done : done + len(here)] = block
                done += len(here)
        if not np.isfinite(result).all():
            raise StoreError(f"{self.path}: holds descriptors that are not finite. {REMEDY}")
        return result

    def _in_file(self, rows: np.ndarray) -> np.ndarray:
        return rows if self._rows is None else self._rows[rows]

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        """The descriptors of rows of the file within a window, as they are stored."""
        row_bytes = self._vectors.dtype.itemsize * self.shape[1] * self.shape[2]
        parts = []
        for here in _together(rows, max(1, GAP_BYTES // max(1, row_bytes))):
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
        ids, sizes = self._ids[first:end], self._sizes[first:end].tolist()
        lengths, written = self._lengths[first:end].tolist(), self._sums[first:end]
        damaged = [
            row
            for row, descriptors in zip((rows - first).tolist(), block, strict=True)
            if written["crc32"][row]
            != sums.sum_of(
                ids[row], sizes[row], lengths[row],
                written["picture_sha256"][row].tobytes(), descriptors,
            )
        ]  # fmt: skip
        if damaged:
            raise StoreError(
                f"{self.path}: {len(damaged)} of the rows that were read are damaged,"
                f" {ids[damaged[0]]!r} among them. `vggfeat verify --repair` has them extracted"
                " again."
            )


def _windows(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Ascending rows, those together that lie within WINDOW rows."""
    start = 0
    while start < len(rows):
        end = int(np.searchsorted(rows, rows[start] + WINDOW))
        yield rows[start:end]
        start = end


def _together(rows: np.ndarray, gap: int) -> list[np.ndarray]:
    """Ascending rows, those together that are at most `gap` apart."""
    if not len(rows):
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) > gap) + 1)
