"""A probe on the vectors of a benchmark's examples, whatever they were computed with: the record.

Shapes: N examples, n of them readable, K classes, D dimensions of the vector of an example.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks import shots, split_results
from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.leaks import Leak, leak_notes
from vggfeat.benchmarks.options import Settings
from vggfeat.benchmarks.runner import Measurement
from vggfeat.benchmarks.split_results import SplitResult
from vggfeat.benchmarks.streamed_vectors import StreamedVectors
from vggfeat.features.requests import FeatureSets
from vggfeat.probes.probe import Probe
from vggfeat.probes.registry import DEFAULT_PROBE
from vggfeat.probes.streaming.choice import Choice, Problem, choose_path
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record, new_record
from vggfeat.records.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """The vectors of a benchmark's examples, and what a record says of how they came about."""

    rows: np.ndarray  # [n] of the examples that have a vector
    vectors: np.ndarray | StreamedVectors  # [n, D]
    protocol: Mapping[str, Any]  # scales, aggregate, ...
    nets: Sequence[Mapping[str, Any]]
    skipped: Mapping[str, str] = field(default_factory=dict)  # picture -> reason
    leaks: Sequence[Leak] | None = None  # of equal vectors; None: the benchmark's, of equal files
    remarks: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeMeasurement(Measurement):
    """One benchmark by one probe: subclasses say where the vectors come from."""

    benchmark: Benchmark
    settings: Settings
    out: Path = Path()
    command: str = ""
    memory: int | None = None  # bytes that the process may take; None: what is free
    workers: Workers = ALONE  # who share the classes of probes whose vectors stream from disk
    said: list[str] = field(default_factory=list)  # remarks of the record that were logged
    scratch: Path | None = None  # folder of vectors that do not fit; that of features by default

    @property
    @abstractmethod
    def name(self) -> str:
        """What gave the vectors, as the name of the record's file has it."""

    @property
    @abstractmethod
    def nets(self) -> str:
        """The same with its weights, as messages have it."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The key of the record."""

    @abstractmethod
    def vectors(self, features: FeatureSets) -> Vectors:
        """The vectors of the examples that some split uses. Raises VggfeatError or OSError."""

    @property
    def label(self) -> str:
        probe = self.settings.probe.probe
        by = "" if probe == DEFAULT_PROBE else f", {probe}"
        return f"{self.benchmark.name}, {self.nets}{by}"

    @property
    def known_notes(self) -> Sequence[str]:
        return [*self.benchmark.notes, *self.assumptions, *self.said]

    @property
    def assumptions(self) -> list[str]:
        """What is assumed of the nets' input, which was logged when they were loaded."""
        return []

    @property
    def probe(self) -> Probe:
        """What is fitted, and where."""
        return replace(self.settings.fitted_probe, memory=self.memory, workers=self.workers)

    @cached_property
    def path(self) -> Path:
        return self.path_of(self.key)

    def path_of(self, key: str) -> Path:
        """Where a record with this key would lie."""
        return records.path_of(self.out, self.benchmark.name, self.name, key)

    def measure(self, features: FeatureSets, progress: Progress) -> tuple[Record, Scores | None]:
        benchmark, described = self.benchmark, self.vectors(features)
        results = self._evaluate(described.rows, described.vectors, progress)
        of_vectors = described.leaks is not None
        leaks = described.leaks if of_vectors else benchmark.leaks
        left_out = {name for result in results for name in result.left_out}
        record = new_record(
            device=self.settings.extraction.resolved_device,
            key=self.key,
            benchmark=benchmark.name,
            title=benchmark.title,
            protocol={
                "version": benchmark.version,
                "classes": len(benchmark.classes) - len(left_out),
                "left_out": sorted(left_out),
                "leaks": len(leaks),
                **benchmark.protocol,
                **described.protocol,
                "classifier": self.probe.title,
            },
            splits_sha256=benchmark.splits_sha256,
            nets=list(described.nets),
            probe=benchmark.task.settings(self.probe)
            | split_results.probe_facts(results, self.probe),
            metric=benchmark.task.metric,
            metrics=split_results.summarise(results, benchmark.classes),
            n_train=[result.num_train for result in results],
            n_test=[result.num_test for result in results],
            skipped=dict(described.skipped),
            notes=[
                *benchmark.notes,
                *self.assumptions,
                *leak_notes(leaks, "vectors" if of_vectors else "pictures"),
                *split_results.notes(results, self.probe),
            ],
            remarks=[
                *described.remarks,
                *shots.remarks(benchmark, self.probe.hyperparameter),
                *split_results.remarks(results, self.probe),
            ],
            limited=benchmark.limited,
            seconds=_seconds(described.seconds, results),
            command=self.command,
        )
        return record, self._scores(results)

    def _evaluate(
        self, rows: np.ndarray, vectors: np.ndarray | StreamedVectors, progress: Progress
    ) -> list[SplitResult]:
        """The result of each split; vectors [n, D] belong to these rows."""
        benchmark, results = self.benchmark, []
        labels = benchmark.labels[rows]
        for number, split in enumerate(benchmark.splits):
            of_split = self.of_all_splits(progress, number, len(benchmark.splits))
            result, _ = benchmark.task.fit_and_score(
                vectors, labels, split.among(rows), classes=benchmark.classes,
                unread=benchmark.labels[np.setdiff1d(split.test, rows)],
                probe=self.probe, progress=of_split,
            )  # fmt: skip
            # An example that could not be read has a score, too: the lowest.
            scores = np.full((len(split.test), len(benchmark.classes)), -np.inf, np.float32)
            scores[np.isin(split.test, rows)] = result.scores
            results.append(replace(result, scores=scores))
        return results

    def _scores(self, results: Sequence[SplitResult]) -> Scores:
        """The scores of every split's test examples, those of the first split first."""
        benchmark = self.benchmark
        tested = [split.test for split in benchmark.splits]
        rows = np.concatenate(tested)
        return Scores(
            ids=[benchmark.ids[row] for row in rows],
            splits=np.repeat(np.arange(len(tested)), [len(test) for test in tested]),
            labels=benchmark.labels[rows],
            scores=np.concatenate([result.scores for result in results]),
            classes=benchmark.classes,
        )

    def of_all_splits(self, progress: Progress, number: int, count: int) -> Progress:
        """Progress of one split of several, as the progress of all of them."""

        def report(label: str, done: int, total: int) -> None:
            progress(f"{label}, {self.benchmark.name}", number * total + done, count * total)

        return report


def _seconds(before: Mapping[str, float], results: Sequence[SplitResult]) -> dict[str, float]:
    """Seconds by stage, over all nets and splits."""
    seconds = Counter(before)
    for result in results:
        seconds.update(result.seconds)
    return {stage: round(value, 2) for stage, value in seconds.items()}


def path_of_probe(
    benchmark: Benchmark,
    probe: Probe,
    shape: tuple[int, int],
    read_values: int,
    memory: int | None,
) -> Choice:
    """Whether vectors of a shape [n, D] are held in memory or on disk, by the largest split.

    read_values are those that are stored of a vector. Raises OptionError if neither fits.
    """
    splits = benchmark.splits
    size = Problem(
        N=shape[0],
        n=max(len(split.train) + len(split.validation) for split in splits),
        m=max(len(split.validation) for split in splits),
        t=max(len(split.test) for split in splits),
        d=shape[1],
        K=len(benchmark.classes),
        read_values=read_values,
    )
    return choose_path(probe, size, memory)
