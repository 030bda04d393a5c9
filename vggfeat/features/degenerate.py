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
    seen = SeenVectors(what, remedy)
    seen.add(vectors, ids)
    return seen.notes()


class SeenVectors:
    """What is remembered of vectors that come block by block, to find degenerate ones among them.

    Arguments are those of `notes_on`.
    """

    def __init__(self, what: str, remedy: str = OF_NETS):
        self.what, self.remedy = what, remedy
        self._ids: dict[str, None] = {}
        self._zero: list[bool] = []
        self._by_content: dict[bytes, list[int]] = {}
        self._first: np.ndarray | None = None
        self._is_constant = True

    def add(self, vectors: np.ndarray, ids: Sequence[str]) -> None:
        """Add vectors [m, ...] of these ids [m]."""
        start = len(self._ids)
        kept = [row for row, i in enumerate(ids) if self._is_new(i)]
        rows = vectors if len(kept) == len(vectors) else vectors[kept]
        rows = np.ascontiguousarray(rows.reshape(len(kept), -1))
        zero = ~rows.any(axis=1)
        self._zero += zero.tolist()
        if len(rows):
            self._first = rows[0].copy() if self._first is None else self._first
            # The last row first: it mostly is another, and then nothing is compared.
            self._is_constant = (
                self._is_constant
                and bool((rows[-1] == self._first).all())
                and bool((rows == self._first).all())
            )
        for number in np.flatnonzero(~zero).tolist():
            digest = hashlib.blake2b(rows[number], digest_size=16).digest()
            self._by_content.setdefault(digest, []).append(start + number)

    def notes(self) -> list[str]:
        """Notes on all vectors so far. Raises NetworkError if all are equal."""
        ids, zero = list(self._ids), np.array(self._zero, dtype=bool)
        if len(ids) > 1 and self._is_constant:
            value = "zero" if zero.all() else "equal"
            raise NetworkError(
                f"{self.what}: the vectors of all {len(ids)} pictures are {value}: nothing can be"
                f" told by them. {self.remedy}"
            )
        notes = []
        if zero.any():
            notes.append(f"{self.what}: the vectors of {_named(ids, zero)} are zero throughout")
        for numbers in self._by_content.values():
            if len(numbers) >= MANY:
                same = np.zeros(len(ids), dtype=bool)
                same[numbers] = True
                notes.append(f"{self.what}: the vectors of {_named(ids, same)} are equal")
        return notes

    def _is_new(self, i: str) -> bool:
        count = len(self._ids)
        self._ids[i] = None
        return len(self._ids) > count


def _named(ids: Sequence[str], mask: np.ndarray) -> str:
    names = [ids[number] for number in np.flatnonzero(mask)[:NUM_NAMED]]
    more = ", ..." if mask.sum() > NUM_NAMED else ""
    return f"{mask.sum()} of {len(mask)} pictures ({', '.join(names)}{more})"
