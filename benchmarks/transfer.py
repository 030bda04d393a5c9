"""Nets on a benchmark by a probe on their frozen features: vectors, choice of C, scores, record.

Shapes: N examples, n of them readable, K classes, D dimensions of the vector of an example.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.backbones.network import Network
from vggfeat.benchmarks import split_results
from vggfeat.benchmarks.benchmark import Benchmark, rows_of
from vggfeat.benchmarks.leaks import leak_notes
from vggfeat.benchmarks.options import Settings
from vggfeat.benchmarks.record_key import archive_key, record_key
from vggfeat.benchmarks.runner import Measurement
from vggfeat.benchmarks.split_results import SplitResult
from vggfeat.benchmarks.submission import archive
from vggfeat.errors import DatasetError
from vggfeat.features import store
from vggfeat.features.aggregate import aggregate, fuse
from vggfeat.features.degenerate import notes_on
from vggfeat.features.extract import Extracted
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.images import Picture
from vggfeat.probes.probe import Probe
from vggfeat.probes.registry import load_probe
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record, new_record
from vggfeat.records.scores import Scores
from vggfeat.storage.files import new_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferMeasurement(Measurement):
    """One benchmark with one net, or several nets that are fused, under one set of settings."""

    benchmark: Benchmark
    networks: Sequence[Network]
    settings: Settings
    out: Path = Path()
    command: str = ""
    supplement = "the server's archive"

    @property
    def nets(self) -> str:
        """The nets with their weights."""
        return "+".join(network.label for network in self.networks)

    @property
    def label(self) -> str:
        return f"{self.benchmark.name}, {self.nets}"

    @property
    def may_skip(self) -> bool:
        return self.settings.extraction.on_error == "skip"

    @property
    def known_notes(self) -> Sequence[str]:
        return [*self.benchmark.notes, *self._assumptions]

    @property
    def _assumptions(self) -> list[str]:
        """What is assumed of the nets' input, which was logged when they were loaded."""
        return [network.assumption for network in self.networks if network.assumed]

    @property
    def probe(self) -> Probe:
        """What is fitted, and where."""
        device = self.settings.extraction.resolved_device
        return load_probe(self.settings.probe.solver, device=device)

    @cached_property
    def path(self) -> Path:
        return self._path_of(self.key)

    @cached_property
    def key(self) -> str:
        """The key of the record, see record_key.py."""
        return record_key(self.benchmark, self.requests(), self.settings.vectors, self.probe)

    def requests(self) -> list[FeatureRequest]:
        return self._requests(self.benchmark.used)

    def measure(self, features: FeatureSets, progress: Progress) -> tuple[Record, Scores | None]:
        benchmark, settings = self.benchmark, self.settings
        extracted = [features.extract(request) for request in self.requests()]
        skipped = {i: reason for file in extracted for i, reason in file.skipped.items()}
        rows = self._readable(benchmark.used_rows, skipped)
        vectors, digests, told = self.vectors(rows, extracted)
        results = self._evaluate(rows, vectors, progress)
        left_out = {name for result in results for name in result.left_out}
        record = new_record(
            device=settings.extraction.resolved_device,
            key=self.key,
            benchmark=benchmark.name,
            title=benchmark.title,
            protocol={
                "version": benchmark.version,
                "classes": len(benchmark.classes) - len(left_out),
                "left_out": sorted(left_out),
                "leaks": len(benchmark.leaks),
                **benchmark.protocol,
                "scales": list(settings.extraction.scales),
                **vars(settings.vectors),
                "mirror": settings.extraction.mirror,
                "view": " ".join(dict.fromkeys(net.backbone.view for net in self.networks)),
                "classifier": self.probe.title,
                "normalisation": self._normalisation(),
            },
            splits_sha256=benchmark.splits_sha256,
            nets=[
                _net_facts(request, file, digest)
                for request, file, digest in zip(self.requests(), extracted, digests, strict=True)
            ],
            probe=benchmark.task.settings(self.probe)
            | split_results.probe_facts(results, self.probe),
            metric=benchmark.task.metric,
            metrics=split_results.summarise(results, benchmark.classes),
            n_train=[result.num_train for result in results],
            n_test=[result.num_test for result in results],
            skipped=skipped,
            notes=[
                *benchmark.notes,
                *self._assumptions,
                *leak_notes(benchmark.leaks),
                *split_results.notes(results, self.probe),
            ],
            remarks=[*told, *split_results.remarks(results, self.probe)],
            limited=benchmark.limited,
            seconds=_seconds(extracted, results),
            command=self.command,
        )
        return record, self._scores(results)

    def finish(self, features: FeatureSets, progress: Progress) -> None:
        """Write what the evaluation server is sent; a part of a set is not sent."""
        if self.benchmark.submission is None or self.benchmark.limited:
            return
        path = self.archive_path
        existing = [path] if path.is_file() else []
        if self.may_skip:
            existing += path.parent.glob(f"without-*-{path.name}")
        if existing:
            log.info("made already: %s", existing[0])
            return
        packed, num_unscored = self.server_archive(features, progress)
        if num_unscored:
            # Under another name, as it is not the archive of the whole test set.
            path = path.with_name(f"without-{num_unscored}-{path.name}")
            log.warning("%s: %d examples of the test set have no score", path, num_unscored)
        with new_file(path) as file:
            file.write(packed)
        log.info("wrote %s, for the evaluation server", path)

    @cached_property
    def archive_path(self) -> Path:
        """Where the archive for the evaluation server lies or will lie."""
        key = archive_key(self.key, self.benchmark)
        return self._path_of(key).with_suffix(".server.tar.gz")

    def server_archive(self, features: FeatureSets, progress: Progress) -> tuple[bytes, int]:
        """The archive's content, and how many of its examples have no score.

        Trains on `submission.split` and scores its test rows. What a skipped picture stands for
        has no line, which the server ranks last.
        """
        benchmark, split = self.benchmark, self.benchmark.submission.split
        rows = rows_of([split])
        requests = self._requests(benchmark.pictures_at(rows))
        extracted = [features.extract(request) for request in requests]
        rows = self._readable(rows, {i for file in extracted for i in file.skipped})
        vectors, *_ = self.vectors(rows, extracted)
        readable = split.among(rows)
        fitted = benchmark.task.fit(
            vectors, benchmark.labels[rows], readable, classes=benchmark.classes,
            probe=self.probe, progress=self._of_all_splits(progress, 0, 1),
        )  # fmt: skip
        scored = rows[readable.test]
        packed = archive(
            benchmark.submission.file,
            benchmark.classes,
            [benchmark.ids[row] for row in scored],
            benchmark.submission.listed[np.isin(split.test, scored)],
            fitted.decisions(vectors[readable.test]),
        )
        return packed, len(split.test) - len(scored)

    def vectors(
        self, rows: np.ndarray, extracted: Sequence[Extracted]
    ) -> tuple[np.ndarray, list[str], list[str]]:
        """Vectors [n, D] of these examples, a digest of each net's descriptors, notes on them.

        Raises NetworkError if a net gives all pictures the same descriptors.
        """
        benchmark, settings = self.benchmark, self.settings
        parts, digests, notes = [], [], []
        for network, file in zip(self.networks, extracted, strict=True):
            digest = hashlib.sha256()
            pictures = (benchmark.pictures_of[benchmark.ids[row]] for row in rows)
            for ids in zip(*pictures, strict=True):
                descriptors = store.read(file.path, ids, settings.extraction.scales)
                digest.update(descriptors.tobytes())
                notes += notes_on(descriptors, ids, network.label)
                parts.append(aggregate(descriptors, settings.vectors))
            digests.append(digest.hexdigest())
        return fuse(parts), digests, notes

    def digests(self, extracted: Sequence[Extracted], skipped: Collection[str]) -> list[str]:
        """The digest of each net's descriptors, as its record has it. Raises StoreError."""
        return self.vectors(self._readable(self.benchmark.used_rows, skipped), extracted)[1]

    def _path_of(self, key: str) -> Path:
        net = "+".join(network.name for network in self.networks)
        return records.path_of(self.out, self.benchmark.name, net, key)

    def _requests(self, pictures: Mapping[str, Picture]) -> list[FeatureRequest]:
        return [
            FeatureRequest(
                dataset=self.benchmark.feature_set,
                pictures=pictures,
                network=network,
                options=self.settings.extraction,
            )
            for network in self.networks
        ]

    def _readable(self, rows: np.ndarray, skipped: Collection[str]) -> np.ndarray:
        """Those of the examples all of whose pictures could be read."""
        benchmark, unread = self.benchmark, set(skipped)
        kept = [row for row in rows if unread.isdisjoint(benchmark.pictures_of[benchmark.ids[row]])]
        if not kept:
            raise DatasetError(
                f"{benchmark.name}: no picture could be read; {len(skipped)} skipped."
            )
        return np.array(kept)

    def _evaluate(
        self, rows: np.ndarray, vectors: np.ndarray, progress: Progress
    ) -> list[SplitResult]:
        """The result of each split; vectors [n, D] belong to these rows."""
        benchmark, results = self.benchmark, []
        labels = benchmark.labels[rows]
        for number, split in enumerate(benchmark.splits):
            of_split = self._of_all_splits(progress, number, len(benchmark.splits))
            result = benchmark.task.evaluate(
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

    def _of_all_splits(self, progress: Progress, number: int, count: int) -> Progress:
        """Progress of one split of several, as the progress of all of them."""

        def report(label: str, done: int, total: int) -> None:
            progress(f"{label}, {self.benchmark.name}", number * total + done, count * total)

        return report

    def _normalisation(self) -> str:
        num_views = len(next(iter(self.benchmark.pictures_of.values())))
        steps = ["L2 of each scale"] if self.settings.vectors.scale_l2 else []
        of_views = " of picture and of box" if num_views > 1 else ""
        steps.append(f"L2 of each net's vector{of_views}")
        if len(self.networks) * num_views > 1:
            steps.append("L2 of the stacked vectors")
        return ", ".join(steps)


def _net_facts(request: FeatureRequest, extracted: Extracted, digest: str) -> dict[str, Any]:
    """What a record says of a net; digest is of the descriptors used, in the examples' order."""
    network = request.network
    return {
        "name": network.name,
        "weights": network.weights,
        "weights_sha256": network.weights_sha256,
        **network.assumed_fact,
        "original": network.original,  # how published rows name these weights, if they do
        "features": {
            "file": extracted.path.name,
            "sha256": digest,
            "dim": network.backbone.dim,
            **vars(request.conditions),
        },
    }


def _seconds(extracted: Sequence[Extracted], results: Sequence[SplitResult]) -> dict[str, float]:
    """Seconds by stage, over all nets and splits."""
    seconds = Counter(extract=sum(file.seconds for file in extracted))
    for stages in (*(file.stage_seconds for file in extracted), *(r.seconds for r in results)):
        seconds.update(stages)
    return {stage: round(value, 2) for stage, value in seconds.items()}
