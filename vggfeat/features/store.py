"""Feature files: HDF5, schema version 1.

    /ids          [N]        utf-8, unique
    /descriptors  [N, S, D]  float32 or float16: per image and scale, not normalised
    /done         [N]        bool, true only after the descriptor is on disk
    /image_size   [N, 2]     width, height of the picture, pixels
    /file_bytes   [N]        size of the picture's file; another size now means another picture

The attributes hold the fields of `Conditions`, which must be equal for a file to be used again,
and beside them schema_version, weights_name, created and versions: a JSON list of the library
versions that wrote to the file.

A process killed at any moment leaves a readable file: everything is allocated when the file is
made, under another name; from then on only values inside the arrays change, first the descriptors,
then, once those are on disk, their `done`.
"""

import glob
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import filelock
import h5py
import numpy as np

from vggfeat.errors import StoreError
from vggfeat.storage.files import new_path

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
COMMIT_EVERY_S = 1.0  # what a crash can cost
READ_ROWS = 1024  # rows read at once
DATASETS = ("ids", "descriptors", "done", "image_size", "file_bytes")
REMEDY = "Move it away; it will be made again."


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Everything that decides what the descriptors of a picture are."""

    dataset: str
    network: str
    weights: str  # "sha256:" and the file's digest, or "random:" and the seed
    layer: str
    scales: tuple[int, ...]
    mirror: bool
    mean: tuple[float, float, float]  # per channel R, G, B of pixels 0 to 255
    std: tuple[float, float, float]
    decoder: str
    exif: bool  # whether EXIF rotation was applied
    resize_filter: str
    precision: str  # of the forward pass
    dtype: str  # of the stored descriptors

    def digest(self) -> str:
        """Twelve hexadecimal digits that tell these conditions from others."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def find(
    folder: Path, stem: str, conditions: Conditions, file_bytes: Mapping[str, int]
) -> tuple[Path, bool]:
    """The path of the feature file for these conditions, and whether it is complete.

    file_bytes maps id -> size of the picture's file. A complete file with more scales is as good,
    since scales are stored apart; otherwise the path is the conditions' own, there or not.
    """
    own = folder / f"{stem}-{conditions.digest()}.h5"
    others = sorted(folder.glob(f"{glob.escape(stem)}-*.h5"), key=lambda path: path != own)
    for path in others:
        try:
            with _opened(path) as file:
                if _serves(file, conditions, file_bytes):
                    return path, True
        except StoreError:
            continue  # damaged: the writer will say so if it is the one that is needed
    return own, False


def _serves(file: h5py.File, conditions: Conditions, file_bytes: Mapping[str, int]) -> bool:
    stored = _conditions(file)
    if not set(conditions.scales) <= set(stored.scales):
        return False
    if replace(stored, scales=conditions.scales) != conditions:
        return False
    return not _lacking(file, file_bytes)


def _lacking(file: h5py.File, file_bytes: Mapping[str, int]) -> set[str]:
    """The ids without a finished row of a picture file of that size."""
    rows, done, lengths = _rows_of(file), file["done"][()], file["file_bytes"][()]
    return {
        i
        for i, length in file_bytes.items()
        if not (i in rows and done[rows[i]] and lengths[rows[i]] == length)
    }


def lacking(path: Path, file_bytes: Mapping[str, int]) -> set[str]:
    """The ids whose descriptor is yet to be made; all of them if there is no file."""
    if not path.exists():
        return set(file_bytes)
    with _opened(path) as file:
        return _lacking(file, file_bytes)


def read(path: Path, ids: Sequence[str], scales: Sequence[int]) -> np.ndarray:
    """The descriptors of these ids at these scales, in their order: [len(ids), S, D] float32.

    Raises StoreError if one is not there, not done or not finite.
    """
    with _opened(path) as file:
        stored_scales = _conditions(file).scales
        missing = [scale for scale in scales if scale not in stored_scales]
        if missing:
            raise StoreError(f"{path}: has scales {stored_scales}, not {missing[0]}.")
        columns = [stored_scales.index(scale) for scale in scales]
        rows = _rows_of(file)
        done = file["done"][()]
        absent = [i for i in ids if i not in rows or not done[rows[i]]]
        if absent:
            raise StoreError(
                f"{path}: {len(absent)} descriptors are missing, {absent[0]!r} among them."
                " Extract them first."
            )
        wanted = np.array([rows[i] for i in ids], dtype=np.int64)
        stored = file["descriptors"]
        result = np.empty((len(ids), len(scales), stored.shape[2]), dtype=np.float32)
        # Whole slices, as HDF5 is slow at picking single rows.
        for start in range(0, len(stored), READ_ROWS):
            here = np.flatnonzero((wanted >= start) & (wanted < start + READ_ROWS))
            if len(here):
                block = stored[start : start + READ_ROWS]
                result[here] = block[wanted[here] - start][:, columns]
        if not np.isfinite(result).all():
            raise StoreError(f"{path}: holds descriptors that are not finite. {REMEDY}")
        return result


@dataclass(frozen=True)
class Summary:
    """What `inspect` finds in a feature file."""

    conditions: Conditions
    weights_name: str
    versions: list[dict[str, str]]
    created: str
    num_rows: int
    num_done: int
    shape: tuple[int, int, int]
    bytes: int
    num_not_finite: int  # done rows with a NaN or an infinity
    num_zero: int  # done rows that are zero throughout


def inspect(path: Path) -> Summary:
    """Read a whole feature file and say what is in it. Raises StoreError."""
    with _opened(path) as file:
        stored, done = file["descriptors"], file["done"][()]
        not_finite = zero = 0
        for start in range(0, len(stored), READ_ROWS):
            block = stored[start : start + READ_ROWS][done[start : start + READ_ROWS]]
            not_finite += int((~np.isfinite(block)).any(axis=(1, 2)).sum())
            zero += int((block == 0).all(axis=(1, 2)).sum())
        return Summary(
            conditions=_conditions(file),
            weights_name=file.attrs["weights_name"],
            versions=json.loads(file.attrs["versions"]),
            created=file.attrs["created"],
            num_rows=len(done),
            num_done=int(done.sum()),
            shape=stored.shape,
            bytes=path.stat().st_size,
            num_not_finite=not_finite,
            num_zero=zero,
        )


class FeatureWriter:
    """The one writer of a feature file; a `with` block that creates, extends and fills it.

    dim is D; file_bytes maps every id that shall have a row to the size of its picture's file;
    weights_name and versions go into the attributes. Others may read the file meanwhile; a second
    writer waits for the first. Raises StoreError if it was made under other conditions.
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
    ):
        self.dim = dim
        self._pending: list[int] = []
        self._committed_at = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(f"{path}.lock")
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            log.info("another process is writing %s: waiting for it", path)
            self._lock.acquire()
        try:
            _create_or_extend(path, conditions, dim, list(file_bytes), weights_name, dict(versions))
            self._file = _open(path, "r+")
            try:
                with _explained(path):
                    self._rows = _rows_of(self._file)
                    self._done = self._file["done"][()]
                    self._stale = self._changed_rows(file_bytes)
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids whose descriptor is not there yet."""
        wanted = {i: self._rows[i] for i in ids}
        return {i for i, row in wanted.items() if not self._done[row] or row in self._stale}

    def write(
        self,
        ids: Sequence[str],
        descriptors: np.ndarray,
        image_sizes: Sequence[tuple[int, int]],
        file_bytes: Sequence[int],
    ) -> None:
        """Store the descriptors [n, S, D] of n ids; they count as done at the next commit."""
        rows = [self._rows[i] for i in ids]
        if self._stale.intersection(rows):  # what is about to be overwritten no longer counts
            self._done[rows] = False
            self._file["done"][...] = self._done
            self._flush()
            self._stale.difference_update(rows)
        for row, descriptor, size, length in zip(
            rows, descriptors, image_sizes, file_bytes, strict=True
        ):
            self._file["descriptors"][row] = descriptor
            self._file["image_size"][row] = size
            self._file["file_bytes"][row] = length
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
        try:
            self.commit()
        finally:
            self._file.close()
            self._lock.release()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())

    def _changed_rows(self, file_bytes: Mapping[str, int]) -> set[int]:
        """Rows of pictures whose file has another size than when they were extracted.

        A picture that cannot be found now (-1) is no reason to lose its descriptor.
        """
        stored = self._file["file_bytes"][()]
        rows = {self._rows[i]: length for i, length in file_bytes.items()}
        return {
            row for row, length in rows.items() if stored[row] not in (0, length) and length >= 0
        }


def _create_or_extend(
    path: Path,
    conditions: Conditions,
    dim: int,
    ids: list[str],
    weights_name: str,
    versions: dict[str, str],
) -> None:
    """Make sure that the file exists, fits the conditions, has a row for every id, and says which
    versions write to it."""
    provenance = {
        "weights_name": weights_name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if not path.exists():
        with new_path(path) as temporary:
            _write_new(temporary, conditions, dim, ids, provenance, [versions])
        return
    with _open(path, "r") as old:
        with _explained(path):
            stored = _conditions(old)
            old_ids = old["ids"].asstr()[()].tolist()
            told = json.loads(old.attrs["versions"])
            provenance = {name: old.attrs[name] for name in provenance}
        _check_conditions(path, stored=stored, asked=conditions)
        known = set(old_ids)
        new_ids = [i for i in ids if i not in known]
        if new_ids or versions not in told:
            told += [versions] if versions not in told else []
            with new_path(path) as temporary:
                _write_new(temporary, conditions, dim, old_ids + new_ids, provenance, told, old)


def _write_new(
    path: Path,
    conditions: Conditions,
    dim: int,
    ids: list[str],
    provenance: Mapping[str, str],
    versions: list[dict[str, str]],
    old: h5py.File | None = None,
) -> None:
    """Write a file with all its space allocated; the rows of `old` come first."""
    with h5py.File(path, "x") as file:
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
        file.flush()
        os.fsync(file.id.get_vfd_handle())


def _allocated_at_once() -> h5py.h5p.PropDCID:
    """HDF5 would otherwise allocate at the first write, and a kill then could tear the file."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    return properties


def _conditions(file: h5py.File) -> Conditions:
    values = {}
    for field in fields(Conditions):
        value = file.attrs[field.name]
        values[field.name] = tuple(value.tolist()) if isinstance(value, np.ndarray) else value
    values["mirror"], values["exif"] = bool(values["mirror"]), bool(values["exif"])
    return Conditions(**values)


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


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file for a block that only reads; damage found there is a StoreError too."""
    with _open(path, "r") as file, _explained(path):
        yield file


def _open(path: Path, mode: str) -> h5py.File:
    """Open a feature file; raises StoreError unless it has this schema.

    HDF5's own lock is not used: FeatureWriter has one for writers, and reading beside a writer is
    safe, as only values inside arrays change.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such feature file.")
    with _explained(path):
        file = h5py.File(path, mode, locking=False)
        try:
            _check_schema(path, file)
        except BaseException:
            file.close()
            raise
    return file


def _check_schema(path: Path, file: h5py.File) -> None:
    version = file.attrs.get("schema_version")
    if version is None:
        raise StoreError(f"{path}: not a feature file of vggfeat.")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path}: schema version {version}, and this program knows {SCHEMA_VERSION}. {REMEDY}"
        )
    attributes = [field.name for field in fields(Conditions)]
    attributes += ["weights_name", "created", "versions"]
    absent = [name for name in attributes if name not in file.attrs]
    absent += [name for name in DATASETS if name not in file]
    if absent:
        raise StoreError(f"{path}: {absent[0]} is missing. {REMEDY}")
    scales, dtype = _conditions(file).scales, str(file.attrs["dtype"])
    num_rows, (_, num_scales, _) = len(file["ids"]), file["descriptors"].shape
    sound = (
        all(len(file[name]) == num_rows for name in DATASETS)
        and num_scales == len(scales)
        and file["descriptors"].dtype == dtype
        and file["done"].dtype == bool
        and isinstance(json.loads(file.attrs["versions"]), list)
    )
    if not sound:
        raise StoreError(f"{path}: its parts do not fit each other. {REMEDY}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever h5py raises while a damaged file is read, as a StoreError that names the file."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(
            f"{path}: cannot be read as a feature file ({reason}). {REMEDY}"
        ) from error


def _rows_of(file: h5py.File) -> dict[str, int]:
    return {i: row for row, i in enumerate(file["ids"].asstr()[()])}
