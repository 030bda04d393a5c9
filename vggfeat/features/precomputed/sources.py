"""Features as a value, read when they are asked for: `FeatureSource` of an array, a file, shards.

Shapes: N rows, n of them asked for, D dimensions of a vector.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate
from vggfeat.features.options import VectorOptions
from vggfeat.features.precomputed.numpy_files import forget_pages
from vggfeat.features.precomputed.unit_vectors import (
    BLOCK_BYTES,
    Digests,
    UnitVectors,
    check_array,
    digests_of,
    unit_blocks,
    unit_vectors,
)
from vggfeat.features.shards.reader import open_features as open_stored
from vggfeat.plurals import counted
from vggfeat.progress import Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSource(ABC):
    """Features in a file, or in memory; `ids` and `labels` are None where they are not there."""

    name: str  # as messages and records have it
    ids: Sequence[str] | None = None
    labels: Sequence[str] | None = None

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """The number of rows N."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a record says of the features, beside their digest."""

    @property
    @abstractmethod
    def protocol(self) -> Mapping[str, Any]:
        """What a record says of how rows became vectors, which is part of its key."""

    @abstractmethod
    def vectors(self, rows: np.ndarray, ids: Sequence[str], progress: Progress) -> UnitVectors:
        """The vectors of these rows [n], whose ids [n] messages name.

        It may be called once. Raises DatasetError, or StoreError at rows that are not done,
        damaged or not finite.
        """

    def blocks(
        self, rows: np.ndarray, ids: Sequence[str], digests: Digests, progress: Progress
    ) -> Iterator[np.ndarray]:
        """The same vectors, block by block, whose digests are complete after the last one."""
        raise NotImplementedError

    @property
    def vector_dim(self) -> int:
        """The dimensions D of a vector."""
        raise NotImplementedError

    @property
    def read_values(self) -> int:
        """The stored values of which a vector is made."""
        return self.vector_dim


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySource(FeatureSource):
    """An array [N, D]; overwrite=True says that nobody else needs its values."""

    array: np.ndarray
    overwrite: bool = False

    def __post_init__(self):
        check_array(self.array, self.name)
        for what, values in (("id", self.ids), ("label", self.labels)):
            if values is not None and len(values) != len(self.array):
                raise DatasetError(
                    f"{self.name}: has {counted(len(self.array), 'vector')}, and"
                    f" {counted(len(values), what)}."
                )

    @property
    def num_rows(self) -> int:
        return len(self.array)

    @property
    def facts(self) -> Mapping[str, Any]:
        dtype = self.array.dtype.newbyteorder("=")
        return {"file": self.name, "dim": self.vector_dim, "dtype": str(dtype)}

    @property
    def vector_dim(self) -> int:
        return self.array.shape[1]

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"normalisation": "L2 of each vector"}

    def vectors(self, rows: np.ndarray, ids: Sequence[str], progress: Progress) -> UnitVectors:
        return unit_vectors(
            self.array, rows, ids, self.name, overwrite=self.overwrite, progress=progress
        )

    def blocks(
        self, rows: np.ndarray, ids: Sequence[str], digests: Digests, progress: Progress
    ) -> Iterator[np.ndarray]:
        for block in unit_blocks(self.array, rows, ids, self.name, digests, progress=progress):
            yield block
            forget_pages(self.array)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredSource(FeatureSource):
    """A feature file of vggfeat at some of its scales, which are combined as for nets."""

    path: Path
    conditions: store.Conditions
    dim: int  # of a scale
    options: VectorOptions
    scales: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        return len(self.ids)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"file": self.name, "dim": self.dim, **vars(self.conditions)}

    @property
    def vector_dim(self) -> int:
        return self.read_values if self.options.aggregate == "stack" else self.dim

    @property
    def read_values(self) -> int:
        return len(self.scales) * self.dim

    @property
    def protocol(self) -> Mapping[str, Any]:
        of_scales = ["L2 of each scale"] if self.options.scale_l2 else []
        return {
            "scales": list(self.scales),
            **vars(self.options),
            "mirror": self.conditions.mirror,
            "normalisation": ", ".join([*of_scales, "L2 of each vector"]),
        }

    def vectors(self, rows: np.ndarray, ids: Sequence[str], progress: Progress) -> UnitVectors:
        descriptors = self._descriptors(rows)
        combined = aggregate(descriptors, self.options)
        return UnitVectors(
            vectors=combined,
            sha256=hashlib.sha256(descriptors).hexdigest(),
            row_digests=digests_of(descriptors.reshape(len(descriptors), -1)),
        )

    def blocks(
        self, rows: np.ndarray, ids: Sequence[str], digests: Digests, progress: Progress
    ) -> Iterator[np.ndarray]:
        at_once, done = max(1, BLOCK_BYTES // (4 * self.read_values)), 0
        for descriptors in self._descriptor_blocks(rows, at_once):
            digests.add(descriptors)
            yield aggregate(descriptors, self.options)
            done += len(descriptors)
            progress(f"reading {self.name}", done, len(rows))

    def _descriptors(self, rows: np.ndarray) -> np.ndarray:
        return store.read(self.path, [self.ids[row] for row in rows], self.scales)

    def _descriptor_blocks(self, rows: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
        wanted = [self.ids[row] for row in rows]
        return store.read_blocks(self.path, wanted, self.scales, at_once)


class ShardsSource(StoredSource):
    """A folder of shards of vggfeat, as a feature file."""

    def _descriptors(self, rows: np.ndarray) -> np.ndarray:
        with open_stored(self.path) as features:
            return features.read_rows(rows, self.scales)

    def _descriptor_blocks(self, rows: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
        with open_stored(self.path) as features:
            for start in range(0, len(rows), at_once):
                yield features.read_rows(rows[start : start + at_once], self.scales)
