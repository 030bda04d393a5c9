"""A benchmark: labelled pictures, splits and a protocol; `Benchmark.run` measures nets on it.

Shapes: N examples, K classes, D dimensions of the vector that stands for an example.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat import metrics
from vggfeat.backbones.network import Network, sharing_forward
from vggfeat.benchmarks import evaluation, multi_label, single_label
from vggfeat.benchmarks.evaluation import Probe, Split, SplitResult
from vggfeat.benchmarks.leaks import Leak, find_leaks, leak_notes
from vggfeat.benchmarks.options import Settings
from vggfeat.benchmarks.submission import Submission, archive
from vggfeat.errors import DatasetError
from vggfeat.features import store
from vggfeat.features.aggregate import Aggregate, aggregate, fuse
from vggfeat.features.extract import Extracted, conditions, extract
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import Progress
from vggfeat.images import Crop, Picture, picture_bytes
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.records import record
from vggfeat.records.record import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """`scales`, `aggregate` and `mirror` are the published defaults.

    An example is what is classified: a picture, or a person in a picture. Most benchmarks have an
    example for each picture; others say in `examples` which pictures stand for an example, and
    their vectors are stacked.
    """

    name: str
    title: str
    version: int  # of the protocol; another version's numbers are not comparable
    classes: tuple[str, ...]
    pictures: Mapping[str, Picture]  # id -> file or crop
    labels: np.ndarray  # [N, K] in {1, 0, -1}, in the order of the examples
    splits: tuple[Split, ...]
    sets: Mapping[str, np.ndarray]  # rows of the dataset's own sets, such as train and val
    scales: tuple[int, ...]
    aggregate: Aggregate
    mirror: bool = True
    metric: str = "mean_class_recall"  # or one of metrics.AP_RULES for several classes a picture
    difficult: str = "ignore"  # labels of 0 in training: "ignore" or "negative"
    examples: Mapping[str, tuple[str, ...]] | None = None  # id -> ids of its pictures
    dataset: str | None = None  # names the feature files; the benchmark's name if not given
    submission: Submission | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)  # what published.csv states too
    notes: tuple[str, ...] = ()
    limited: bool = False

    @property
    def feature_set(self) -> str:
        """The dataset by which feature files know the pictures."""
        return self.dataset or self.name

    @cached_property
    def pictures_of(self) -> dict[str, tuple[str, ...]]:
        """Example id -> ids of its pictures, as many for each example."""
        return dict(self.examples or {i: (i,) for i in self.pictures})

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The examples, N of them."""
        return tuple(self.pictures_of)

    @cached_property
    def used_rows(self) -> np.ndarray:
        """The examples that some split uses, in order."""
        return _rows_of(self.splits)

    @cached_property
    def used(self) -> dict[str, Picture]:
        """The pictures of those examples."""
        return self._pictures_at(self.used_rows)

    @cached_property
    def needed(self) -> dict[str, Picture]:
        """The pictures that measuring takes, those for the evaluation server among them."""
        splits = [*self.splits]
        if self.submission and not self.limited:
            splits.append(self.submission.split)
        return self._pictures_at(_rows_of(splits))

    @cached_property
    def splits_sha256(self) -> str:
        """A digest of which example is in which part of which split."""
        listed = [
            [[self.ids[row] for row in part] for part in (s.train, s.validation, s.test)]
            for s in self.splits
        ]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    @property
    def is_multi_label(self) -> bool:
        return self.metric in metrics.AP_RULES

    def settings(
        self,
        *,
        scales: Sequence[int] | None = None,
        mirror: bool | None = None,
        aggregate: Aggregate | None = None,
        scale_l2: bool = False,
        solver: str = "newton",
        **extraction: Any,
    ) -> Settings:
        """The published settings, with whatever is given in their place."""
        extraction = Extraction(
            scales=tuple(scales or self.scales),
            mirror=self.mirror if mirror is None else mirror,
            **extraction,
        )
        return Settings(
            extraction=extraction,
            probe=Probe(solver=solver, device=extraction.resolved_device),
            aggregate=aggregate or self.aggregate,
            scale_l2=scale_l2,
        )

    def key(self, networks: Sequence[Network], settings: Settings) -> str:
        """The key of the record that `run` would make: everything that decides its numbers.

        Pictures count by the sizes of their files; none is opened.
        """
        options = settings.extraction
        return record.key_of(
            {
                "benchmark": self.name,
                "version": self.version,
                "splits": self.splits_sha256,
                "labels": hashlib.sha256(self.labels[self.used_rows].tobytes()).hexdigest(),
                "pictures": list(self.used),
                "file_bytes": [picture_bytes(picture) for picture in self.used.values()],
                "nets": [vars(conditions(self.feature_set, net, options)) for net in networks],
                "aggregate": settings.aggregate,
                "scale_l2": settings.scale_l2,
                "probe": self._probe_settings(settings),
                "protocol": dict(self.protocol),
                "notes": list(self.notes),
                "limited": self.limited,
            }
        )

    def submission_key(self, networks: Sequence[Network], settings: Settings) -> str:
        """The key of the archive that `submit` would make."""
        split = self.submission.split
        return record.key_of(
            {
                "record": self.key(networks, settings),
                "pictures": {i: picture_bytes(picture) for i, picture in self.needed.items()},
                "test": [self.ids[row] for row in split.test],
                "listed": hashlib.sha256(self.submission.listed.tobytes()).hexdigest(),
            }
        )

    def run(
        self,
        networks: Sequence[Network],
        settings: Settings,
        *,
        features_dir: Path,
        shared_with: Sequence[Network] = (),
        command: str = "",
        progress: Progress = lambda label, done, total: None,
    ) -> Record:
        """Extract what is missing, choose C, fit and score every split; several nets are fused.

        `beside` are networks that will be measured later: what shares a pass with one of these is
        extracted in the same pass. Raises what `extract` raises, and DatasetError if skipped
        pictures leave a class empty.
        """
        options = settings.extraction
        extracted = self._extracted(
            self.used, networks, options, features_dir, progress, shared_with
        )
        skipped = {i: reason for done in extracted for i, reason in done.skipped.items()}
        rows = self._readable(self.used_rows, skipped)
        vectors, digests = self._vectors(rows, extracted, settings)
        results = self._evaluate(rows, vectors, settings.probe, progress)
        left_out = {name for result in results for name in result.left_out}
        seconds = Counter(extract=sum(done.seconds for done in extracted))
        for done in (*(one.stage_seconds for one in extracted), *(one.seconds for one in results)):
            seconds.update(done)
        return Record(
            schema_version=record.SCHEMA_VERSION,
            key=self.key(networks, settings),
            benchmark=self.name,
            title=self.title,
            protocol={
                "version": self.version,
                "classes": len(self.classes) - len(left_out),
                "left_out": sorted(left_out),
                "leaks": len(self.leaks),
                **self.protocol,
                "scales": list(options.scales),
                "aggregate": settings.aggregate,
                "scale_l2": settings.scale_l2,
                "mirror": options.mirror,
                "view": " ".join(dict.fromkeys(net.backbone.view for net in networks)),
                "classifier": "linear SVM",
                "normalisation": self._normalisation(len(networks), settings),
            },
            splits_sha256=self.splits_sha256,
            nets=[
                _net_facts(net, done, digests[number], options, self.feature_set)
                for number, (net, done) in enumerate(zip(networks, extracted, strict=True))
            ],
            probe=self._probe_settings(settings) | evaluation.probe_facts(results),
            metric=self.metric,
            metrics=evaluation.summarise(results, self.classes),
            n_train=[result.num_train for result in results],
            n_test=[result.num_test for result in results],
            skipped=skipped,
            notes=[*self.notes, *leak_notes(self.leaks), *evaluation.notes(results)],
            limited=self.limited,
            seconds={stage: round(value, 2) for stage, value in seconds.items()},
            versions=library_versions(),
            hardware=hardware(options.resolved_device),
            git=git_state(),
            command=command,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def submit(
        self,
        networks: Sequence[Network],
        settings: Settings,
        *,
        features_dir: Path,
        progress: Progress = lambda label, done, total: None,
    ) -> tuple[bytes, int]:
        """The archive for the evaluation server, and how many of its examples have no score.

        Trains on `submission.split` and scores its test rows. What a skipped picture stands for
        has no line, which the server ranks last.
        """
        split = self.submission.split
        rows = _rows_of([split])
        extracted = self._extracted(
            self._pictures_at(rows), networks, settings.extraction, features_dir, progress
        )
        rows = self._readable(rows, {i for done in extracted for i in done.skipped})
        vectors, _ = self._vectors(rows, extracted, settings)
        part = split.among(rows)
        fitted = multi_label.fit(
            vectors, self.labels[rows], part, difficult=self.difficult,
            probe=settings.probe, progress=self._told(progress, 0, 1),
        )  # fmt: skip
        scored = rows[part.test]
        packed = archive(
            self.submission.file,
            self.classes,
            [self.ids[row] for row in scored],
            self.submission.listed[np.isin(split.test, scored)],
            fitted.decide(vectors[part.test]),
        )
        return packed, len(split.test) - len(scored)

    def split_lists(self) -> Iterator[tuple[int, str, str, str]]:
        """(split, part, example, its classes) of every example of every split."""
        for number, split in enumerate(self.splits):
            for part, rows in vars(split).items():
                for row in rows.tolist():
                    present = np.flatnonzero(self.labels[row] > 0)
                    yield number, part, self.ids[row], " ".join(self.classes[k] for k in present)

    @cached_property
    def leaks(self) -> list[Leak]:
        """Test pictures whose file equals a training picture's."""
        files = {i: self._file_of(i) for i in self.ids}
        return find_leaks(files, self.splits)

    def _file_of(self, example: str) -> Path:
        picture = self.pictures[self.pictures_of[example][0]]
        return picture.path if isinstance(picture, Crop) else picture

    def _pictures_at(self, rows: np.ndarray) -> dict[str, Picture]:
        ids = dict.fromkeys(i for row in rows for i in self.pictures_of[self.ids[row]])
        return {i: self.pictures[i] for i in ids}

    def _extracted(
        self,
        pictures: Mapping[str, Picture],
        networks: Sequence[Network],
        options: Extraction,
        features_dir: Path,
        progress: Progress,
        shared_with: Sequence[Network] = (),
    ) -> list[Extracted]:
        """What each net's extraction of these pictures came to."""
        return [
            extract(
                self.feature_set,
                pictures,
                net,
                options,
                folder=features_dir,
                progress=progress,
                shared_with=sharing_forward(net, [*networks, *shared_with]),
            )
            for net in networks
        ]

    def _readable(self, rows: np.ndarray, skipped: Collection[str]) -> np.ndarray:
        unread = set(skipped)
        kept = [row for row in rows if unread.isdisjoint(self.pictures_of[self.ids[row]])]
        if not kept:
            raise DatasetError(f"{self.name}: no picture could be read; {len(skipped)} skipped.")
        return np.array(kept)

    def _vectors(
        self, rows: np.ndarray, extracted: Sequence[Extracted], settings: Settings
    ) -> tuple[np.ndarray, list[str]]:
        """Vectors [len(rows), D] of these examples, and a digest of each net's descriptors."""
        parts, digests = [], []
        for done in extracted:
            digest = hashlib.sha256()
            for ids in zip(*(self.pictures_of[self.ids[row]] for row in rows), strict=True):
                descriptors = store.read(done.path, ids, settings.extraction.scales)
                digest.update(descriptors.tobytes())
                parts.append(aggregate(descriptors, settings.aggregate, scale_l2=settings.scale_l2))
            digests.append(digest.hexdigest())
        return fuse(parts), digests

    def _evaluate(
        self, rows: np.ndarray, vectors: np.ndarray, probe: Probe, progress: Progress
    ) -> list[SplitResult]:
        """The result of each split; vectors [len(rows), D] belong to these rows."""
        results = []
        for number, split in enumerate(self.splits):
            told = self._told(progress, number, len(self.splits))
            labels, part = self.labels[rows], split.among(rows)
            if self.is_multi_label:
                result = multi_label.evaluate(
                    vectors, labels, part, classes=self.classes, difficult=self.difficult,
                    unread=self.labels[np.setdiff1d(split.test, rows)], probe=probe, progress=told,
                )  # fmt: skip
            else:
                result = single_label.evaluate(
                    vectors, labels, part, classes=self.classes, probe=probe, progress=told
                )
            results.append(result)
        return results

    def _told(self, progress: Progress, number: int, count: int) -> Progress:
        """Progress of one split of several, as the progress of all of them."""

        def tell(label: str, done: int, total: int) -> None:
            progress(f"{label}, {self.name}", number * total + done, count * total)

        return tell

    def _normalisation(self, num_nets: int, settings: Settings) -> str:
        views = len(next(iter(self.pictures_of.values())))
        steps = ["L2 of each scale"] if settings.scale_l2 else []
        steps.append("L2 of each net's vector" + (" of picture and of box" if views > 1 else ""))
        if num_nets * views > 1:
            steps.append("L2 of the stacked vectors")
        return ", ".join(steps)

    def _probe_settings(self, settings: Settings) -> dict[str, Any]:
        if self.is_multi_label:
            rule = {"c_rule": multi_label.C_RULE, "difficult_in_training": self.difficult}
        else:
            rule = {"c_rule": single_label.C_RULE}
        return settings.probe.settings() | rule


def _rows_of(splits: Sequence[Split]) -> np.ndarray:
    parts = [part for s in splits for part in (s.train, s.validation, s.test)]
    return np.unique(np.concatenate(parts))


def _net_facts(
    network: Network, extracted: Extracted, digest: str, options: Extraction, dataset: str
) -> dict[str, Any]:
    return {
        "name": network.name,
        "weights": network.weights,
        "weights_sha256": network.weights_sha256,
        "original": network.original,  # how published rows name these weights, if they do
        "features": {
            "file": extracted.path.name,
            "sha256": digest,  # of the descriptors that were used, in the order of the examples
            "dim": network.backbone.dim,
            **vars(conditions(dataset, network, options)),
        },
    }
