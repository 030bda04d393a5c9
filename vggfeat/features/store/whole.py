"""Feature files whose rows are all done, for good: made of files that a writer has filled.

Shapes: m rows of a block, S scales, D dimensions of a vector.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from vggfeat.features.store import sums
from vggfeat.features.store.format import (
    BROKEN,
    READ_ROWS,
    Conditions,
    RowSums,
    conditions_of,
    done_rows,
    opened,
)
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.disk_file import DiskFile

CHUNK_BYTES = 2**18  # of compressed descriptors, which are unpacked together
LEVEL = 1  # of gzip


@dataclass(frozen=True)
class RowBlock:
    """Rows that are done and as they were written, as `FeatureWriter.write` takes them."""

    ids: list[str]
    descriptors: np.ndarray  # [m, S, D]
    image_sizes: np.ndarray  # [m, 2]
    file_bytes: np.ndarray  # [m]
    picture_sha256: list[bytes]


def sound_rows(
    path: Path, conditions: Conditions, wanted: Mapping[str, int]
) -> tuple[list[dict[str, str]], Iterator[RowBlock]]:
    """The versions that wrote to a file, and those of its rows that another can take, in blocks.

    wanted maps id -> size of the picture's file. There are none in a file of other conditions.
    Raises StoreError, also while the blocks are read.
    """
    with opened(path) as file:
        versions = parse_json(file.attrs["versions"])
        if conditions_of(file) != conditions:
            return [], iter(())
    return versions, _sound_rows(path, wanted)


def _sound_rows(path: Path, wanted: Mapping[str, int]) -> Iterator[RowBlock]:
    with opened(path) as file:
        ids, done = file["ids"].asstr()[()], done_rows(file)
        sizes, lengths = file["image_size"][()], file["file_bytes"][()]
        written, digests = RowSums(path, file), sums.read_sums(path)["picture_sha256"]
        fits = [wanted.get(i) == length for i, length in zip(ids, lengths.tolist(), strict=True)]
        usable = done & np.array(fits, bool)
        for start in range(0, len(ids), READ_ROWS):
            rows = start + np.flatnonzero(usable[start : start + READ_ROWS])
            block = file["descriptors"][start : start + READ_ROWS]
            rows = np.setdiff1d(rows, written.damaged(start, block, rows))
            if len(rows):
                yield RowBlock(
                    ids[rows].tolist(),
                    block[rows - start],
                    sizes[rows],
                    lengths[rows],
                    [digests[row].tobytes() for row in rows],
                )


def write_whole(
    source: Path, target: Path, *, compression: str | None, broken: Mapping[str, str]
) -> None:
    """Write the done rows of a feature file to another, which is whole: none is to be added.

    compression is None or "gzip", of the descriptors alone. broken (name -> reason) is what there
    is no row of: an array [K, 2] of texts. Raises StoreError, and OSError.
    """
    with opened(source) as old, DiskFile(target, "x+") as disk:
        rows = np.flatnonzero(done_rows(old))
        with h5py.File(
            disk, "w", libver="earliest", userblock_size=sums.block_size(len(rows))
        ) as file:
            for name, value in old.attrs.items():
                file.attrs[name] = value
            text = h5py.string_dtype("utf-8")
            ids = old["ids"].asstr()[()][rows].tolist()
            file.create_dataset("ids", data=ids, shape=(len(ids),), dtype=text)
            if broken:
                file.create_dataset(BROKEN, data=[*broken.items()], dtype=text)
            for name in sums.MUTABLE:
                packed = compression if name == "descriptors" else None
                _copy(old[name], file, name, rows, packed, disk)
            extents = [_extent(file[name]) for name in sums.MUTABLE]
        sums.write_block(disk, extents, sums.read_sums(source)[rows])
        disk.sync()


def _copy(
    old: h5py.Dataset,
    file: h5py.File,
    name: str,
    rows: np.ndarray,
    compression: str | None,
    disk: DiskFile,
) -> None:
    """Copy these rows [n], which ascend, of an array into a new file."""
    shape, packing = (len(rows), *old.shape[1:]), {}
    if compression and len(rows):
        row_bytes = old.dtype.itemsize * int(np.prod(old.shape[1:]))
        count = max(1, min(len(rows), CHUNK_BYTES // row_bytes))
        packing = {"chunks": (count, *old.shape[1:]), "shuffle": True}
        packing |= {"compression": compression, "compression_opts": LEVEL}
    new = file.create_dataset(name, shape, old.dtype, **packing)
    # By whole chunks, each of which is packed once.
    step = READ_ROWS // new.chunks[0] * new.chunks[0] or new.chunks[0] if packing else READ_ROWS
    for start in range(0, len(rows), step):
        here = rows[start : start + step]
        first, last = int(here[0]), int(here[-1])
        new[start : start + len(here)] = old[first : last + 1][here - first]
        disk.check()


def _extent(array: h5py.Dataset) -> tuple[int, int]:
    """Where the values of an array lie; nowhere if they are packed, as those never change."""
    if array.chunks is not None:
        return 0, 0
    return array.id.get_offset() or 0, array.id.get_storage_size()
