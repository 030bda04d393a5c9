"""Files of features, whichever program wrote them: .npy, .npz, HDF5, and vggfeat's own.

- .npy: an array [N, D]; ids in a list beside it, if `vggfeat extract --to` wrote both
- .npz: `features`, else its one array of two dimensions; ids and labels if there are any
- .h5: the same, or a feature file of vggfeat, whose scales are combined first
- a folder of shards, of which no more is read than the rows that are used
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError, OptionError
from vggfeat.features import store
from vggfeat.features.exports import IDS_SUFFIX, is_list_of_ids
from vggfeat.features.options import VectorOptions
from vggfeat.features.precomputed.hdf5_files import hdf5_headers, hdf5_reader
from vggfeat.features.precomputed.numpy_files import Header, npz_headers, npz_reader, open_npy
from vggfeat.features.precomputed.sources import (
    ArraySource,
    FeatureSource,
    ShardsSource,
    StoredSource,
)
from vggfeat.features.precomputed.unit_vectors import NUMBERS
from vggfeat.features.shards.folder import is_shard_folder
from vggfeat.features.shards.reader import open_features as open_stored

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
