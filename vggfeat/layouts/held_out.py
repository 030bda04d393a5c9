"""Which pictures validate where a folder has no validation set: some of each class, held out.

The pictures of a class are ordered by the SHA-256 of their own names; the first tenth validates. So
it does not depend on the other pictures, classes or on any random state.
"""

import hashlib
from collections.abc import Mapping, Sequence

HELD_OUT = 10  # one picture in so many validates


def hold_out(by_class: Mapping[int, Sequence[str]]) -> set[str]:
    """The pictures that validate: at least one of each class; by_class is number -> paths."""
    held_out: set[str] = set()
    for paths in by_class.values():
        shuffled = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())
        held_out.update(shuffled[: max(1, len(paths) // HELD_OUT)])
    return held_out
