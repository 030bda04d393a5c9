"""Feature files and folders of shards, opened without reading them: `open_features`.

Shapes: N rows in all, n rows asked for, S scales, D dimensions of a vector.
"""

import os
import reprlib
from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path

import numpy as np

from vggfeat.errors import OptionError, StoreError
from vggfeat.features import store
from vggfeat.features.shards import index
from vggfeat.features.shards.folder import ShardFolder, is_shard_folder
from vggfeat.features.shards.open_files import OpenFiles
from vggfeat.features.store.reader import checked
from vggfeat.plurals import counted

HASHED_ROWS = 2**15  # whose ids are read at once where there is no index


class StoredFeatures:
    """The vectors of a feature file or of a folder of shards, read as they are asked for.

    Rows are numbered from 0: those of the file that are done, or of all shards one after the other.
    Memory does not grow with their number, but for a file's index of ids, 16 bytes a row, made when
    an id is first looked up. It can be sent to other processes, as of torch's DataLoader: each
    opens the files anew.
    """

    def __init__(self, path: Path, files: OpenFiles, dim: int, index_path: Path | None):
        self.path, self.dim = path, dim
        self.conditions = files.conditions
        self._files, self._index_path = files, index_path
        self._index: index.Index | _IndexInMemory | None = None
        self._process = os.getpid()

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales S, in the order in which vectors have them."""
        return self.conditions.scales

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        shape = f"{len(self):,} x {len(self.scales)} scales x {self.dim}"
        return f"<StoredFeatures {self.path}: {shape}>"

    def ids(self, start: int = 0, stop: int | None = None) -> list[str]:
        """The ids of the rows from start to before stop, as of a slice. Raises StoreError."""
        return self._files.ids(self._range(start, stop))

    def read(
        self, start: int = 0, stop: int | None = None, scales: Sequence[int] | None = None
    ) -> np.ndarray:
        """The vectors of the rows from start to before stop: [n, S, D] float32.

        Raises StoreError at rows that are damaged or not finite, and at scales that are not there.
        """
        return self._files.read(self._range(start, stop), self._columns(scales), self.dim)

    def read_rows(
        self, rows: Sequence[int] | np.ndarray, scales: Sequence[int] | None = None
    ) -> np.ndarray:
        """The vectors of these rows, in their order: [n, S, D] float32. Raises what `read` does."""
        given, rows = rows, np.asarray(rows)
        are_numbers = rows.ndim == 1 and (rows.dtype.kind in "iu" or not len(rows))
        if not are_numbers or (len(rows) and not 0 <= rows.min() <= rows.max() < len(self)):
            raise OptionError(
                f"rows must be a list of whole numbers from 0 to {len(self) - 1}, as"
                f" np.flatnonzero makes of a mask; got {reprlib.repr(given)}."
            )
        rows = rows.astype(np.int64)
        ascending, places = np.unique(rows, return_inverse=True)
        vectors = self._files.read(ascending, self._columns(scales), self.dim)
        return vectors if np.array_equal(ascending, rows) else vectors[places]

    def rows_of(self, ids: Sequence[str]) -> np.ndarray:
        """The rows of these ids, in their order: [n] int64; of an id that repeats the first.

        Raises StoreError where one is not there.
        """
        checked(ids, ())
        ids = list(ids)
        if no_texts := [i for i in ids if not isinstance(i, str)]:
            raise OptionError(f"ids must be texts such as 'a.jpg'; got {no_texts[0]!r}.")
        try:
            hashes = index.hashes_of(ids)
        except UnicodeEncodeError as error:  # which no file can hold
            raise StoreError(f"{self.path}: {error.object!r} is not in it.") from error
        with self._files.turn():
            numbers, rows = self._opened_index().candidates(hashes)
        ascending, places = np.unique(rows, return_inverse=True)
        names = self._files.ids(ascending)
        found = np.full(len(ids), -1, np.int64)
        # The first row of an id comes last, so that it stays.
        for number, place in zip(numbers[::-1].tolist(), places[::-1].tolist(), strict=True):
            if names[place] == ids[number]:
                found[number] = ascending[place]
        missing = np.flatnonzero(found < 0)
        if len(missing):
            raise StoreError(
                f"{self.path}: {counted(len(missing), 'id is', 'ids are')} not in it,"
                f" {ids[missing[0]]!r} among them."
            )
        return found

    def read_ids(self, ids: Sequence[str], scales: Sequence[int] | None = None) -> np.ndarray:
        """The vectors of these ids, in their order: [n, S, D] float32.

        Raises StoreError where an id is not there, and what `read` raises.
        """
        return self.read_rows(self.rows_of(ids), scales)

    def blocks(
        self, rows: int, scales: Sequence[int] | None = None
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """All vectors, so many rows at a time: where they stand, and [n, S, D] float32."""
        if not isinstance(rows, Integral) or rows < 1:
            raise OptionError(f"rows must be a whole number from 1 on; got {rows!r}.")
        for start in range(0, len(self), rows):
            place = slice(start, min(start + rows, len(self)))
            yield place, self.read(place.start, place.stop, scales)

    def close(self) -> None:
        """Close what is open; it is opened again when it is needed."""
        with self._files.turn():
            self._files.close()
            if isinstance(self._index, index.Index):
                self._index.close()
                self._index = None

    def __enter__(self) -> "StoredFeatures":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()

    def __getstate__(self) -> dict:
        is_open = isinstance(self._index, index.Index)
        return {**self.__dict__, "_index": None if is_open else self._index}

    def _range(self, start: int, stop: int | None) -> np.ndarray:
        return np.arange(*slice(start, stop).indices(len(self)))

    def _columns(self, scales: Sequence[int] | None) -> list[int]:
        wanted = self.scales if scales is None else checked((), scales)
        missing = [scale for scale in wanted if scale not in self.scales]
        if missing:
            raise StoreError(f"{self.path}: has scales {self.scales}, not {missing[0]}.")
        return [self.scales.index(scale) for scale in wanted]

    def _opened_index(self) -> "index.Index | _IndexInMemory":
        """The index, opened by this process, as a fork has its parent's place in the file."""
        if self._index is None or self._process != os.getpid():
            self._process = os.getpid()
            if self._index_path is not None:
                self._index = index.Index(self._index_path)
            elif self._index is None:
                self._index = _IndexInMemory(self._files)
        return self._index


class _IndexInMemory:
    """The hashes of the ids of a file in their order, 16 bytes a row."""

    def __init__(self, files: OpenFiles):
        blocks = [np.zeros(0, "<u8")]
        for start in range(0, len(files), HASHED_ROWS):
            rows = np.arange(start, min(start + HASHED_ROWS, len(files)))
            blocks.append(index.hashes_of(files.ids(rows)))
        hashes = np.concatenate(blocks)
        self._rows = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._rows]

    def candidates(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `Index`."""
        return index.matches(hashes, np.arange(len(hashes)), self._hashes, self._rows)


def open_features(path: Path | str) -> StoredFeatures:
    """The vectors in a folder of shards or in a feature file of vggfeat, which is not read yet.

    Raises StoreError where there is none, a folder is not whole, or it is damaged.
    """
    path = Path(path)
    if is_shard_folder(path):
        folder = ShardFolder(path)
        manifest = folder.manifest()
        opened = index.Index(folder.index_path)
        opened.close()
        table = opened.table
        if len(table.num_rows) != manifest.num_parts:
            raise StoreError(f"{folder.index_path}: is of another folder. {index.REMEDY}")
        files = OpenFiles(folder.shard, table.num_rows, table.digests, manifest.conditions)
        return StoredFeatures(path, files, manifest.dim, folder.index_path)
    if path.is_dir():
        raise StoreError(f"{path}: no folder of shards, as it has no shards.json.")
    reader = store.FeatureReader(path)
    reader.close()
    files = OpenFiles(partial(_only, path), np.array([len(reader)]), None, reader.conditions)
    return StoredFeatures(path, files, reader.shape[2], None)


def _only(path: Path, number: int) -> Path:
    return path
