"""ILSVRC classification: nets on labelled pictures, in several views and scales (paper, sect. 4).

For each net the posteriors of every picture, view and scale are extracted once, into a feature
file; a measurement is their mean over scales, views and nets, and its top-1 and top-5 error. So a
grid costs what its largest parts cost, and an interrupted run goes on from where it was.

Shapes: N pictures, S scales, K classes.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat import devices
from vggfeat.backbones.given_names import Names
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import Fusion
from vggfeat.benchmarks import runner
from vggfeat.benchmarks.given_names import names_of_nets
from vggfeat.benchmarks.ilsvrc.class_checks import check_class_scores, check_classes
from vggfeat.benchmarks.ilsvrc.class_errors import (
    PROTOCOL_VERSION,
    classification_record,
    scores_of,
)
from vggfeat.benchmarks.ilsvrc.class_matching import among_classes_of
from vggfeat.benchmarks.ilsvrc.class_order import assumption
from vggfeat.benchmarks.ilsvrc.grid import cells
from vggfeat.benchmarks.ilsvrc.measurement import IlsvrcMeasurement
from vggfeat.benchmarks.ilsvrc.predictions import About, Predictions, write
from vggfeat.benchmarks.ilsvrc.scales import Scales, facts
from vggfeat.benchmarks.ilsvrc.test_set import TestSet, open_test_set
from vggfeat.benchmarks.ilsvrc.views import HEADS, VIEWS
from vggfeat.benchmarks.runner import Failure
from vggfeat.errors import DatasetError, OptionError, UnknownNameError
from vggfeat.features import store
from vggfeat.features.degenerate import notes_on
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.records.scores import Scores
from vggfeat.report.published import CLASSIFICATION as BENCHMARK
from vggfeat.storage import files
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for: every fusion of nets at every list of scales in every view."""

    nets: Sequence[Fusion]  # nets that are used together
    data: Path
    folders: Folders
    views: Sequence[str] = ("dense",)
    scales: Sequence[str] = ("single",)
    limit: int | None = None  # pictures a class
    skip_unknown_classes: bool = False  # leave out pictures of classes that the nets have not
    offline: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)  # of Extraction
    save: Path | None = None  # folder for predictions
    command: str = ""
    names: Names = field(default_factory=dict)  # that the user gave nets

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is read."""
        for view in self.views:
            if view not in VIEWS:
                raise UnknownNameError("view", view, VIEWS)
        for spec in (spec for fusion in self.nets for spec in fusion):
            check_class_scores(spec)
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit must be at least 1; got {self.limit}.")
        devices.resolved(self.options.get("device", "auto"))


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationMeasurement(IlsvrcMeasurement):
    """Nets used together in one view, each at its scales, on one test set."""

    benchmark = BENCHMARK
    test_set: TestSet
    save: Path | None = None  # folder for predictions
    supplement = "the predictions"

    @property
    def may_skip(self) -> bool:
        return self._extraction("dense", (1,)).on_error == "skip"

    @property
    def known_notes(self) -> Sequence[str]:
        return self._notes

    @cached_property
    def key(self) -> str:
        """The key of the record: a digest of everything that decides its numbers."""
        return records.key_of(
            {
                "benchmark": BENCHMARK,
                "version": PROTOCOL_VERSION,
                "data": self.test_set.digest,
                "limited": self.test_set.limited,
                "view": self.view,
                "posteriors": [vars(request.conditions) for request in self.requests()],
            }
            | self._matched
        )

    @property
    def _matched(self) -> dict[str, Any]:
        """What decides the numbers of nets with more classes than the pictures."""
        test_set = self.test_set
        if not test_set.matching:
            return {}
        classes = {"classes": test_set.pictures.classes, "present": test_set.present}
        return classes | {"matching": dict(test_set.matching)}

    def requests(self) -> list[FeatureRequest]:
        return [
            self._request(network, scales, head)
            for network, scales in zip(self.networks, self.scales, strict=True)
            for head in VIEWS[self.view]
        ]

    def extractions(self, *, made_too: bool) -> list[FeatureRequest]:
        is_saved = self.save is None or self._saved_path.exists()
        return self.requests() if made_too or not is_saved or self.existing() is None else []

    def measure(self, features: FeatureSets, progress: Progress) -> tuple[Record, Scores]:
        predictions = self.predictions(features)
        device = self._extraction("dense", (1,)).resolved_device
        record = classification_record(
            predictions, key=self.key, device=device, command=self.command
        )
        names = " + ".join(network.label for network in self.networks)
        told = notes_on(predictions.posteriors, predictions.about.ids, names)
        return replace(record, remarks=told), scores_of(predictions)

    def finish(self, features: FeatureSets, progress: Progress) -> None:
        """Write the predictions where they are to be saved and are not there yet."""
        if self.save is not None and not self._saved_path.exists():
            write(self._saved_path, self.predictions(features))
            log.info("wrote %s", self._saved_path)

    @property
    def _saved_path(self) -> Path:
        return self.save / self.path.with_suffix(".safetensors").name

    def predictions(self, features: FeatureSets) -> Predictions:
        """The mean posteriors of the pictures that could be read. Raises what extraction raises."""
        requests, test_set = self.requests(), self.test_set
        extracted = [features.extract(request) for request in requests]
        skipped = {i: reason for result in extracted for i, reason in result.skipped.items()}
        ids = [i for i in test_set.files if i not in skipped]
        if not ids:
            raise DatasetError(f"{test_set.pictures.root}: no picture could be read.")
        total = np.zeros((len(ids), len(test_set.pictures.classes)))
        for request, result in zip(requests, extracted, strict=True):
            total += store.read(result.path, ids, request.options.scales).mean(axis=1)
        about = About(
            title=test_set.name,
            data=test_set.digest,
            limited=test_set.limited,
            classes=list(test_set.pictures.classes),
            ids=ids,
            skipped=skipped,
            view=self.view,
            nets=[
                self._net_facts(network, scales, features)
                for network, scales in zip(self.networks, self.scales, strict=True)
            ],
            notes=self._notes,
            present=list(test_set.present),
            matching=dict(test_set.matching),
        )
        labels = np.array([test_set.labels[i] for i in ids])
        return Predictions(about, total / len(extracted), labels)

    def check_scales(self) -> None:
        """Raise OptionError if a net cannot see pictures of one of its scales in this view."""
        for network, scales in zip(self.networks, self.scales, strict=True):
            for head in VIEWS[self.view]:
                _check_scales(network, scales, head)

    def _request(self, network: Network, scales: Scales, head: str) -> FeatureRequest:
        return FeatureRequest(
            dataset=self.test_set.dataset,
            pictures=self.test_set.files,
            network=network,
            options=self._extraction(head, scales),
            head=HEADS[head],
        )

    def _extraction(self, head: str, scales: Scales) -> Extraction:
        return Extraction(scales=scales, mirror=HEADS[head].mirror, **self.options)

    def _net_facts(self, network: Network, scales: Scales, features: FeatureSets) -> dict[str, Any]:
        requests = {head: self._request(network, scales, head) for head in VIEWS[self.view]}
        seconds = {
            head: features.seconds_per_picture(request) for head, request in requests.items()
        }
        return facts(network, scales) | {
            # Of forward passes alone, where they were measured in this run.
            "images_per_s": {head: round(1 / s, 2) for head, s in seconds.items() if s},
            "posteriors": [vars(request.conditions) for request in requests.values()],
        }

    @property
    def _notes(self) -> list[str]:
        notes = [*self.test_set.pictures.notes]
        unnamed = [network.label for network in self.networks if network.card is None]
        if unnamed:
            classes = self.test_set.pictures.classes
            is_matched = bool(self.test_set.matching)
            notes.append(assumption(", ".join(unnamed), classes, is_matched=is_matched))
        return notes + [network.assumption for network in self.networks if network.assumed]


def evaluate(
    job: Job, out: Path, progress: Progress, workers: Workers = ALONE
) -> Iterator[Record | Failure]:
    """Make every measurement of the grid, yielding each record once it is on disk.

    A measurement whose record is in `out` is not repeated. One that fails is yielded as a Failure
    and does not stop the others. Of several workers all extract, and the leading one measures; the
    others yield nothing. Raises VggfeatError where nothing can be measured, above all if the
    classes of a net are not those of the pictures.
    """
    job.check()
    if workers.leads:
        records.prepare(out, BENCHMARK)
        if job.save is not None:
            files.check_writable(job.save)
    where = {"weights_dir": job.folders.weights, "offline": job.offline}
    with workers.leader_first("nets and pictures"):
        names = names_of_nets(job.names, job.nets, out, **where)
        each_once = {measurement.key: measurement for measurement in measurements(job, out)}
    features = FeatureSets(job.folders.features, progress, workers)
    yield from runner.run(list(each_once.values()), features, progress, names)


def measurements(job: Job, out: Path) -> list[ClassificationMeasurement]:
    """Every measurement of the grid. Raises VggfeatError where one cannot be made."""
    fusions = load_fusions(job.nets, weights_dir=job.folders.weights, offline=job.offline)
    networks = [network for fused in fusions for network in fused]
    test_set = among_classes_of(
        networks,
        open_test_set(job.data, networks, job.limit),
        job.data,
        skip_unknown=job.skip_unknown_classes,
    )
    for network in networks:
        check_classes(network, test_set.pictures.classes, job.data)
    grid = [
        ClassificationMeasurement(
            **vars(cell),
            test_set=test_set,
            options=job.options,
            out=out,
            save=job.save,
            command=job.command,
        )
        for cell in cells(fusions, job.scales, job.views)
    ]
    for measurement in grid:
        measurement.check_scales()
    return grid


def _check_scales(network: Network, scales: Scales, head: str) -> None:
    backbone = network.backbone
    if head == "dense" and not backbone.any_size:
        raise OptionError(
            f"{network.name} takes pictures of one size only: choose --views crops or centre."
        )
    needed = backbone.min_size if head == "dense" else backbone.input_size
    if min(scales) < needed:
        raise OptionError(
            f"scale {min(scales)} is too small for {network.name}: {head} needs at least {needed}."
        )
