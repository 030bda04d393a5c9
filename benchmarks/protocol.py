"""A benchmark: labelled pictures, splits and a protocol; `Benchmark.run` measures nets on it.

Shapes: N pictures, K classes, D dimensions of the vector that stands for a picture.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat import records, store
from vggfeat.aggregation import Aggregate, aggregate, fuse
from vggfeat.backbones import Network
from vggfeat.benchmarks import evaluation
from vggfeat.benchmarks.evaluation import Split, SplitResult
from vggfeat.descriptors import (
    Extracted,
    Extraction,
    Progress,
    conditions,
    extract,
    picture_bytes,
)
from vggfeat.errors import DatasetError
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.records import Record


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a measurement is made: extraction, and scale combination."""

    extraction: Extraction
    aggregate: Aggregate


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A single-label benchmark. `scales`, `aggregate` and `mirror` are its published defaults."""

    name: str
    title: str
    version: int  # of the protocol; another version's numbers are not comparable
    classes: tuple[str, ...]
    pictures: Mapping[str, Path]  # id -> file, N of them
    labels: np.ndarray  # [N, K] in {1, 0, -1}, in the order of the pictures
    splits: tuple[Split, ...]
    scales: tuple[int, ...]
    aggregate: Aggregate
    mirror: bool = True
    metric: str = "mean_class_recall"
    protocol: Mapping[str, Any] = field(default_factory=dict)  # what published.csv states too
    notes: tuple[str, ...] = ()
    limited: bool = False

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.pictures)

    @cached_property
    def used_rows(self) -> np.ndarray:
        """The rows that some split uses, in order."""
        parts = [part for s in self.splits for part in (s.train, s.validation, s.test)]
        return np.unique(np.concatenate(parts))

    @cached_property
    def used(self) -> dict[str, Path]:
        """The pictures of those rows, id -> file."""
        return {self.ids[row]: self.pictures[self.ids[row]] for row in self.used_rows}

    @cached_property
    def splits_sha256(self) -> str:
        """A digest of which picture is in which part of which split."""
        listed = [
            [[self.ids[row] for row in part] for part in (s.train, s.validation, s.test)]
            for s in self.splits
        ]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def key(self, networks: Sequence[Network], settings: Settings) -> str:
        """The key of the record that `run` would make: everything that decides its numbers.

        Pictures count by the sizes of their files; none is opened.
        """
        return records.key_of(
            {
                "benchmark": self.name,
                "version": self.version,
                "splits": self.splits_sha256,
                "file_bytes": [picture_bytes(path) for path in self.used.values()],
                "nets": [vars(conditions(self.name, net, settings.extraction)) for net in networks],
                "aggregate": settings.aggregate,
                "probe": evaluation.settings(),
                "limited": self.limited,
            }
        )

    def run(
        self,
        networks: Sequence[Network],
        settings: Settings,
        *,
        features_dir: Path,
        command: str = "",
        progress: Progress = lambda label, done, total: None,
    ) -> Record:
        """Extract what is missing, choose C, fit and score every split; several nets are fused.

        Raises what `extract` raises, and DatasetError if skipped pictures leave a class empty.
        """
        options = settings.extraction
        extracted = [
            extract(self.name, self.used, net, options, folder=features_dir, progress=progress)
            for net in networks
        ]
        skipped = {i: reason for done in extracted for i, reason in done.skipped.items()}
        rows = np.array([row for row in self.used_rows if self.ids[row] not in skipped])
        if not len(rows):
            raise DatasetError(f"{self.name}: no picture could be read; {len(skipped)} skipped.")
        ids = [self.ids[row] for row in rows]
        stored = [store.read(done.path, ids, options.scales) for done in extracted]
        vectors = fuse([aggregate(descriptors, settings.aggregate) for descriptors in stored])
        results = self._evaluate(rows, vectors, progress)
        seconds = {"extract": sum(done.seconds for done in extracted)} | {
            stage: sum(result.seconds[stage] for result in results) for stage in results[0].seconds
        }
        return Record(
            schema_version=records.SCHEMA_VERSION,
            key=self.key(networks, settings),
            benchmark=self.name,
            title=self.title,
            protocol={
                "version": self.version,
                **self.protocol,
                "scales": list(options.scales),
                "aggregate": settings.aggregate,
                "mirror": options.mirror,
                "normalisation": "L2 of each net's vector"
                + (", L2 of the stacked vectors" if len(networks) > 1 else ""),
            },
            splits_sha256=self.splits_sha256,
            nets=[
                _net_facts(*facts, options, self.name)
                for facts in zip(networks, extracted, stored, strict=True)
            ],
            probe=evaluation.probe_facts(results),
            metric=self.metric,
            metrics=evaluation.summarise(results, self.classes),
            n_train=[result.num_train for result in results],
            n_test=[result.num_test for result in results],
            skipped=skipped,
            notes=[*self.notes, *evaluation.grid_notes(results)],
            limited=self.limited,
            seconds={stage: round(value, 2) for stage, value in seconds.items()},
            versions=library_versions(),
            hardware=hardware(options.resolved_device),
            git=git_state(),
            command=command,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _evaluate(
        self, rows: np.ndarray, vectors: np.ndarray, progress: Progress
    ) -> list[SplitResult]:
        """The result of each split; vectors [len(rows), D] belong to these rows."""
        truth = self.labels[rows].argmax(axis=1)
        splits = [split.among(rows) for split in self.splits]
        for split in splits:
            evaluation.check(truth, split, self.classes)

        def told(number: int) -> Progress:
            def tell(label: str, done: int, total: int) -> None:
                label = f"{label}, {self.name}"
                progress(label, number * total + done, len(splits) * total)

            return tell

        return [
            evaluation.evaluate(
                vectors, truth, split, num_classes=len(self.classes), progress=told(number)
            )
            for number, split in enumerate(splits)
        ]


def choose_settings(
    benchmark: Benchmark,
    *,
    scales: Sequence[int] | None = None,
    mirror: bool | None = None,
    aggregate: Aggregate | None = None,
    **extraction: Any,
) -> Settings:
    """The benchmark's published settings, with whatever is given in their place."""
    return Settings(
        extraction=Extraction(
            scales=tuple(scales or benchmark.scales),
            mirror=benchmark.mirror if mirror is None else mirror,
            **extraction,
        ),
        aggregate=aggregate or benchmark.aggregate,
    )


def _net_facts(
    network: Network, extracted: Extracted, stored: np.ndarray, options: Extraction, dataset: str
) -> dict[str, Any]:
    return {
        "name": network.name,
        "weights": network.weights,
        "weights_sha256": network.weights_sha256,
        "features": {
            "file": extracted.path.name,
            # of the descriptors that were used, in the order of their ids
            "sha256": hashlib.sha256(stored.tobytes()).hexdigest(),
            "dim": network.backbone.dim,
            **vars(conditions(dataset, network, options)),
        },
    }
