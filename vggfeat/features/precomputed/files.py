"""Files of features, whichever program wrote them: .npy, .npz, HDF5, and vggfeat's own.

- .npy: an array [N, D]; ids in a list beside it, if `vggfeat extract --to` wrote both
- .npz: `features`, else its one array of two dimensions; ids and labels if there are any
- .h5: the same, or a feature file of vggfeat, whose scales are combined first
- a folder of shards, of which no more is read than the rows that are used
"""

import csv
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.errors import DatasetError, OptionError
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate
from vggfeat.features.exports import IDS_SUFFIX, is_list_of_ids
from vggfeat.features.options import VectorOptions
from vggfeat.features.precomputed.hdf5_files import hdf5_headers, hdf5_reader
from vggfeat.features.precomputed.numpy_files import (
    Header,
    forget_pages,
    npz_headers,
    npz_reader,
    open_npy,
)
from vggfeat.features.precomputed.unit_vectors import (
    BLOCK_BYTES,
    NUMBERS,
    Digests,
    UnitVectors,
    check_array,
    digests_of,
    unit_blocks,
    unit_vectors,
)
from vggfeat.features.shards.folder import is_shard_folder
from vggfeat.features.shards.reader import open_features as open_stored
from vggfeat.plurals import counted
from vggfeat.progress import Progress

HDF5 = (".h5", ".hdf5")
SUFFIXES = (".npy", ".npz", *HDF5)
NUM_NAMED = 8  # arrays that a message names
# What may run code when it is read, or needs a library of its own.
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib")
FEATURES = "features"
IDS = ("ids", "filenames", "paths")
LABELS = "labels"
PICKLED = (
    "files of this kind can run code when they are read. Save the features with"
    " numpy.save('features.npy', features), from torch with features.cpu().numpy()."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSource(ABC):
    """Features in a file, or in memory; `ids` and `labels` are None where they are not there."""

    name: str  # as messages and records have it
    ids: Sequence[str] | None = None
    labels: Sequence[str] | None = None

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """The number of rows N."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a record says of the features, beside their digest."""

    @property
    @abstractmethod
    def protocol(self) -> Mapping[str, Any]:
        """What a record says of how rows became vectors, which is part of its key."""

    @abstractmethod
    def vectors(self, rows: np.ndarray, ids: Sequence[str], progress: Progress) -> UnitVectors:
        """The vectors of these rows [n], whose ids [n] messages name.

        It may be called once. Raises DatasetError, or StoreError at rows that are not done,
        damaged or not finite.
        """

    def blocks(
        self, rows: np.ndarray, ids: Sequence[str], digests: Digests, progress: Progress
    ) -> Iterator[np.ndarray]:
        """The same vectors, block by block, whose digests are complete after the last one."""
        raise NotImplementedError

    @property
    def vector_dim(self) -> int:
        """The dimensions D of a vector."""
        raise NotImplementedError

    @property
    def read_values(self) -> int:
        """The stored values of which a vector is made."""
        return self.vector_dim


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySource(FeatureSource):
    """An array [N, D]; overwrite=True says that nobody else needs its values."""

    array: np.ndarray
    overwrite: bool = False

    def __post_init__(self):
        check_array(self.array, self.name)
        for what, values in (("id", self.ids), ("label", self.labels)):
            if values is not None and len(values) != len(self.array):
                raise DatasetError(
                    f"{self.name}: has {counted(len(self.array), 'vector')}, and"
                    f" {counted(len(values), what)}."
                )

    @property
    def num_rows(self) -> int:
        return len(self.array)

    @property
    def facts(self) -> Mapping[str, Any]:
        dtype = self.array.dtype.newbyteorder("=")
        return {"file": self.name, "dim": self.vector_dim, "dtype": str(dtype)}

    @property
    def vector_dim(self) -> int:
        return self.array.shape[1]

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"normalisation": "L2 of each vector"}

    def vectors(self, rows: np.ndarray, ids: Sequence[str], progress: Progress) -> UnitVectors:
        return unit_vectors(
            self.array, rows, ids, self.name, overwrite=self.overwrite, progress=progress
        )

    def blocks(
        self, rows: np.ndarray, ids: Sequence[str], digests: Digests, progress: Progress
    ) -> Iterator[np.ndarray]:
        for block in unit_blocks(self.array, rows, ids, self.name, digests, progress=progress):
            yield block
            forget_pages(self.array)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredSource(FeatureSource):
    """A feature file of vggfeat at some of its scales, which are combined as for nets."""

    path: Path
    conditions: store.Conditions
    dim: int  # of a scale
    options: VectorOptions
    scales: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        return len(self.ids)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"file": self.name, "dim": self.dim, **vars(self.conditions)}

    @property
    def vector_dim(self) -> int:
        return self.read_values if self.options.aggregate == "stack" else self.dim

    @property
    def read_values(self) -> int:
        return len(self.scales) * self.dim

    @property
    def protocol(self) -> Mapping[str, Any]:
        of_scales = ["L2 of each scale"] if self.options.scale_l2 else []
        return {
            "scales": list(self.scales),
            **vars(self.options),
            "mirror": self.conditions.mirror,
            "normalisation": ", ".join([*of_scales, "L2 of each vector"]),
        }

    def vectors(self, rows: np.ndarray, ids: Sequence[str], progress: Progress) -> UnitVectors:
        descriptors = self._descriptors(rows)
        combined = aggregate(descriptors, self.options)
        return UnitVectors(
            vectors=combined,
            sha256=hashlib.sha256(descriptors).hexdigest(),
            row_digests=digests_of(descriptors.reshape(len(descriptors), -1)),
        )

    def blocks(
        self, rows: np.ndarray, ids: Sequence[str], digests: Digests, progress: Progress
    ) -> Iterator[np.ndarray]:
        at_once, done = max(1, BLOCK_BYTES // (4 * self.read_values)), 0
        for descriptors in self._descriptor_blocks(rows, at_once):
            digests.add(descriptors)
            yield aggregate(descriptors, self.options)
            done += len(descriptors)
            progress(f"reading {self.name}", done, len(rows))

    def _descriptors(self, rows: np.ndarray) -> np.ndarray:
        return store.read(self.path, [self.ids[row] for row in rows], self.scales)

    def _descriptor_blocks(self, rows: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
        wanted = [self.ids[row] for row in rows]
        return store.read_blocks(self.path, wanted, self.scales, at_once)


class ShardsSource(StoredSource):
    """A folder of shards of vggfeat, as a feature file."""

    def _descriptors(self, rows: np.ndarray) -> np.ndarray:
        with open_stored(self.path) as features:
            return features.read_rows(rows, self.scales)

    def _descriptor_blocks(self, rows: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
        with open_stored(self.path) as features:
            for start in range(0, len(rows), at_once):
                yield features.read_rows(rows[start : start + at_once], self.scales)


def open_features(
    path: Path, scales: Sequence[int] | None = None, options: VectorOptions | None = None
) -> FeatureSource:
    """The features in a file; scales and options are of feature files of vggfeat alone.

    Raises DatasetError, StoreError or OSError where it cannot be read as one, OptionError at scales
    or options for a file that has nothing to combine.
    """
    if is_shard_folder(path):
        return _sharded(path, scales, options or VectorOptions())
    if not path.is_file():
        raise DatasetError(f"{path}: no such file of features.")
    suffix = path.suffix.lower()
    if suffix in HDF5 and store.is_feature_file(path):
        return _stored(path, scales, options or VectorOptions())
    if scales is not None or options is not None:
        raise OptionError(
            f"{path}: scales are combined in feature files of vggfeat only. Leave out --scales,"
            " --aggregate and --scale-l2."
        )
    if suffix in HDF5:
        return _array_among(path, hdf5_headers(path), hdf5_reader(path))
    if suffix == ".npz":
        headers = npz_headers(path)
        return _array_among(path, headers, npz_reader(path, headers))
    return array_source(path.name, open_npy(path), ids=_ids_beside(path))


def array_source(
    name: str,
    array: np.ndarray,
    *,
    ids: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    overwrite: bool = False,
) -> ArraySource:
    """An array in memory as features. Raises DatasetError."""
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array, overwrite = np.ascontiguousarray(array), True  # as its rows are read one by one
    return ArraySource(name=name, array=array, ids=ids, labels=labels, overwrite=overwrite)


def texts(values: np.ndarray, what: str) -> list[str]:
    """Ids or labels [N] as texts. Raises DatasetError at anything but texts and whole numbers."""
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise DatasetError(
            f"{what}: has the type {values.dtype} and the shape {values.shape}; texts or whole"
            " numbers are needed, one for each row. Other labels are named in a CSV file, by"
            " --labels."
        )
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:  # replaced letters could make two labels one
            raise DatasetError(f"{what}: holds bytes that are no text in UTF-8.") from error
    return [str(value) for value in values.tolist()]


def _stored(path: Path, scales: Sequence[int] | None, options: VectorOptions) -> StoredSource:
    conditions, ids, dim = store.contents(path)
    return StoredSource(
        name=path.name,
        path=path,
        ids=ids,
        conditions=conditions,
        dim=dim,
        options=options,
        scales=tuple(conditions.scales if scales is None else scales),
    )


def _sharded(path: Path, scales: Sequence[int] | None, options: VectorOptions) -> ShardsSource:
    with open_stored(path) as features:
        return ShardsSource(
            name=path.resolve().name,  # of ".", too
            path=path,
            ids=features.ids(),
            conditions=features.conditions,
            dim=features.dim,
            options=options,
            scales=tuple(features.scales if scales is None else scales),
        )


def _array_among(
    path: Path, headers: Mapping[str, Header], read: Callable[[str], np.ndarray]
) -> ArraySource:
    """The features among the named arrays of a file, with their ids and labels."""
    name = _name_of_features(path, headers)
    of_ids = next((other for other in IDS if other in headers), None)
    return array_source(
        path.name,
        read(name),
        ids=None if of_ids is None else texts(read(of_ids), f"{path}, {of_ids}"),
        labels=texts(read(LABELS), f"{path}, {LABELS}") if LABELS in headers else None,
        overwrite=True,
    )


def _ids_beside(path: Path) -> list[str] | None:
    """The ids in NAME.csv beside NAME.npy, as `vggfeat extract --to NAME.npy` writes both.

    None where there is no such file, or one of something else. Raises DatasetError at ids that
    cannot be read, as rows would be taken for others without them.
    """
    beside = path.with_suffix(IDS_SUFFIX)
    if not is_list_of_ids(beside):
        return None
    try:
        with beside.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, strict=True)
            next(lines)
            return [line[0] for line in lines if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{beside}: the ids of {path.name} cannot be read ({error}). Write both files again."
        ) from error


def _name_of_features(path: Path, headers: Mapping[str, Header]) -> str:
    if FEATURES in headers:
        return FEATURES
    tables = {name: h for name, h in headers.items() if len(h.shape) == 2}
    for kinds in ("f", NUMBERS):
        fitting = [name for name, header in tables.items() if header.dtype.kind in kinds]
        if len(fitting) == 1:
            return fitting[0]
    shown = [f"{name} {list(header.shape)}" for name, header in headers.items()]
    more = f" and {len(shown) - NUM_NAMED} more" if len(shown) > NUM_NAMED else ""
    raise DatasetError(
        f"{path}: which array holds the features? There must be one named {FEATURES!r}, or one"
        f" alone of two dimensions; there are {', '.join(shown[:NUM_NAMED]) or 'none'}{more}."
    )
