"""Many feature files as one list of rows, of which a few are open at a time: `OpenFiles`.

Shapes: P files, n rows, S scales, D dimensions of a vector.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vggfeat.errors import StoreError
from vggfeat.features import store

# Files that are open at a time, of which HDF5 keeps a megabyte or two each, and their rows, each of
# which has a checksum of 36 bytes in memory.
MAX_OPEN, MAX_ROWS = 16, 2**20


class OpenFiles:
    """Rows of files, those of the first file first; path_of says where a file is.

    num_rows [P] and digests [P, 32], `store.digest_of` each, say what the files must be; None is of
    a file that may grow. Each process opens files of its own, also after a fork, and threads take
    turns.
    """

    def __init__(
        self,
        path_of: Callable[[int], Path],
        num_rows: np.ndarray,
        digests: np.ndarray | None,
        conditions: store.Conditions,
    ):
        self.path_of, self.digests, self.conditions = path_of, digests, conditions
        self.first_rows = np.concatenate([[0], np.cumsum(num_rows)]).astype(np.int64)
        self._begin()

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    def ids(self, rows: np.ndarray) -> list[str]:
        """The ids of rows [n], which ascend. Raises StoreError."""
        with self.turn():
            return [i for reader, here, _ in self._by_file(rows) for i in reader.ids(here)]

    def read(self, rows: np.ndarray, columns: Sequence[int], dim: int) -> np.ndarray:
        """The descriptors of rows [n], which ascend, [n, S, D] float32. Raises StoreError."""
        result = np.empty((len(rows), len(columns), dim), np.float32)
        with self.turn():
            for reader, here, place in self._by_file(rows):
                reader.read(here, columns, result[place])
        return result

    def broken(self, number: int) -> dict[str, str]:
        """What was no picture in one of the files: name -> reason. Raises StoreError."""
        with self.turn():
            return self._reader(number).broken

    def close(self) -> None:
        """Close all files, which are opened again when they are needed."""
        with self.turn():
            while self._open:
                self._open.popitem()[1].close()

    def __getstate__(self) -> dict:
        kept = ("path_of", "digests", "conditions", "first_rows")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        self._process, self._lock = os.getpid(), threading.RLock()
        self._open: OrderedDict[int, store.FeatureReader] = OrderedDict()

    def turn(self) -> threading.RLock:
        """The lock of what is open, of this process: a thread may have held it at the fork."""
        if self._process != os.getpid():
            self._begin()
        return self._lock

    def _by_file(self, rows: np.ndarray) -> Iterator[tuple[store.FeatureReader, np.ndarray, slice]]:
        """The files of ascending rows [n], the rows in each, and their places among the n."""
        start = 0
        while start < len(rows):
            number = int(np.searchsorted(self.first_rows, rows[start], side="right")) - 1
            end = int(np.searchsorted(rows, self.first_rows[number + 1]))
            here = rows[start:end] - self.first_rows[number]
            yield self._reader(number), here, slice(start, end)
            start = end

    def _reader(self, number: int) -> store.FeatureReader:
        reader = self._open.get(number)
        if reader is None:
            reader = self._opened(number)
            self._open[number] = reader
            while len(self._open) > 1 and self._holds_too_much():
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return reader

    def _holds_too_much(self) -> bool:
        return len(self._open) > MAX_OPEN or sum(map(len, self._open.values())) > MAX_ROWS

    def _opened(self, number: int) -> store.FeatureReader:
        path = self.path_of(number)
        if self.digests is not None and not path.is_file():
            raise StoreError(f"{path}: is missing. Run the same extraction again, which makes it.")
        reader = store.FeatureReader(path)
        try:
            num_rows = int(self.first_rows[number + 1] - self.first_rows[number])
            known = self.digests
            is_same = known is None or bytes(known[number]) == store.digest_of(path)[1]
            if not is_same or len(reader) < num_rows or reader.conditions != self.conditions:
                raise StoreError(
                    f"{path}: is not the file that was here when the index was made. Run the same"
                    " extraction again, which makes the index anew."
                )
        except BaseException:
            reader.close()
            raise
        return reader
