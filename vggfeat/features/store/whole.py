"""Feature files whose rows are all done, for good: made of files that a writer has filled."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from vggfeat.errors import printable
from vggfeat.features.store import sums
from vggfeat.features.store.format import (
    BROKEN,
    READ_ROWS,
    done_rows,
    opened,
)
from vggfeat.storage.disk_file import DiskFile

CHUNK_BYTES = 2**18  # of compressed descriptors, which are unpacked together
LEVEL = 1  # of gzip


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
                # Names of files can hold what no text can, and HDF5's texts no zero.
                lines = [
                    [printable(part, one_line=True) for part in pair] for pair in broken.items()
                ]
                file.create_dataset(BROKEN, data=lines, dtype=text)
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
