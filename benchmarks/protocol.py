"""A benchmark: labelled pictures, splits and a protocol; `Benchmark.run` measures nets on it.

Shapes: N pictures, K classes, D dimensions of the vector that stands for a picture.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from vggfeat import metrics, records, store
from vggfeat.aggregation import Aggregate, aggregate, fuse
from vggfeat.backbones import Network
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
from vggfeat.svm import OneVsRestSVM, choose_C

LIBLINEAR_BYTES = 4 * 2**30  # for its copies of the data, 16 bytes a value and thread
# The paper names neither grid nor solver. A choice at either end is told in the record's notes.
C_GRID = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Row numbers of a benchmark's pictures. C is chosen by training on `train` and scoring
    `validation`; the classifier that is tested is trained on both."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


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
        probe = _probe().get_params()
        probe.pop("n_jobs")
        return records.key_of(
            {
                "benchmark": self.name,
                "version": self.version,
                "splits": self.splits_sha256,
                "file_bytes": [picture_bytes(path) for path in self.used.values()],
                "nets": [vars(conditions(self.name, net, settings.extraction)) for net in networks],
                "aggregate": settings.aggregate,
                "probe": probe,
                "c_grid": C_GRID,
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
        ids = [self.ids[row] for row in rows]
        stored = [store.read(done.path, ids, options.scales) for done in extracted]
        vectors = fuse([aggregate(descriptors, settings.aggregate) for descriptors in stored])
        results, seconds = self._evaluate(rows, vectors, progress)
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
            probe=_probe_facts(results),
            metric=self.metric,
            metrics=self._metrics(results),
            n_train=[result.num_train for result in results],
            n_test=[result.num_test for result in results],
            skipped=skipped,
            notes=[*self.notes, *_grid_notes(results)],
            limited=self.limited,
            seconds={"extract": round(sum(done.seconds for done in extracted), 2), **seconds},
            versions=library_versions(),
            hardware=hardware(options.resolved_device),
            git=git_state(),
            command=command,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _evaluate(
        self, rows: np.ndarray, vectors: np.ndarray, progress: Progress
    ) -> tuple[list["_SplitResult"], dict[str, float]]:
        """Choose C, fit and score each split; vectors [len(rows), D] belong to these rows."""
        place = np.full(len(self.ids), -1)  # row of the benchmark -> row of the vectors
        place[rows] = np.arange(len(rows))
        truth = self.labels.argmax(axis=1)
        results: list[_SplitResult] = []
        seconds = {"choose_C": 0.0, "fit": 0.0, "score": 0.0}
        num_fits, total = 0, len(self.splits) * (len(C_GRID) + 1)

        def part(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            kept = numbers[place[numbers] >= 0]
            return vectors[place[kept]], truth[kept]

        def fitted(_: int) -> None:
            nonlocal num_fits
            num_fits += 1
            progress(f"fitting SVMs, {self.name}", num_fits, total)

        for split in self.splits:
            train, validation, test = map(part, (split.train, split.validation, split.test))
            self._check_parts(train=train[1], validation=validation[1], test=test[1])
            everything = part(np.union1d(split.train, split.validation))
            num_threads = _num_threads(everything[0])
            started = time.monotonic()
            with warnings.catch_warnings():  # convergence is told in the record, class by class
                warnings.simplefilter("ignore", ConvergenceWarning)
                C, scores = choose_C(
                    _probe(num_threads),
                    train,
                    validation,
                    grid=C_GRID,
                    score=lambda t, p: metrics.mean_class_recall(t, p, len(self.classes)),
                    progress=fitted,
                )
                chosen = time.monotonic()
                svm = _probe(num_threads).set_params(C=C).fit(*everything)
            fitted(0)
            trained = time.monotonic()
            predicted = svm.predict(test[0])
            results.append(
                _SplitResult(
                    num_train=len(everything[1]),
                    num_test=len(test[1]),
                    C=C,
                    validation_scores=scores,
                    num_not_converged=int((~svm.converged_).sum()),
                    recalls=metrics.class_recalls(test[1], predicted, len(self.classes)),
                    accuracy=metrics.accuracy(test[1], predicted),
                )
            )
            seconds["choose_C"] += chosen - started
            seconds["fit"] += trained - chosen
            seconds["score"] += time.monotonic() - trained
        return results, {stage: round(value, 2) for stage, value in seconds.items()}

    def _check_parts(self, **parts: np.ndarray) -> None:
        """Every class must be trained on and tested, as the metric is a mean over classes."""
        for name, part in parts.items():
            absent = set(range(len(self.classes))).difference(part.tolist())
            if absent and (name != "validation" or not len(part)):
                raise DatasetError(
                    f"{self.name}: class {self.classes[min(absent)]!r} has no {name} picture left"
                    " after the skipped ones. Repair its pictures, or leave the class out."
                )

    def _metrics(self, results: Sequence["_SplitResult"]) -> dict[str, dict[str, Any]]:
        recalls = np.array([result.recalls for result in results])  # [splits, K]
        per_class = dict(zip(self.classes, _rounded(recalls.mean(axis=0)), strict=True))
        return {
            "mean_class_recall": _summary(recalls.mean(axis=1)) | {"per_class": per_class},
            "accuracy": _summary(np.array([result.accuracy for result in results])),
        }


@dataclass(frozen=True)
class _SplitResult:
    num_train: int  # validation included
    num_test: int
    C: float
    validation_scores: dict[float, float]
    num_not_converged: int
    recalls: np.ndarray  # [K]
    accuracy: float


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


def _probe(num_threads: int = 1) -> OneVsRestSVM:
    return OneVsRestSVM(max_iter=10_000, n_jobs=num_threads)


def _num_threads(vectors: np.ndarray) -> int:
    """As many as there are cores, while their copies of the data fit in LIBLINEAR_BYTES."""
    return max(1, min(os.cpu_count() or 1, LIBLINEAR_BYTES // (16 * max(1, vectors.size))))


def _probe_facts(results: Sequence[_SplitResult]) -> dict[str, Any]:
    svm = _probe()
    return {
        "solver": "liblinear (scikit-learn LinearSVC)",
        "loss": "squared hinge, one class against the rest",
        "intercept": "regularised with the weights (intercept_scaling 1)",
        "class_weight": svm.class_weight,
        "tol": svm.tol,
        "max_iter": svm.max_iter,
        "c_grid": list(C_GRID),
        "c_rule": "best mean class recall on the validation part of each split, smallest of equals",
        "c": [result.C for result in results],
        "validation": [
            {f"{C:g}": round(score, 6) for C, score in result.validation_scores.items()}
            for result in results
        ],
        "classes_not_converged": [result.num_not_converged for result in results],
    }


def _grid_notes(results: Sequence[_SplitResult]) -> list[str]:
    """Whether a better C may lie beyond the grid."""
    ends = {min(C_GRID): "smallest", max(C_GRID): "largest"}
    return [
        f"the {name} C of the grid, {C:g}, was chosen in {count} of {len(results)} splits"
        for C, name in ends.items()
        if (count := sum(result.C == C for result in results))
    ]


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


def _summary(per_split: np.ndarray) -> dict[str, Any]:
    """Mean over splits and their sample standard deviation, which needs two splits."""
    return {
        "value": round(float(per_split.mean()), 6),
        "spread": round(float(per_split.std(ddof=1)), 6) if len(per_split) > 1 else None,
        "per_split": _rounded(per_split),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
