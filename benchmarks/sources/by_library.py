"""What a library fetches by itself, whose size nobody states before: `ByLibrary`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ByLibrary:
    """Stands for the Sources that a library has for a dataset of this name."""

    name: str
    size: None = None
