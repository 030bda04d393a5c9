"""Rows of a feature file that count as missing from now on, so that they are extracted again."""

from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np

from vggfeat.features.store.format import damaged_rows, done_rows, open_file, rows_of
from vggfeat.storage.disk_file import DiskFile
from vggfeat.storage.locks import exclusive


def forget_damaged(path: Path) -> int:
    """Mark the damaged rows of a file as not done, so that they are extracted again; how many.

    Raises StoreError if more than rows is damaged.
    """
    return _forget(path, lambda file, done: damaged_rows(path, file, np.flatnonzero(done)))


def forget(path: Path, ids: Iterable[str]) -> int:
    """Mark the rows of these ids as not done, so that they are extracted again; how many were.

    Raises StoreError.
    """

    def chosen(file: h5py.File, done: np.ndarray) -> np.ndarray:
        rows = rows_of(file)
        return np.array([rows[i] for i in ids if i in rows and done[rows[i]]], dtype=np.int64)

    return _forget(path, chosen)


def _forget(path: Path, choose: Callable[[h5py.File, np.ndarray], np.ndarray]) -> int:
    """Mark the rows that choose(file, done) returns as not done; how many."""
    with (
        exclusive(path, path.with_name(f"{path.name}.lock")),
        DiskFile(path, "r+") as disk,
        open_file(path, "r+", disk) as file,
    ):
        done = done_rows(file)
        rows = choose(file, done)
        done[rows] = False
        file["done"][...] = done
        file.flush()
        disk.sync()
    return len(rows)
