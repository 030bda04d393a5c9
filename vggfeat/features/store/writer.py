"""Writing a feature file: one writer at a time, in an order that a crash cannot hurt."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from vggfeat.errors import StoreError
from vggfeat.features.store import sums
from vggfeat.features.store.format import (
    READ_ROWS,
    SCHEMA_VERSION,
    Conditions,
    conditions_of,
    damaged_rows,
    done_rows,
    explained,
    has_sums,
    open_file,
    rows_of,
)
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.disk_file import DiskFile
from vggfeat.storage.files import new_path, remove_parts
from vggfeat.storage.locks import exclusive

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 1.0  # what a crash can cost


class FeatureWriter:
    """The one writer of a feature file; a `with` block that creates, extends and fills it.

    dim is D; file_bytes maps every id that shall have a row to the size of its picture's file;
    weights_name and versions go into the attributes, with other_versions: those of the files that
    rows are taken from; batch_pixels and created into those of a new file. Others may read the file
    meanwhile; a second writer waits for the first, but for locked=False, where nobody else knows
    the file's name. Raises StoreError if it was made under other conditions.
    """

    def __init__(
        self,
        path: Path,
        conditions: Conditions,
        *,
        dim: int,
        file_bytes: Mapping[str, int],
        weights_name: str,
        versions: Mapping[str, str],
        other_versions: Sequence[Mapping[str, str]] = (),
        batch_pixels: int | None = None,
        created: str | None = None,
        locked: bool = True,
    ):
        self.path, self.dim = path, dim
        self._pending: list[int] = []
        self._committed_at = time.monotonic()
        with ExitStack() as opened:
            if locked:  # by this name other versions know the lock, too
                opened.enter_context(exclusive(path, path.with_name(f"{path.name}.lock")))
                remove_parts(path)
            created = created or datetime.now(UTC).isoformat(timespec="seconds")
            begun = {"weights_name": weights_name, "created": created}
            begun |= {} if batch_pixels is None else {"batch_pixels": batch_pixels}
            all_versions = [dict(each) for each in (*other_versions, versions)]
            _create_or_extend(path, conditions, dim, list(file_bytes), begun, all_versions)
            self._disk = opened.enter_context(DiskFile(path, "r+"))
            self._file = opened.enter_context(open_file(path, "r+", self._disk))
            with explained(path):
                self._rows = rows_of(self._file)
                self._done = done_rows(self._file)
                self._stale = self._changed_rows(file_bytes) | self._damaged_rows(path)
            self._opened = opened.pop_all()

    def has_rows(self, ids: Iterable[str]) -> bool:
        """Whether each of the ids has a row, filled or not."""
        return self._rows.keys() >= set(ids)

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids whose descriptor is missing."""
        rows = {i: self._rows[i] for i in ids}
        return {i for i, row in rows.items() if not self._done[row] or row in self._stale}

    def write(
        self,
        ids: Sequence[str],
        descriptors: np.ndarray,
        image_sizes: Sequence[tuple[int, int]],
        file_bytes: Sequence[int],
        picture_sha256: Sequence[bytes] | None = None,
    ) -> None:
        """Store the descriptors [n, S, D] of n ids; they count as done at the next commit.

        picture_sha256 are the digests of the pictures' files, 32 bytes each, where they are known.
        """
        rows = [self._rows[i] for i in ids]
        if self._stale.intersection(rows):  # what is about to be overwritten no longer counts
            self._done[rows] = False
            self._file["done"][...] = self._done
            self._flush()
            self._stale.difference_update(rows)
        # Looking them up takes as long as writing to them.
        names = "descriptors", "image_size", "file_bytes"
        vectors, sizes, lengths = (self._file[name] for name in names)
        stored = np.asarray(descriptors, vectors.dtype)
        digests = picture_sha256 or [sums.UNKNOWN] * len(rows)
        image_sizes, file_bytes = np.asarray(image_sizes), np.asarray(file_bytes)
        names = [i.encode(errors="surrogateescape") for i in ids]
        written = np.zeros(len(rows), sums.SUM)
        written["picture_sha256"] = digests
        written["crc32"] = sums.sums_of(names, image_sizes, file_bytes, b"".join(digests), stored)
        for start, end in _runs(rows):
            place = slice(rows[start], rows[start] + end - start)
            vectors[place], sizes[place] = stored[start:end], image_sizes[start:end]
            lengths[place] = file_bytes[start:end]
            self._disk.seek(sums.offset_of(rows[start]))
            self._disk.write(written[start:end].tobytes())
        self._pending += rows  # whole batches only, also at an interrupt
        if time.monotonic() - self._committed_at >= COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Bring the descriptors to disk, then mark them as done."""
        self._flush()
        self._done[self._pending] = True
        # All at once: a kill must not leave half a batch done, or the next run cuts other batches.
        self._file["done"][...] = self._done
        self._flush()
        self._pending.clear()
        self._committed_at = time.monotonic()

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        with self._opened:
            self.commit()

    def _flush(self) -> None:
        self._file.flush()
        self._disk.sync()

    def _damaged_rows(self, path: Path) -> set[int]:
        """Rows whose content is not what was written, which are extracted again."""
        damaged = damaged_rows(path, self._file, np.flatnonzero(self._done))
        if len(damaged):
            first = self._file["ids"].asstr()[int(damaged[0])]
            log.warning(
                "%s: %d of its rows are damaged, %r among them; extracted again where they are"
                " needed", path, len(damaged), first,
            )  # fmt: skip
        return set(damaged.tolist())

    def _changed_rows(self, file_bytes: Mapping[str, int]) -> set[int]:
        """Rows of pictures whose file has another size than when they were extracted.

        A picture that cannot be found now (-1) is no reason to lose its descriptor.
        """
        stored = self._file["file_bytes"][()]
        rows = {self._rows[i]: length for i, length in file_bytes.items()}
        return {
            row for row, length in rows.items() if stored[row] not in (0, length) and length >= 0
        }


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The beginnings and ends of the places at which rows follow each other by one."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    return pairwise([0, *breaks.tolist(), len(rows)] if len(rows) else [])


def _create_or_extend(
    path: Path,
    conditions: Conditions,
    dim: int,
    ids: list[str],
    begun: Mapping[str, str | int],
    versions: list[dict[str, str]],
) -> None:
    """Make sure that the file exists, fits the conditions, has a row for every id, and names the
    library versions that write to it. begun are attributes that stay as they were at first."""
    if not path.exists():
        with new_path(path) as temporary, DiskFile(temporary, "x+", path) as disk:
            _write_new(disk, conditions, dim, ids, begun, _each_once(versions))
        return
    with open_file(path, "r") as old:
        with explained(path):
            stored = conditions_of(old)
            old_ids = old["ids"].asstr()[()].tolist()
            writers = parse_json(old.attrs["versions"])
            names = ("weights_name", "created", "batch_pixels")
            provenance = {name: old.attrs[name] for name in names if name in old.attrs}
            is_packed = old["descriptors"].chunks is not None  # and cannot be changed in place
        _check_conditions(path, stored=stored, asked=conditions)
        known_ids = set(old_ids)
        new_ids = [i for i in ids if i not in known_ids]
        all_writers = _each_once([*writers, *versions])
        if new_ids or all_writers != writers or not has_sums(old) or is_packed:
            with new_path(path) as temporary, DiskFile(temporary, "x+", path) as disk:
                _write_new(disk, conditions, dim, old_ids + new_ids, provenance, all_writers, old)


def _each_once(versions: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """The versions in their order, each of them once."""
    once: list[dict[str, str]] = []
    for each in versions:
        if each not in once:
            once.append(each)
    return once


def _write_new(
    disk: DiskFile,
    conditions: Conditions,
    dim: int,
    ids: list[str],
    provenance: Mapping[str, str | int],
    versions: list[dict[str, str]],
    old: h5py.File | None = None,
) -> None:
    """Write a file with all its space allocated; the rows of `old` come first."""
    num_bytes = sums.block_size(len(ids))
    with h5py.File(disk, "w", libver="earliest", userblock_size=num_bytes) as file:
        attributes = {
            "schema_version": SCHEMA_VERSION,
            **asdict(conditions),
            **provenance,
            "versions": json.dumps(versions),
        }
        for name, value in attributes.items():
            file.attrs[name] = value
        file.create_dataset("ids", data=ids, dtype=h5py.string_dtype("utf-8"))
        for name, (shape, dtype) in {
            "descriptors": ((len(conditions.scales), dim), conditions.dtype),
            "done": ((), "bool"),
            "image_size": ((2,), "int32"),
            "file_bytes": ((), "int64"),
        }.items():
            rows = file.create_dataset(
                name, (len(ids), *shape), dtype, dcpl=_allocated_at_once(), fillvalue=0
            )
            for start in range(0, len(old[name]) if old else 0, READ_ROWS):
                block = old[name][start : start + READ_ROWS]
                rows[start : start + len(block)] = block
                disk.check()
        changing = [file[name].id for name in sums.MUTABLE]
        extents = [(array.get_offset() or 0, array.get_storage_size()) for array in changing]
    new_sums = np.zeros(len(ids), sums.SUM)
    if old:
        new_sums[: len(old["ids"])] = _sums_of(old)
    sums.write_block(disk, extents, new_sums)
    disk.sync()


def _sums_of(old: h5py.File) -> np.ndarray:
    """The sums [N] of a file's rows; of one without them as its rows are now."""
    path = Path(old.filename)
    if has_sums(old):
        return sums.read_sums(path)
    ids, sizes, lengths = (old[name][()] for name in ("ids", "image_size", "file_bytes"))
    new_sums = np.zeros(len(ids), sums.SUM)
    for start in range(0, len(ids), READ_ROWS):
        here = slice(start, start + READ_ROWS)
        block = old["descriptors"][here]
        unknown = sums.UNKNOWN * len(block)
        new_sums["crc32"][here] = sums.sums_of(
            ids[here], sizes[here], lengths[here], unknown, block
        )
    new_sums["crc32"][~done_rows(old)] = 0
    return new_sums


def _allocated_at_once() -> h5py.h5p.PropDCID:
    """HDF5 would otherwise allocate at the first write, and a kill then could tear the file."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    return properties


def _check_conditions(path: Path, *, stored: Conditions, asked: Conditions) -> None:
    old, new = asdict(stored), asdict(asked)
    differences = [
        f"{name} is {old[name]!r} in the file, {new[name]!r} asked"
        for name in old
        if old[name] != new[name]
    ]
    if differences:
        raise StoreError(
            f"{path}: made under other conditions: {'; '.join(differences)}."
            " Choose another file, or move this one away."
        )
