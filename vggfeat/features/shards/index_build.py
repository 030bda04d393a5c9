"""The index of a folder of shards is built: hashes of all ids, sorted piece by piece.

No more is in memory than the hashes and rows of PIECE_ROWS ids: each goes into one of some files,
by its first bits, and the files are sorted one after the other.

Shapes: P shards, n rows.
"""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from vggfeat.errors import StoreError
from vggfeat.features import store
from vggfeat.features.shards import index
from vggfeat.features.shards.folder import Manifest, ShardFolder
from vggfeat.features.shards.index import IndexFacts, ShardTable
from vggfeat.features.shards.open_files import OpenFiles
from vggfeat.plurals import counted
from vggfeat.progress import Progress
from vggfeat.storage.disk_file import DiskFile
from vggfeat.storage.files import new_path, remove_parts

PIECE_ROWS = 2**21  # of which hashes and rows are sorted at once: 32 MiB, and as much for the order
MAX_PIECE_BITS = 9  # of 512 files that are open at once; beyond 2**30 rows pieces grow
ABANDONED_S = 3600.0  # after which what a process had begun of an index is removed
READ_ROWS = 2**15  # whose ids are hashed at once
PAIR = np.dtype([("hash", "<u8"), ("row", "<i8")])


def table_of(folder: ShardFolder, num_parts: int) -> ShardTable:
    """What is known of all shards. Raises StoreError where one is missing or damaged."""
    num_rows, digests = np.zeros(num_parts, np.int64), np.zeros((num_parts, 32), np.uint8)
    missing = []
    for part in range(num_parts):
        path = folder.shard(part)
        try:
            num_rows[part], digest = store.digest_of(path)
        except FileNotFoundError:
            missing.append(path)
            continue
        except ValueError as error:
            raise StoreError(f"{path}: {error}. Remove it; it will be made again.") from error
        digests[part] = np.frombuffer(digest, np.uint8)
    if missing:
        raise StoreError(
            f"{folder.path}: {len(missing):,} of its {counted(num_parts, 'shard')} are missing,"
            f" {missing[0].name} among them. Run the same extraction again, which makes them."
        )
    return ShardTable(num_rows, digests)


def facts_of_current(folder: ShardFolder, table: ShardTable) -> IndexFacts | None:
    """What the index says if it is there, sound at a glance, and of these shards."""
    try:
        existing = index.Index(folder.index_path)
    except StoreError:
        return None
    existing.close()
    return existing.facts if existing.table == table else None


def build_index(
    folder: ShardFolder, manifest: Manifest, table: ShardTable, progress: Progress
) -> IndexFacts:
    """Write the index of the shards, and lists of what repeats and of what is broken, if anything.

    Raises StoreError at damaged shards, and OSError.
    """
    files = OpenFiles(folder.shard, table.num_rows, table.digests, manifest.conditions)
    num_rows = len(files)
    bits = index.bits_for(num_rows)
    piece_bits = min((num_rows // PIECE_ROWS).bit_length(), MAX_PIECE_BITS)
    remove_parts(folder.index_path, ABANDONED_S)
    begun = {"prefix": f".{folder.index_path.name}.", "suffix": ".part", "dir": folder.path}
    with (
        tempfile.TemporaryDirectory(**begun) as scratch,
        new_path(folder.index_path) as temporary,
        DiskFile(temporary, "x+", folder.index_path) as disk,
    ):
        pieces = [Path(scratch) / f"{number}" for number in range(1 << piece_bits)]
        with _List(folder.broken_list, ("shard", "name", "reason")) as broken:
            _scatter(folder, files, pieces, piece_bits, broken, progress)
        with (
            h5py.File(disk, "w", libver="earliest") as file,
            _List(folder.duplicates_list, ("id", "row", "first_row")) as duplicates,
        ):
            writer = _IndexWriter(file, num_rows, bits)
            for piece in pieces:
                pairs = np.fromfile(piece, PAIR)
                piece.unlink()
                pairs = pairs[np.argsort(pairs["hash"], kind="stable")]
                for line in _repeated(files, pairs):
                    duplicates.add(line)
                writer.add(pairs)
                disk.check()
            facts = IndexFacts(num_rows, duplicates.count, broken.count)
            names = [folder.name_of(part) for part in range(len(table.num_rows))]
            writer.finish(names, files.first_rows, table.digests, facts)
        disk.sync()
    files.close()
    return facts


def _scatter(
    folder: ShardFolder,
    files: OpenFiles,
    pieces: Sequence[Path],
    bits: int,
    broken: "_List",
    progress: Progress,
) -> None:
    """Write hash and row of each id to the file of its hash's first bits."""
    with ExitStack() as opened:
        outs = [opened.enter_context(piece.open("wb")) for piece in pieces]
        for number, (first, end) in enumerate(pairwise(files.first_rows.tolist())):
            for start in range(first, end, READ_ROWS):
                rows = np.arange(start, min(start + READ_ROWS, end))
                pairs = np.empty(len(rows), PAIR)
                pairs["hash"], pairs["row"] = index.hashes_of(files.ids(rows)), rows
                buckets = index.buckets_of(pairs["hash"], bits)
                pairs = pairs[np.argsort(buckets, kind="stable")]
                edges = np.searchsorted(np.sort(buckets), np.arange(len(outs) + 1))
                for out, (begin, stop) in zip(outs, pairwise(edges), strict=True):
                    out.write(pairs[begin:stop].tobytes())
            for name, reason in files.broken(number).items():
                broken.add((folder.name_of(number), name, reason))
            progress("indexing, rows", end, len(files))


def _repeated(files: OpenFiles, pairs: np.ndarray) -> Iterator[tuple[str, int, int]]:
    """Ids that stand in an earlier row, too, their row and the earlier one.

    pairs [n] are in the order of their hashes, which agree where ids repeat, or by chance.
    """
    again = np.flatnonzero(pairs["hash"][1:] == pairs["hash"][:-1]) + 1
    if not len(again):
        return
    rows = np.unique(pairs["row"][np.union1d(again, again - 1)])
    seen: dict[str, int] = {}
    for row, i in zip(rows.tolist(), files.ids(rows), strict=True):
        if i in seen:
            yield i, row, seen[i]
        seen.setdefault(i, row)


class _List:
    """A `with` block that writes a CSV file, which is there only if it has lines."""

    def __init__(self, path: Path, columns: Sequence[str]):
        self.path, self.columns, self.count = path, columns, 0

    def add(self, line: Sequence[object]) -> None:
        """Add a line."""
        if not self.count:
            temporary = self._opened.enter_context(new_path(self.path))
            text = temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            self._writer = csv.writer(self._opened.enter_context(text), lineterminator="\n")
            self._writer.writerow(self.columns)
        self._writer.writerow(line)
        self.count += 1

    def __enter__(self) -> "_List":
        self._opened = ExitStack()
        return self

    def __exit__(self, kind, error, traceback) -> bool | None:
        if not self.count and error is None:
            self.path.unlink(missing_ok=True)
        return self._opened.__exit__(kind, error, traceback)


class _IndexWriter:
    """The arrays of an index, filled with pairs that come in the order of their hashes."""

    def __init__(self, file: h5py.File, num_rows: int, bits: int):
        self.file, self.bits, self.done = file, bits, 0
        self.hashes = file.create_dataset("hashes", (num_rows,), "<u8")
        self.rows = file.create_dataset("rows", (num_rows,), "<i8")
        self.counts = np.zeros(1 << bits, np.int64)
        self.crc32 = np.full(1 << bits, index.bucket_crc32(np.zeros(0), np.zeros(0)), "<u4")

    def add(self, pairs: np.ndarray) -> None:
        """Pairs [n] of whole buckets."""
        place = slice(self.done, self.done + len(pairs))
        self.hashes[place], self.rows[place] = pairs["hash"], pairs["row"]
        self.done = place.stop
        buckets = index.buckets_of(pairs["hash"], self.bits)
        present, starts, counts = np.unique(buckets, return_index=True, return_counts=True)
        self.counts[present] = counts
        hashes, rows = np.ascontiguousarray(pairs["hash"]), np.ascontiguousarray(pairs["row"])
        for bucket, start, count in zip(present, starts, counts, strict=True):
            here = slice(start, start + count)
            self.crc32[bucket] = index.bucket_crc32(hashes[here], rows[here])

    def finish(
        self,
        names: Sequence[str],
        first_rows: np.ndarray,
        digests: np.ndarray,
        facts: IndexFacts,
    ) -> None:
        """Write what surrounds the pairs, and its digest."""
        starts = np.concatenate([[0], np.cumsum(self.counts)]).astype("<i8")
        small = starts, self.crc32, np.array(names, "S"), first_rows.astype("<i8"), digests
        for name, values in zip(index.SMALL, small, strict=True):
            self.file.create_dataset(name, data=values)
        self.file.attrs["schema_version"] = index.SCHEMA_VERSION
        self.file.attrs["hash"] = "BLAKE2b of 8 bytes, little-endian, of the id in UTF-8"
        self.file.attrs["bits"] = self.bits
        self.file.attrs["num_duplicates"] = facts.num_duplicates
        self.file.attrs["num_broken"] = facts.num_broken
        self.file.attrs["sha256"] = index.seal(self.file)
