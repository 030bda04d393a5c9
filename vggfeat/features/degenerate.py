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
    seen = SeenVectors(ids, what, remedy)
    seen.add(vectors)
    return seen.notes()


class SeenVectors:
    """What is remembered of vectors [n, ...] that come block by block: a digest of each.

    Arguments are those of `notes_on`.
    """

    def __init__(self, ids: Sequence[str], what: str, remedy: str = OF_NETS):
        self.ids, self.what, self.remedy = ids, what, remedy
        self._digests = np.zeros(len(ids), dtype=np.uint64)  # 0 of a vector of zeros
        self._done, self._first, self._is_constant = 0, None, True
        self._is_first: np.ndarray | None = None  # of the vectors of one id
        first_of = {i: row for row, i in reversed(list(enumerate(ids)))}
        if len(first_of) < len(ids):
            self._is_first = np.zeros(len(ids), dtype=bool)
            self._is_first[list(first_of.values())] = True

    def add(self, vectors: np.ndarray) -> None:
        """Add the next vectors [m, ...]."""
        rows = np.ascontiguousarray(vectors.reshape(len(vectors), -1))
        if not len(rows):
            return
        self._first = rows[0].copy() if self._first is None else self._first
        # The last row first: it mostly is another, and then nothing is compared.
        self._is_constant = (
            self._is_constant
            and bool((rows[-1] == self._first).all())
            and bool((rows == self._first).all())
        )
        for number in np.flatnonzero(rows.any(axis=1)).tolist():
            digest = hashlib.blake2b(rows[number], digest_size=8).digest()
            self._digests[self._done + number] = int.from_bytes(digest) or 1
        self._done += len(rows)

    def notes(self) -> list[str]:
        """Notes on all vectors so far. Raises NetworkError if all are equal."""
        ids, digests = self.ids, self._digests
        if self._is_first is not None:
            ids = [i for i, is_first in zip(ids, self._is_first, strict=True) if is_first]
            digests = digests[self._is_first]
        zero = digests == 0
        if len(ids) > 1 and self._is_constant:
            value = "zero" if zero.all() else "equal"
            raise NetworkError(
                f"{self.what}: the vectors of all {len(ids)} pictures are {value}: nothing can be"
                f" told by them. {self.remedy}"
            )
        notes = []
        if zero.any():
            notes.append(f"{self.what}: the vectors of {_named(ids, zero)} are zero throughout")
        values, first, counts = np.unique(digests, return_index=True, return_counts=True)
        many = np.flatnonzero((counts >= MANY) & (values != 0))
        for number in many[np.argsort(first[many])]:
            same = digests == values[number]
            notes.append(f"{self.what}: the vectors of {_named(ids, same)} are equal")
        return notes


def _named(ids: Sequence[str], mask: np.ndarray) -> str:
    names = [ids[number] for number in np.flatnonzero(mask)[:NUM_NAMED]]
    more = ", ..." if mask.sum() > NUM_NAMED else ""
    return f"{mask.sum()} of {len(mask)} pictures ({', '.join(names)}{more})"
