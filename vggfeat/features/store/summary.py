"""Inspecting a feature file: conditions, counts, and whether its numbers are sound."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.features.store.format import (
    READ_ROWS,
    Conditions,
    conditions_of,
    damaged_rows,
    done_rows,
    has_sums,
    opened,
)
from vggfeat.storage.checksums import parse_json


@dataclass(frozen=True)
class Summary:
    """What a feature file holds: conditions, provenance, and counts of rows."""

    conditions: Conditions
    weights_name: str
    versions: list[dict[str, str]]
    created: str
    num_rows: int
    num_done: int
    shape: tuple[int, int, int]
    bytes: int
    num_not_finite: int  # done rows with a NaN or an infinity
    num_zero: int  # done rows that are zero throughout
    damaged: list[str] | None  # ids of done rows that are not as written; None without checksums


def inspect(path: Path | str) -> Summary:
    """Read a whole feature file and summarise it. Raises StoreError."""
    path = Path(path)
    with opened(path) as file:
        stored, done = file["descriptors"], done_rows(file)
        not_finite = zero = 0
        for start in range(0, len(stored), READ_ROWS):
            block = stored[start : start + READ_ROWS][done[start : start + READ_ROWS]]
            not_finite += int((~np.isfinite(block)).any(axis=(1, 2)).sum())
            zero += int((block == 0).all(axis=(1, 2)).sum())
        damaged = None
        if has_sums(file):
            rows = damaged_rows(path, file, np.flatnonzero(done))
            damaged = file["ids"].asstr()[()][rows].tolist()
        return Summary(
            conditions=conditions_of(file),
            weights_name=file.attrs["weights_name"],
            versions=parse_json(file.attrs["versions"]),
            created=file.attrs["created"],
            num_rows=len(done),
            num_done=int(done.sum()),
            shape=stored.shape,
            bytes=path.stat().st_size,
            num_not_finite=not_finite,
            num_zero=zero,
            damaged=damaged,
        )
