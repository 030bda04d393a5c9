"""Features that were made elsewhere on labelled examples, by a probe: the record.

Shapes: N examples, n of them used, D dimensions.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.leaks import equal_vectors
from vggfeat.benchmarks.probing import ProbeMeasurement, Vectors
from vggfeat.benchmarks.streamed_vectors import StreamedVectors
from vggfeat.errors import DatasetError
from vggfeat.features.degenerate import SeenVectors, notes_on
from vggfeat.features.precomputed.sources import FeatureSource
from vggfeat.features.precomputed.unit_vectors import Digests, UnitVectors
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.plurals import counted
from vggfeat.probes.streaming.choice import Choice
from vggfeat.progress import Progress, no_progress
from vggfeat.records.record import key_of

log = logging.getLogger(__name__)

REMEDY = "Check how the features were computed."
NO_WEIGHTS = ""  # nothing is known of the net


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleFeatures:
    """The features of the examples that a benchmark uses, read once for all probes."""

    source: FeatureSource
    rows: np.ndarray  # [n] of the benchmark
    unit: UnitVectors  # of these rows; its vectors may be StreamedVectors
    seconds: float
    notes: Sequence[str] | None = None  # on vectors that were written to disk
    remarks: Sequence[str] = ()  # where they are


def read_features(
    source: FeatureSource,
    benchmark: Benchmark,
    order: Sequence[str],
    *,
    choose: Callable[[int], Choice] | None = None,
    folder: Path = Path(),
    shared: bool = False,
    progress: Progress = no_progress,
) -> ExampleFeatures:
    """The features of the examples that some split uses.

    order has the ids of the labels in the order of their rows, which is that of features without
    ids. choose takes their number and says whether they are written to a scratch file in a folder,
    which other processes read if shared.
    Raises DatasetError where examples have no features or ids repeat, and what reading raises.
    """
    started = time.monotonic()
    rows = benchmark.used_rows
    ids = [benchmark.ids[row] for row in rows]
    place = _rows_by_id(source, order)
    missing = [i for i in ids if i not in place]
    if missing:
        example = f"; ids there are such as {source.ids[0]!r}" if len(source.ids) else ""
        raise DatasetError(
            f"{source.name}: {len(missing):,} of {len(ids):,} labelled examples have no features,"
            f" {missing[0]!r} among them{example}. Compute them, or leave these rows out of the"
            " labels."
        )
    if unlabelled := source.num_rows - len(set(order) & place.keys()):
        log.info("%s: %d of %d vectors have no label", source.name, unlabelled, source.num_rows)
    if source.ids is None and source.labels is None:
        log.info("%s: has no ids; its rows are those of the labels, in their order", source.name)
    places = np.array([place[i] for i in ids])
    choice = choose(len(rows)) if choose else None
    for remark in choice.remarks if choice else ():
        log.info("%s: %s", source.name, remark)
    notes = None
    if choice and choice.streams:
        unit, notes = _streamed(source, places, ids, folder, shared, progress)
    else:
        unit = source.vectors(places, ids, progress)
    return ExampleFeatures(
        source=source,
        rows=rows,
        unit=unit,
        seconds=time.monotonic() - started,
        notes=notes,
        remarks=choice.remarks if choice else (),
    )


def _streamed(
    source: FeatureSource,
    places: np.ndarray,
    ids: Sequence[str],
    folder: Path,
    shared: bool,
    progress: Progress,
) -> tuple[UnitVectors, list[str]]:
    """The vectors at these places in a scratch file, and notes on degenerate ones."""
    digests, seen = Digests(), SeenVectors(ids, source.name, REMEDY)

    def blocks() -> Iterator[np.ndarray]:
        for block in source.blocks(places, ids, digests, progress):
            seen.add(block)
            yield block

    vectors = StreamedVectors.written(folder, source.vector_dim, blocks(), shared=shared)
    return UnitVectors(vectors, digests.sha256, digests.of_rows), seen.notes()


def _rows_by_id(source: FeatureSource, order: Sequence[str]) -> dict[str, int]:
    """Id -> its row in the features. Raises DatasetError."""
    if source.ids is None and len(order) != source.num_rows:
        raise DatasetError(
            f"{source.name}: has {counted(source.num_rows, 'vector')} and no ids, and there are"
            f" {counted(len(order), 'label')}. As many are needed, in the same order; or an array"
            " of ids beside the features, in a .npz or .h5 file."
        )
    ids = order if source.ids is None else source.ids
    place = {i: row for row, i in enumerate(ids)}
    if len(place) < len(ids):
        repeated = next(i for row, i in enumerate(ids) if place[i] != row)
        raise DatasetError(
            f"{source.name}: {len(ids) - len(place):,} of its ids stand there before, {repeated!r}"
            " among them. Each row needs an id of its own."
        )
    return place


@dataclass(frozen=True, kw_only=True, eq=False)
class PrecomputedMeasurement(ProbeMeasurement):
    """One benchmark by one probe on features that were made elsewhere."""

    features: ExampleFeatures
    may_skip = True  # there is nothing that could be skipped
    ingredients = "features, labels, splits and settings"

    @property
    def name(self) -> str:
        return method_name(self.features.source.name)

    @property
    def nets(self) -> str:
        return self.name

    @property
    def sha256(self) -> str:
        """The digest of the features as they were stored."""
        return self.features.unit.sha256

    @cached_property
    def key(self) -> str:
        """The key of the record: by the vectors themselves, wherever their file lies."""
        benchmark, rows = self.benchmark, self.features.rows
        return key_of(
            {
                "benchmark": benchmark.name,
                "version": benchmark.version,
                "splits": benchmark.splits_sha256,
                "labels": hashlib.sha256(benchmark.labels[rows].tobytes()).hexdigest(),
                "classes": list(benchmark.classes),
                "ids": [benchmark.ids[row] for row in rows],
                "features": self.sha256,
                "vectors": dict(self.features.source.protocol),
                "probe": benchmark.task.settings(self.probe),
                "protocol": dict(benchmark.protocol),
                "notes": list(benchmark.notes),
            }
        )

    def requests(self) -> list[FeatureRequest]:
        return []  # nothing is extracted

    def vectors(self, features: FeatureSets) -> Vectors:
        benchmark, read = self.benchmark, self.features
        ids = [benchmark.ids[row] for row in read.rows]
        self.said.extend(read.remarks)
        digests = dict(zip(read.rows.tolist(), read.unit.row_digests, strict=True))
        facts = {"sha256": self.sha256, "rows": read.source.num_rows}
        return Vectors(
            rows=read.rows,
            vectors=read.unit.vectors,
            protocol={**read.source.protocol, "view": ""},
            nets=[
                {
                    "name": self.name,
                    "weights": NO_WEIGHTS,
                    "weights_sha256": None,
                    "features": {**read.source.facts, **facts},
                }
            ],
            leaks=equal_vectors(digests, benchmark.ids, benchmark.splits),
            remarks=[*self._notes(ids), *read.remarks],
            seconds={"read": read.seconds},
        )

    def _notes(self, ids: Sequence[str]) -> Sequence[str]:
        """On degenerate vectors. Raises NetworkError if all are equal."""
        if self.features.notes is not None:
            return self.features.notes
        return notes_on(self.features.unit.vectors, ids, self.features.source.name, REMEDY)


def method_name(file: str) -> str:
    """A file's name as that of a net: without the characters that mean something there."""
    return re.sub(r"[^\w.-]+", "_", file)
