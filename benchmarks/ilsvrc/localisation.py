"""ILSVRC localisation: every fusion of box regressors at every list of scales in every view.

What a measurement is stands in box_measurement.py.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggfeat import devices
from vggfeat.backbones.check import check_net
from vggfeat.backbones.given_names import Names
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.spec import Fusion
from vggfeat.benchmarks import runner
from vggfeat.benchmarks.given_names import names_of_nets
from vggfeat.benchmarks.ilsvrc.box_measurement import LocalisationMeasurement
from vggfeat.benchmarks.ilsvrc.box_test_set import box_test_set
from vggfeat.benchmarks.ilsvrc.class_checks import check_classes
from vggfeat.benchmarks.ilsvrc.classification import ClassificationMeasurement
from vggfeat.benchmarks.ilsvrc.grid import cells
from vggfeat.benchmarks.ilsvrc.regressors import (
    check_regressors,
    check_scores_boxes,
)
from vggfeat.benchmarks.ilsvrc.scales import used_together
from vggfeat.benchmarks.ilsvrc.test_set import open_test_set
from vggfeat.benchmarks.ilsvrc.views import BOX_VIEWS
from vggfeat.benchmarks.runner import Failure
from vggfeat.box_merging import THRESHOLD
from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.features.conditions import check_scales
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureSets
from vggfeat.processes.workers import ALONE, Workers
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.report.published import LOCALISATION as BENCHMARK
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for: every fusion of regressors at every list of scales in every view."""

    nets: Sequence[Fusion]  # regressors that are used together
    data: Path
    folders: Folders
    classifier: Fusion = ()  # nets that name the classes, used together
    views: Sequence[str] = ("centre",)
    scales: Sequence[str] = ("single",)
    classifier_scales: str = "multi"  # that the five classes are named at
    merge_threshold: float = THRESHOLD
    limit: int | None = None  # pictures a class
    options: Mapping[str, Any] = field(default_factory=dict)  # of Extraction
    command: str = ""
    names: Names = field(default_factory=dict)  # that the user gave nets

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is read."""
        for view in self.views:
            if view not in BOX_VIEWS:
                raise UnknownNameError("view", view, BOX_VIEWS)
        if "dense" in self.views and not self.classifier:
            raise OptionError(
                "dense boxes are scored by a net that names classes: give it with --classifier."
            )
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit must be at least 1; got {self.limit}.")
        if not math.isfinite(self.merge_threshold):
            raise OptionError(f"merge_threshold must be finite; got {self.merge_threshold}.")
        devices.resolved(self.options.get("device", "auto"))
        for spec in (spec for fusion in (*self.nets, self.classifier) for spec in fusion):
            check_net(spec)


def localise(
    job: Job, out: Path, progress: Progress, workers: Workers = ALONE
) -> Iterator[Record | Failure]:
    """Make every measurement, yielding each record once it is on disk.

    A measurement whose record is in `out` is not repeated. One that fails is yielded as a Failure
    and does not stop the others. Of several workers all extract, and the leading one measures; the
    others yield nothing. Raises VggfeatError where nothing can be measured.
    """
    if workers.leads:
        records.prepare(out, BENCHMARK)
    with workers.leader_first("nets and pictures"):
        names = names_of_nets(job.names, job.nets, out, weights_dir=job.folders.weights)
        each_once = {measurement.key: measurement for measurement in measurements(job, out)}
    features = FeatureSets(job.folders.features, progress, workers)
    yield from runner.run(list(each_once.values()), features, progress, names)


def measurements(job: Job, out: Path = Path()) -> list[LocalisationMeasurement]:
    """Every measurement of a job, with everything loaded and checked. Raises VggfeatError."""
    job.check()
    fusions = load_fusions(job.nets, weights_dir=job.folders.weights)
    (classifier,) = load_fusions([job.classifier], weights_dir=job.folders.weights)
    regressors = [network for networks in fusions for network in networks]
    labelled = open_test_set(job.data, [*regressors, *classifier], job.limit)
    for network in classifier:
        check_classes(network, labelled.pictures.classes, job.data)
    test_set = box_test_set(labelled)
    check_regressors(regressors, classifier, test_set.boxed.pictures)
    for note in test_set.boxed.pictures.notes:
        if note not in labelled.pictures.notes:
            log.info("%s: %s", job.data, note)
    grid = list(cells(fusions, job.scales, job.views))
    if "dense" in job.views:
        check_scores_boxes(classifier)
    for cell in grid:
        for network, scales in zip(cell.networks, cell.scales, strict=True):
            check_scales(network, Extraction(scales=scales))
    classes = None
    if classifier:
        networks, scales = used_together(job.classifier_scales, classifier)
        classes = ClassificationMeasurement(
            networks=networks, scales=scales, view="dense", test_set=labelled, options=job.options
        )
        classes.check_scales()
    dense = {q for cell in grid if cell.view == "dense" for scales in cell.scales for q in scales}
    return [
        LocalisationMeasurement(
            **vars(cell),
            test_set=test_set,
            classifier=classes,
            classifier_nets=classifier,
            dense_scales=tuple(sorted(dense)),
            merge_threshold=job.merge_threshold,
            options=job.options,
            out=out,
            command=job.command,
        )
        for cell in grid
    ]
