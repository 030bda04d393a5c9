"""An array of features -> vectors of length one, in one pass over the array, block by block.

Shapes: N rows of the array, n of them used, D dimensions.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.features.aggregate import l2_normalised
from vggfeat.progress import Progress, no_progress

BLOCK_BYTES = 2**24
NUMBERS = "biuf"  # kinds of NumPy's types: bool, whole numbers, floats


@dataclass(frozen=True, kw_only=True)
class UnitVectors:
    """Vectors of length one (zero ones stay zero), and digests of what they were made of.

    sha256 is the digest of the rows as they were, in the order of the vectors: C order, little
    endian, of the array's type.
    """

    vectors: np.ndarray  # float32 [n, D]
    sha256: str
    row_digests: Sequence[bytes]  # [n], equal for equal rows; empty for a row of zeros


def check_array(array: np.ndarray, what: str) -> None:
    """Raise DatasetError unless this is an array of numbers [N, D] with something in it."""
    if array.dtype.kind not in NUMBERS:
        raise DatasetError(
            f"{what}: holds values of type {array.dtype}; features are real numbers. Save them as"
            " float32."
        )
    if array.ndim != 2:
        raise DatasetError(
            f"{what}: has the shape {array.shape}; features are an array [N, D], a row for each"
            " example. Average over positions or reshape first."
        )
    if 0 in array.shape:
        raise DatasetError(f"{what}: has the shape {array.shape}: there is nothing in it.")


def unit_vectors(
    array: np.ndarray,
    rows: np.ndarray,
    ids: Sequence[str],
    what: str,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> UnitVectors:
    """The rows [n] of an array [N, D] as vectors of length one.

    overwrite=True may use the array's memory for the result. Raises DatasetError at NaN and
    infinity; ids [n] and `what` name the rows and the array there.
    """
    count, (num_rows, dim) = len(rows), array.shape
    is_whole = count == num_rows and bool((rows == np.arange(num_rows)).all())
    stored = array.dtype.newbyteorder("<")
    kind = np.result_type(array.dtype.newbyteorder("="), np.float32)
    in_place = overwrite and is_whole and array.dtype == np.float32 and array.flags.writeable
    vectors = array if in_place else np.empty((count, dim), dtype=np.float32)
    digest, row_digests, bad = hashlib.sha256(), [], []
    step = max(1, BLOCK_BYTES // (dim * array.dtype.itemsize))
    for start in range(0, count, step):
        here = slice(start, start + step)
        block = np.ascontiguousarray(array[here] if is_whole else array[rows[here]], dtype=stored)
        digest.update(block)
        row_digests += digests_of(block)
        numbers = block.astype(kind, copy=False)
        bad += (start + np.flatnonzero(~np.isfinite(numbers).all(axis=1))).tolist()
        if not bad:
            vectors[here] = l2_normalised(numbers)
        progress(f"reading {what}", min(start + step, count), count)
    if bad:
        raise DatasetError(
            f"{what}: {len(bad)} of {count} vectors hold NaN or infinity, that of {ids[bad[0]]!r}"
            " first. Compute them again, or leave these rows out of the labels."
        )
    return UnitVectors(vectors=vectors, sha256=digest.hexdigest(), row_digests=row_digests)


def digests_of(rows: np.ndarray) -> list[bytes]:
    """A digest of each row [n, D], equal for equal rows; empty for a row of zeros."""
    some = rows.any(axis=1)
    return [
        hashlib.blake2b(row, digest_size=16).digest() if is_some else b""
        for row, is_some in zip(rows, some, strict=True)
    ]
