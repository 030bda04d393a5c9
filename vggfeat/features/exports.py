"""Feature files as DataFrames and arrays, and in formats of others: .npy with .csv, Parquet.

A feature file needs h5py and nothing of vggfeat to be read:

    with h5py.File("features.h5") as file:
        done = file["done"][:]
        ids, descriptors = file["ids"].asstr()[done], file["descriptors"][done]  # [n], [n, S, D]

`load_features` compares the checksums, too. Shapes: n pictures, S scales, D channels.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from vggfeat.errors import OptionError, StoreError
from vggfeat.features import store
from vggfeat.storage.files import new_file, new_path

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

EXPORT_SUFFIXES = (".npy", ".parquet")
IDS_SUFFIX = ".csv"  # of the list of ids beside an array
HEADER_OF_IDS = "id"


@overload
def load_features(
    path: Path | str,
    *,
    ids: Sequence[str] | None = None,
    scales: int | Sequence[int] | None = None,
    as_frame: Literal[True] = True,
) -> pd.DataFrame: ...
@overload
def load_features(
    path: Path | str,
    *,
    ids: Sequence[str] | None = None,
    scales: int | Sequence[int] | None = None,
    as_frame: Literal[False],
) -> tuple[list[str], np.ndarray]: ...
def load_features(
    path: Path | str,
    *,
    ids: Sequence[str] | None = None,
    scales: int | Sequence[int] | None = None,
    as_frame: bool = True,
) -> pd.DataFrame | tuple[list[str], np.ndarray]:
    """The descriptors of a feature file: a DataFrame, or with as_frame=False (ids, array).

    The DataFrame has a row for each picture by its id and a column for each scale and channel, so
    that `frame[256]` are the D channels at scale 256; the array is [n, S, D] float32. Descriptors
    are as they were extracted: averaged over positions, not normalised. ids and scales choose among
    those in the file, all by default.

    Rows that were not extracted to the end, that are not as they were written (by the file's
    checksums) or hold NaN or infinity are left out, and a warning counts and names them. Raises
    StoreError if the file cannot be read, lacks a scale, or no row is left.
    """
    rows = _usable(Path(path), ids, scales)
    if not as_frame:
        return rows.ids, rows.descriptors
    import pandas as pd  # takes as long to import as all else of this library

    num_channels = rows.descriptors.shape[2]
    columns = pd.MultiIndex.from_product(
        [rows.scales, range(num_channels)], names=["scale", "channel"]
    )
    values = rows.descriptors.reshape(len(rows.ids), -1)
    return pd.DataFrame(values, index=pd.Index(rows.ids, name="id"), columns=columns)


def export_features(
    path: Path | str,
    to: Path | str,
    *,
    ids: Sequence[str] | None = None,
    scales: int | Sequence[int] | None = None,
) -> list[Path]:
    """Write the descriptors of a feature file in another format; returns the files written.

    to=NAME.npy: an array [n, D], with several scales [n, S, D], float32; and NAME.csv beside it,
    with the column id and a line for each row. to=NAME.parquet: a table with the column id and one
    for each scale and channel, such as "256_0"; it needs pyarrow. Each file is written whole or not
    at all. Rows are left out as by `load_features`. Raises OptionError at another suffix or without
    pyarrow, StoreError as `load_features`, OSError.
    """
    to = Path(to)
    check_export(to)
    if to.suffix.lower() == ".parquet":
        frame = load_features(path, ids=ids, scales=scales)
        frame.columns = [f"{scale}_{channel}" for scale, channel in frame.columns]
        with new_path(to) as temporary:
            frame.reset_index().to_parquet(temporary, engine="pyarrow", index=False)
        return [to]
    kept_ids, descriptors = load_features(path, ids=ids, scales=scales, as_frame=False)
    if descriptors.shape[1] == 1:
        descriptors = descriptors[:, 0]
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\n").writerows([[HEADER_OF_IDS], *([i] for i in kept_ids)])
    of_ids = to.with_suffix(IDS_SUFFIX)
    of_ids.unlink(missing_ok=True)  # so that an interruption leaves no array with ids of another
    values = np.ascontiguousarray(descriptors)
    with new_file(to) as file:
        header = np.lib.format.header_data_from_array_1_0(values)
        np.lib.format.write_array_header_1_0(file, header)
        # Not NumPy's own writing, whose error at a full disk names neither the file nor the reason.
        file.write(values.reshape(-1).view(np.uint8).data)
    with new_file(of_ids) as file:
        file.write(lines.getvalue().encode())
    return [to, of_ids]


def check_export(to: Path) -> None:
    """Raise OptionError unless features can be exported to a file of this name.

    The list beside an array takes the place of an earlier one, never that of another file, such as
    the user's own list of labels. Raises OSError.
    """
    suffix = to.suffix.lower()
    if suffix not in EXPORT_SUFFIXES:
        raise OptionError(f"{to}: features are exported to {' or '.join(EXPORT_SUFFIXES)}.")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise OptionError(f"{to}: Parquet needs pyarrow, which is not here: pip install pyarrow.")
    of_ids = to.with_suffix(IDS_SUFFIX)
    if suffix == ".npy" and os.path.lexists(of_ids) and not is_list_of_ids(of_ids):
        raise OptionError(
            f"{to}: the ids would be written to {of_ids}, where another file lies. Choose another"
            " name, or move that file away."
        )


def is_list_of_ids(path: Path) -> bool:
    """Whether a file is a list of ids as stands beside an exported array. Raises OSError."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(len(HEADER_OF_IDS) + 2)
    return first.strip() == HEADER_OF_IDS.encode()


def _usable(
    path: Path, ids: Sequence[str] | None, scales: int | Sequence[int] | None
) -> store.UsableRows:
    """The usable rows; what is left out is logged. Raises StoreError if there are none."""
    rows = store.read_usable(path, ids, scales)
    left_out = {
        "not extracted": rows.missing,
        "not as written": rows.damaged,
        "NaN or infinite": rows.not_finite,
    }
    texts = [f"{len(names):,} {why} ({names[0]!r})" for why, names in left_out.items() if names]
    if not rows.ids:
        raise StoreError(f"{path}: no row can be used: {', '.join(texts) or 'it has none'}.")
    if texts:
        log.warning("%s: rows left out: %s", path, ", ".join(texts))
    return rows
