"""An array of features -> vectors of length one, in one pass over the array, block by block.

Shapes: N rows of the array, n of them used, D dimensions.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.features.aggregate import l2_normalised
from vggfeat.progress import Progress, no_progress

BLOCK_BYTES = 2**24
NUMBERS = "biuf"  # kinds of NumPy's types: bool, whole numbers, floats


@dataclass(frozen=True)
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


class Digests:
    """The digests of rows that come block by block: see UnitVectors."""

    def __init__(self):
        self._sha256, self.of_rows = hashlib.sha256(), []

    def add(self, rows: np.ndarray) -> None:
        """Add rows [m, ...] as they are stored, in their order."""
        self._sha256.update(rows)
        self.of_rows += digests_of(rows.reshape(len(rows), -1))

    @property
    def sha256(self) -> str:
        """The digest of all rows so far."""
        return self._sha256.hexdigest()


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
    in_place = overwrite and _is_whole(array, rows)
    in_place = in_place and array.dtype == np.float32 and array.flags.writeable
    vectors = array if in_place else np.empty((len(rows), array.shape[1]), dtype=np.float32)
    digests, done = Digests(), 0
    for block in unit_blocks(array, rows, ids, what, digests, progress=progress):
        vectors[done : done + len(block)] = block
        done += len(block)
    return UnitVectors(vectors=vectors, sha256=digests.sha256, row_digests=digests.of_rows)


def unit_blocks(
    array: np.ndarray,
    rows: np.ndarray,
    ids: Sequence[str],
    what: str,
    digests: Digests,
    *,
    progress: Progress = no_progress,
) -> Iterator[np.ndarray]:
    """The same vectors block by block, whose rows go into the digests. Raises DatasetError, too."""
    count, is_whole = len(rows), _is_whole(array, rows)
    stored = array.dtype.newbyteorder("<")
    kind = np.result_type(array.dtype.newbyteorder("="), np.float32)
    step = max(1, BLOCK_BYTES // (array.shape[1] * array.dtype.itemsize))
    bad: list[int] = []
    for start in range(0, count, step):
        here = slice(start, start + step)
        block = np.ascontiguousarray(array[here] if is_whole else array[rows[here]], dtype=stored)
        digests.add(block)
        numbers = block.astype(kind, copy=False)
        bad += (start + np.flatnonzero(~np.isfinite(numbers).all(axis=1))).tolist()
        if not bad:
            yield l2_normalised(numbers)
        progress(f"reading {what}", min(start + step, count), count)
    if bad:
        raise DatasetError(
            f"{what}: {len(bad)} of {count} vectors hold NaN or infinity, that of {ids[bad[0]]!r}"
            " first. Compute them again, or leave these rows out of the labels."
        )


def _is_whole(array: np.ndarray, rows: np.ndarray) -> bool:
    return len(rows) == len(array) and bool((rows == np.arange(len(array))).all())


def digests_of(rows: np.ndarray) -> list[bytes]:
    """A digest of each row [n, D], equal for equal rows; empty for a row of zeros."""
    some = rows.any(axis=1)
    return [
        hashlib.blake2b(row, digest_size=16).digest() if is_some else b""
        for row, is_some in zip(rows, some, strict=True)
    ]
