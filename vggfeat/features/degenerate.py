"""Vectors that say nothing: zero throughout, or the same for many pictures.

A net whose activations have died, or whose input is not what it was trained on, gives such vectors,
and what is measured with them is chance.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from vggfeat.errors import NetworkError

MANY = 10  # pictures of one vector: fewer may well be copies of one picture
NUM_NAMED = 3


OF_NETS = "Check the weights, the layer and the input statistics."


def notes_on(
    vectors: np.ndarray, ids: Sequence[str], what: str, remedy: str = OF_NETS
) -> list[str]:
    """In words, which of the vectors [n, ...] are zero, or those of many others, too.

    what names them, remedy says what to check. A picture that stands for several examples counts
    once. Raises NetworkError if all are equal.
    """
    first_of = {i: row for row, i in reversed(list(enumerate(ids)))}
    kept = sorted(first_of.values())
    if len(kept) < len(ids):
        vectors, ids = vectors[kept], [ids[row] for row in kept]
    rows = np.ascontiguousarray(vectors.reshape(len(vectors), -1))
    zero = ~rows.any(axis=1)
    is_constant = len(rows) > 1 and (rows[0] == rows[-1]).all() and (rows == rows[0]).all()
    if is_constant:
        value = "zero" if zero.all() else "equal"
        raise NetworkError(
            f"{what}: the vectors of all {len(rows)} pictures are {value}: nothing can be told by"
            f" them. {remedy}"
        )
    notes = []
    if zero.any():
        notes.append(f"{what}: the vectors of {_named(ids, zero)} are zero throughout")
    notes += [
        f"{what}: the vectors of {_named(ids, same)} are equal" for same in _groups(rows, zero)
    ]
    return notes


def _groups(rows: np.ndarray, zero: np.ndarray) -> list[np.ndarray]:
    """Masks [n] of the rows that are equal to each other, of many and not zero."""
    by_content: dict[bytes, list[int]] = {}
    for number in np.flatnonzero(~zero):
        digest = hashlib.blake2b(rows[number], digest_size=16).digest()
        by_content.setdefault(digest, []).append(int(number))
    groups = [numbers for numbers in by_content.values() if len(numbers) >= MANY]
    masks = [np.zeros(len(rows), dtype=bool) for _ in groups]
    for mask, numbers in zip(masks, groups, strict=True):
        mask[numbers] = True
    return masks


def _named(ids: Sequence[str], mask: np.ndarray) -> str:
    names = [ids[number] for number in np.flatnonzero(mask)[:NUM_NAMED]]
    more = ", ..." if mask.sum() > NUM_NAMED else ""
    return f"{mask.sum()} of {len(mask)} pictures ({', '.join(names)}{more})"
