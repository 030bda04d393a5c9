"""Feature files: HDF5, schema version 2.

    /ids          [N]        utf-8, unique
    /descriptors  [N, S, D]  float32 or float16: per image and scale, not normalised
    /done         [N]        bool, true only after the descriptor is on disk
    /image_size   [N, 2]     width, height of the picture, pixels
    /file_bytes   [N]        size of the picture's file; another size now means another picture

The attributes hold the fields of `Conditions`, which must be equal for a file to be used again,
and beside them schema_version, weights_name, created and versions: a JSON list of the library
versions that wrote to the file, or to others that rows were taken from. A file that was begun on a
GPU has batch_pixels, by which its batches are cut. Checksums lie before the HDF5 part, see `sums`;
files of schema version 1 have none.

A process killed at any moment leaves a readable file: everything is allocated when the file is
made, under another name; from then on only values inside the arrays change, first the descriptors,
then, once those are on disk, their `done`.
"""

import errno
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import h5py
import numpy as np

from vggfeat.errors import NO_ROOM, StoreError
from vggfeat.features.store import sums
from vggfeat.storage import hdf5
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.disk_file import DiskFile

SCHEMA_VERSION = 2
UNSEALED = 1  # the schema version of files without checksums, which are read as ever
# Errors of the machine, which say nothing of the file; a full disk is where rows are copied to.
NOT_OF_THE_FILE = (
    errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EROFS, *NO_ROOM,
)  # fmt: skip
DECODER, SCALED_DECODER = "Pillow", "Pillow, scaled JPEG"
READ_ROWS = 1024  # rows read at once
BROKEN = "broken"  # an array [K, 2] of some files: names of what was no picture, and reasons
DATASETS = ("ids", "descriptors", "done", "image_size", "file_bytes")
REMEDY = "Move it away; it will be made again."


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Everything that decides the values of a picture's descriptors."""

    dataset: str
    network: str
    weights: str  # "sha256:" and the digest that identifies them, or "random:" and the seed
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

    @property
    def scaled_jpeg(self) -> bool:
        """Whether large JPEGs were decoded smaller."""
        return self.decoder == SCALED_DECODER

    def is_like(self, other: "Conditions") -> bool:
        """Whether vectors at a scale of both are the same, which scales there are aside."""
        return replace(self, scales=other.scales) == other

    def digest(self) -> str:
        """Twelve hexadecimal digits that differ where conditions differ."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def conditions_of(file: h5py.File) -> Conditions:
    """The conditions that a file was made under."""
    values = {}
    for field in fields(Conditions):
        value = file.attrs[field.name]
        values[field.name] = tuple(value.tolist()) if isinstance(value, np.ndarray) else value
    values["mirror"], values["exif"] = bool(values["mirror"]), bool(values["exif"])
    return Conditions(**values)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file for a block that only reads; damage met in the block is a StoreError, too."""
    with open_file(path, "r") as file, explained(path):
        yield file


def open_file(path: Path, mode: str, disk: DiskFile | None = None) -> h5py.File:
    """Open a feature file, a writer's through `disk`; raises StoreError unless it has this schema.

    HDF5's own lock is not used: FeatureWriter has one for writers, and reading beside a writer is
    safe, as only values inside arrays change.
    """
    if path.is_dir():
        raise StoreError(
            f"{path}: is a folder, no feature file. vggfeat.open_features reads folders of shards."
        )
    if not path.is_file():
        raise StoreError(f"{path}: no such feature file.")
    with explained(path):
        has_sums = sums.is_sealed(path)
        if has_sums:  # so it is as this program wrote it, and HDF5 can do no harm
            sums.read_sums(path)
            file = h5py.File(disk or path, mode, locking=False)
        else:
            file = hdf5.open_file(path, mode)
        try:
            _check_schema(path, file, SCHEMA_VERSION if has_sums else UNSEALED)
        except BaseException:
            file.close()
            raise
    return file


def _check_schema(path: Path, file: h5py.File, expected: int) -> None:
    if expected == UNSEALED:
        hdf5.check_parts(file, DATASETS)
    version = file.attrs.get("schema_version")
    if version is None:
        raise StoreError(f"{path}: not a feature file of vggfeat.")
    if version == SCHEMA_VERSION != expected:
        raise StoreError(f"{path}: its checksums are damaged or missing. {REMEDY}")
    if version != expected:
        raise StoreError(
            f"{path}: schema version {version}, and this program knows {UNSEALED} and"
            f" {SCHEMA_VERSION}. {REMEDY}"
        )
    attributes = [field.name for field in fields(Conditions)]
    attributes += ["weights_name", "created", "versions"]
    absent = [name for name in attributes if name not in file.attrs]
    absent += [name for name in DATASETS if name not in file]
    if absent:
        raise StoreError(f"{path}: {absent[0]} is missing. {REMEDY}")
    scales, dtype = conditions_of(file).scales, str(file.attrs["dtype"])
    num_rows, (_, num_scales, _) = len(file["ids"]), file["descriptors"].shape
    sound = (
        all(file[name].shape[:1] == (num_rows,) for name in DATASETS)
        and [file[name].ndim for name in DATASETS] == [1, 3, 1, 2, 1]
        and file["image_size"].shape[1] == 2
        and file["image_size"].dtype.kind == file["file_bytes"].dtype.kind == "i"
        and _are_texts(file, ["weights_name", "created", "versions"])
        and _are_texts(file, [field.name for field in fields(Conditions) if field.type is str])
        and all(np.ndim(file.attrs[name]) == 1 for name in ("scales", "mean", "std"))
        and num_scales == len(scales)
        and file["descriptors"].dtype == dtype
        and file["done"].dtype == bool
        and isinstance(parse_json(file.attrs["versions"]), list)
    )
    if not sound:
        raise StoreError(f"{path}: its parts do not fit each other. {REMEDY}")


def _are_texts(file: h5py.File, names: Sequence[str]) -> bool:
    """Whether these attributes are texts that can be written again."""
    texts = [file.attrs[name] for name in names]
    return all(isinstance(text, str) and text.encode() is not None for text in texts)


@contextmanager
def explained(path: Path, what: str = "a feature file", remedy: str = REMEDY) -> Iterator[None]:
    """Turn what h5py raises at a damaged file into a StoreError that names the file."""
    try:
        yield
    except (
        OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, MemoryError,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno in NOT_OF_THE_FILE:
            raise
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{path}: cannot be read as {what} ({reason}). {remedy}") from error


def has_sums(file: h5py.File) -> bool:
    """Whether the file carries checksums; files of schema version 1 do not."""
    return file.attrs["schema_version"] != UNSEALED


def rows_of(file: h5py.File) -> dict[str, int]:
    """The row of each picture: id -> row. Raises ValueError if two have one id."""
    ids = file["ids"].asstr()[()]
    rows = {i: row for row, i in enumerate(ids)}
    if len(rows) != len(ids):
        raise ValueError("two of its rows have the same id")
    return rows


def done_rows(file: h5py.File) -> np.ndarray:
    """Which rows are done [N] of bool; whatever is stored but 1 counts as not done."""
    return file["done"][()].view(np.uint8) == 1


class RowSums:
    """The checksums of a file's rows, compared with what is read of them."""

    def __init__(self, path: Path, file: h5py.File):
        self._written = sums.read_sums(path) if has_sums(file) else None
        if self._written is not None:
            self._ids = file["ids"][()]
            self._sizes, self._lengths = file["image_size"][()], file["file_bytes"][()]

    def damaged(self, start: int, block: np.ndarray, rows: np.ndarray) -> list[int]:
        """Those of the rows [m] that are not as written; block [n, S, D] begins at row `start`."""
        if self._written is None:
            return []
        ids, sizes, lengths = self._ids[rows], self._sizes[rows], self._lengths[rows]
        written = self._written[rows]
        whole = len(rows) == len(block)
        found = sums.sums_of(
            ids, sizes, lengths, written["picture_sha256"].tobytes(),
            block if whole else block[rows - start],
        )  # fmt: skip
        return rows[written["crc32"] != np.array(found, np.uint32)].tolist()


def damaged_rows(path: Path, file: h5py.File, rows: np.ndarray) -> np.ndarray:
    """Those of the rows [n] whose content is not what was written; none where there are no sums."""
    if not has_sums(file) or not len(rows):
        return rows[:0]
    written, damaged = RowSums(path, file), []
    for start in range(0, len(file["ids"]), READ_ROWS):
        here = rows[(rows >= start) & (rows < start + READ_ROWS)]
        if len(here):
            block = file["descriptors"][start : start + READ_ROWS]
            damaged += written.damaged(start, block, here)
    return np.array(damaged, dtype=np.int64)
