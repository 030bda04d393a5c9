"""Stratified random splits: each class has the same share in every part, as a seed decides them.

A split is a pure function of protocol version, seed, its number and the pictures' ids and labels:
pictures are taken in the order of the SHA-256 of "version/seed/number/id". With one class a picture
shares are those of each class; with several, iterative stratification (Sechidis, Tsoumakas and
Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011, algorithm 1) whose ties go to
the first part.

Shapes: N pictures, n of them divided, K classes, P parts.
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def in_drawn_order(rows: np.ndarray, ids: Sequence[str], draw: str) -> np.ndarray:
    """The rows [n] in the order of the digests of `draw/id`; ids [N] are those of all rows."""

    def digest(row: int) -> bytes:
        return hashlib.sha256(f"{draw}/{ids[row]}".encode()).digest()

    return np.array(sorted(rows.tolist(), key=digest), dtype=int)


def of_single_labels(
    classes: np.ndarray, drawn: np.ndarray, shares: Sequence[float]
) -> list[np.ndarray]:
    """The rows of P parts; classes [N] are those of all rows, drawn [n] the rows in their order.

    Every part but the first gets its share [P] of each class, rounded, and at least one picture
    where one is left for the first; the first gets all others.
    """
    parts: list[list[int]] = [[] for _ in shares]
    for k in np.unique(classes[drawn]):
        rows = drawn[classes[drawn] == k].tolist()
        num_in_all = len(rows)
        for part, share in zip(parts[1:], shares[1:], strict=True):
            count = min(max(1, round(share * num_in_all)), len(rows) - 1)
            part += rows[:count]
            rows = rows[count:]
        parts[0] += rows
    return [np.array(sorted(rows), dtype=int) for rows in parts]


def of_multi_labels(
    labels: np.ndarray, drawn: np.ndarray, shares: Sequence[float]
) -> list[np.ndarray]:
    """The rows of P parts; labels bool [N, K], drawn [n] the rows in their order, shares [P]."""
    part_of = np.full(len(labels), -1)
    remaining = labels[drawn].sum(axis=0)  # [K]: pictures of each class without a part
    wanted = np.array(shares)[:, None] * remaining  # [P, K]: still wanted of each class
    size = np.array(shares) * len(drawn)  # [P]: still wanted in all
    while remaining.any():
        rarest = int(np.where(remaining > 0, remaining, len(labels) + 1).argmin())
        for row in drawn[labels[drawn, rarest] & (part_of[drawn] < 0)]:
            part_of[row] = part = _neediest(wanted[:, rarest], size)
            wanted[part] -= labels[row]
            size[part] -= 1
            remaining = remaining - labels[row]
    for row in drawn[part_of[drawn] < 0]:  # pictures without any label
        part_of[row] = part = int(size.argmax())
        size[part] -= 1
    return [np.flatnonzero(part_of == part) for part in range(len(shares))]


def _neediest(wanted: np.ndarray, size: np.ndarray) -> int:
    """The part that wants most of a class; of equals the one that wants most pictures."""
    equals = np.flatnonzero(np.isclose(wanted, wanted.max()))
    return int(equals[size[equals].argmax()])
