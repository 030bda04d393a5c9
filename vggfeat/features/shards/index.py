"""The index of a folder of shards: HDF5, schema version 1, the row of each id.

    /hashes          [N]      64 bits of each id, ascending: BLAKE2b of 8 bytes, little-endian
    /rows            [N]      the row of each, counted through the shards in their order
    /bucket_starts   [B + 1]  where hashes of each value of the first `bits` bits begin
    /bucket_crc32    [B]      of the hashes and the rows of each bucket
    /shards          [P]      the names of the shards
    /first_rows      [P + 1]  the row that each begins with
    /digests         [P, 32]  SHA-256 of each one's seal and checksums

The attribute sha256 is of all but hashes and rows, whose buckets have sums of their own, so that a
few ids are found without reading all. Two ids may have one hash: whoever looks one up reads the id
of the row, too.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vggfeat.errors import StoreError
from vggfeat.features.store.format import explained
from vggfeat.storage import hdf5

SCHEMA_VERSION = 1
HASH_BYTES = 8
BUCKET_ROWS = 512  # about, of the hashes that are looked through for an id
RUN = 64  # buckets that are read together
SMALL = ("bucket_starts", "bucket_crc32", "shards", "first_rows", "digests")
REMEDY = "Remove it and run the same extraction again, which makes it anew."


def hashes_of(ids: Sequence[str]) -> np.ndarray:
    """64 bits of each id [n]."""
    blake2b, size = hashlib.blake2b, HASH_BYTES
    content = b"".join(
        [blake2b(i.encode(errors="surrogateescape"), digest_size=size).digest() for i in ids]
    )
    return np.frombuffer(content, "<u8")


def bits_for(num_rows: int) -> int:
    """How many first bits of the hashes tell the buckets apart."""
    return max(0, (num_rows // BUCKET_ROWS).bit_length())


def buckets_of(hashes: np.ndarray, bits: int) -> np.ndarray:
    """The bucket of each hash [n]: its first bits."""
    if not bits:
        return np.zeros(len(hashes), np.int64)
    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def matches(
    hashes: np.ndarray, numbers: np.ndarray, known: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each hash [n] all rows that have it: its number, as often, and the rows [m].

    known [k] are the hashes of the rows [k], ascending.
    """
    begin = np.searchsorted(known, hashes, side="left")
    counts = np.searchsorted(known, hashes, side="right") - begin
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(numbers, counts), rows[np.repeat(begin, counts) + offsets]


def bucket_crc32(hashes: np.ndarray, rows: np.ndarray) -> int:
    """The checksum of a bucket."""
    return zlib.crc32(rows.astype("<i8").tobytes(), zlib.crc32(hashes.astype("<u8").tobytes()))


def seal(file: h5py.File) -> str:
    """The SHA-256 of what an index says beside its hashes and rows."""
    facts = {name: _plain(value) for name, value in file.attrs.items() if name != "sha256"}
    total = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in SMALL:
        total.update(f"{name} {file[name].shape}".encode() + file[name][()].tobytes())
    return total.hexdigest()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class ShardTable:
    """What an index knows of the shards: their rows [P] and digests [P, 32]."""

    num_rows: np.ndarray
    digests: np.ndarray

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ShardTable)
            and np.array_equal(self.num_rows, other.num_rows)
            and np.array_equal(self.digests, other.digests)
        )


@dataclass(frozen=True)
class IndexFacts:
    """What there is to say of all shards: rows, those whose id stands in an earlier one, and what
    was no picture."""

    num_rows: int
    num_duplicates: int
    num_broken: int


class Index:
    """An index that stays open: which rows may be those of an id. Raises StoreError at damage."""

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise StoreError(
                f"{path}: is not there: the extraction has not come to its end. Run it again."
            )
        with explained_index(path):
            self._file = hdf5.open_file(path)
        try:
            with explained_index(path):
                self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        file = self._file
        hdf5.check_parts(file, ("hashes", "rows", *SMALL))
        if file.attrs["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {file.attrs['schema_version']}")
        if file.attrs["sha256"] != seal(file):
            raise ValueError("it is not as it was written")
        self._bits = int(file.attrs["bits"])
        counts = (int(file.attrs[name]) for name in ("num_duplicates", "num_broken"))
        self.facts = IndexFacts(len(file["rows"]), *counts)
        self._hashes, self._rows = file["hashes"], file["rows"]
        self._starts, self._crc32 = file["bucket_starts"][()], file["bucket_crc32"][()]
        self.table = ShardTable(np.diff(file["first_rows"][()]), file["digests"][()])
        if {self._hashes.shape, self._rows.shape} != {(int(self._starts[-1]),)}:
            raise ValueError("hashes and rows are not as many as they were")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def candidates(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the hashes [n] are there, and where: numbers of hashes [m] and rows [m].

        A hash that several rows have is there as often, the first row first.
        """
        order = np.argsort(hashes, kind="stable")
        buckets = buckets_of(hashes[order], self._bits)
        numbers, rows = [], []
        with explained_index(self.path):
            for first, end in _runs(np.unique(buckets)):
                here = order[slice(*np.searchsorted(buckets, [first, end]))]
                found = matches(hashes[here], here, *self._bucket_run(first, end))
                numbers.append(found[0])
                rows.append(found[1])
        if not numbers:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(numbers), np.concatenate(rows)

    def check(self) -> None:
        """Read all of it. Raises StoreError."""
        with explained_index(self.path):
            for first in range(0, len(self._crc32), RUN):
                self._bucket_run(first, min(first + RUN, len(self._crc32)))

    def _bucket_run(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The hashes and rows of the buckets from `first` to before `end`."""
        starts = self._starts[first : end + 1]
        hashes = self._hashes[starts[0] : starts[-1]]
        rows = self._rows[starts[0] : starts[-1]]
        starts = starts - starts[0]
        for number in range(end - first):
            place = slice(starts[number], starts[number + 1])
            if bucket_crc32(hashes[place], rows[place]) != self._crc32[first + number]:
                raise ValueError("its rows are not as they were written")
        return hashes, rows


def _runs(buckets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ascending buckets in runs that are read at once: (first, end), at most RUN buckets each."""
    start = 0
    while start < len(buckets):
        end = int(np.searchsorted(buckets, buckets[start] + RUN))
        # Those that are far from each other are read one by one.
        if end - start < RUN // 8:
            end = start + 1
        yield int(buckets[start]), int(buckets[end - 1]) + 1
        start = end


def explained_index(path: Path) -> AbstractContextManager[None]:
    """A `with` block in which damage is a StoreError that names the index."""
    return explained(path, "an index of shards", REMEDY)
