"""All rows of a small feature file that can be used, read in one go: `sound_rows`.

Shapes: n rows, S scales, D dimensions of a vector.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.features.store import sums
from vggfeat.features.store.format import Conditions, RowSums, conditions_of, done_rows, opened


@dataclass(frozen=True)
class SoundRows:
    """The rows of a feature file that are done and as they were written, in its order."""

    conditions: Conditions
    ids: list[str]
    vectors: np.ndarray  # [n, S, D] in the type that they are stored in
    image_sizes: np.ndarray  # [n, 2] width, height
    file_bytes: np.ndarray  # [n] sizes of the pictures' files
    picture_sha256: list[bytes]  # [n] of 32 bytes
    damaged: list[str]  # ids of done rows that are not as they were written


def sound_rows(path: Path) -> SoundRows:
    """The usable rows of a file with checksums, all of them in memory. Raises StoreError."""
    with opened(path) as file:
        rows, written = np.flatnonzero(done_rows(file)), sums.read_sums(path)
        ids, vectors = file["ids"].asstr()[()], file["descriptors"][()]
        bad = RowSums(path, file).damaged(0, vectors, rows)
        rows_used = rows[~np.isin(rows, bad)]
        return SoundRows(
            conditions=conditions_of(file),
            ids=ids[rows_used].tolist(),
            vectors=vectors[rows_used],
            image_sizes=file["image_size"][()][rows_used],
            file_bytes=file["file_bytes"][()][rows_used],
            picture_sha256=[written["picture_sha256"][row].tobytes() for row in rows_used],
            damaged=ids[bad].tolist(),
        )
