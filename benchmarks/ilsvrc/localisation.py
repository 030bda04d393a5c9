"""ILSVRC localisation: where the object of a class is, scored as the paper does (appendix A).

Regressors tell the box of each picture's class (box_views.py). It is right if its intersection over
union with a true box of the class is above 0.5. The top-5 error asks besides that the class is
among the classifier's five. The box of a class does not depend on what else is guessed, so only the
true class's is computed.
"""

import json
import logging
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat import images, metrics
from vggfeat.backbones.load import check_net, load_fusions
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import Fusion
from vggfeat.benchmarks.ilsvrc import classification
from vggfeat.benchmarks.ilsvrc.box_views import VIEWS, BoxView
from vggfeat.benchmarks.ilsvrc.measurement import Measurement, each_once, every
from vggfeat.benchmarks.ilsvrc.scales import Scales, facts, used_together
from vggfeat.benchmarks.ilsvrc.test_set import TestSet, open_test_set
from vggfeat.box_merging import THRESHOLD
from vggfeat.boxes import MIN_IOU, check, iou
from vggfeat.errors import (
    DatasetError,
    NetworkError,
    OptionError,
    PictureError,
    UnknownNameError,
    WeightsError,
)
from vggfeat.features.allocator import kept_memory
from vggfeat.features.extract import check_scales
from vggfeat.features.forward import autocast_for
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import Progress
from vggfeat.layouts.boxes import with_boxes
from vggfeat.prefetch import prefetch
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.report.published import LOCALISATION as BENCHMARK
from vggfeat.storage.files import new_file
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
SAVE_EVERY_S = 30.0  # what a crash can cost


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

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is read."""
        for view in self.views:
            if view not in VIEWS:
                raise UnknownNameError("view", view, VIEWS)
        if "dense" in self.views and not self.classifier:
            raise OptionError(
                "dense boxes are scored by a net that names classes: give it with --classifier."
            )
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit must be at least 1; got {self.limit}.")
        if not math.isfinite(self.merge_threshold):
            raise OptionError(f"merge_threshold must be finite; got {self.merge_threshold}.")
        for spec in (spec for fusion in (*self.nets, self.classifier) for spec in fusion):
            check_net(spec)


def localise(job: Job, out: Path, progress: Progress) -> Iterator[Record]:
    """Make every measurement, yielding each record once it is on disk.

    One whose record is in `out` is not made again. Raises VggfeatError.
    """
    records.prepare(out, BENCHMARK)
    session, grid = prepared(job)
    may_skip = session.forward.on_error == "skip"
    asked = each_once(grid, session.key, out, BENCHMARK, may_skip=may_skip)
    for measurement, key, _, record in asked:
        if not record:
            record = session.record(measurement, key, progress)
            log.info("wrote %s", records.write(record, out))
        yield record


def prepared(job: Job) -> tuple["Session", list[Measurement]]:
    """Everything loaded and checked, and what is to be measured. Raises VggfeatError."""
    job.check()
    fusions = load_fusions(job.nets, weights_dir=job.folders.weights)
    (classifier,) = load_fusions([job.classifier], weights_dir=job.folders.weights)
    regressors = [network for networks in fusions for network in networks]
    labelled = open_test_set(job.data, [*regressors, *classifier], job.limit)
    for network in classifier:
        classification.check_classes(network, labelled.pictures.classes, job.data)
    tested = boxed(labelled, regressors, classifier)
    for note in tested.pictures.notes:
        if note not in labelled.pictures.notes:
            log.info("%s: %s", job.data, note)
    grid = every(fusions, job.scales, job.views)
    for network in classifier if "dense" in job.views else ():
        if not network.spec.is_of_paper or network.spec.ceil_mode:
            raise NetworkError(
                f"{network.label}: has other positions than the boxes that it is to score. Name one"
                " of the VGG nets, without ceil_mode."
            )
    for measurement in grid:
        for network, scales in zip(measurement.networks, measurement.scales, strict=True):
            check_scales(network, Extraction(scales=scales))
    return Session(job, labelled, tested, classifier), grid


def boxed(labelled: TestSet, networks: Sequence[Network], classifier: Sequence[Network]) -> TestSet:
    """Those of the pictures that have boxes, to test regressors on.

    Raises DatasetError if there are none, WeightsError or NetworkError at nets that do not fit.
    """
    # The limit comes first: the classifier sees no others.
    pictures = with_boxes(replace(labelled.pictures, validation=list(labelled.labels.items())))
    for network in networks:
        regressor_of(network)
        if network.card.classes != pictures.classes:
            raise WeightsError(
                f"{network.label}: was trained on other classes than those of {pictures.root}, or"
                " in another order. Name the pictures of its classes."
            )
    sides = {network.backbone.input_size for network in (*networks, *classifier)}
    if len(sides) > 1:
        raise NetworkError(
            f"the nets see windows of {', '.join(map(str, sorted(sides)))} pixels. Nets that are"
            " used together need the same input_size."
        )
    return TestSet(pictures=pictures, limit=None)


def regressor_of(network: Network) -> tuple[str, str]:
    """How it tells boxes, scr or pcr, and what was tuned. Raises WeightsError if it does not."""
    recipe = network.card.recipe if network.card else {}
    if recipe.get("regressor") not in ("scr", "pcr") or network.spec.ceil_mode:
        raise WeightsError(
            f"{network.label}: does not tell boxes. `vggfeat localise train` makes nets that do."
        )
    num_boxes = len(network.card.classes) if recipe["regressor"] == "pcr" else 1
    if network.num_outputs != 4 * num_boxes:
        raise WeightsError(
            f"{network.label}: its card says {recipe['regressor']} of {len(network.card.classes)}"
            f" classes, and its last layer has {network.num_outputs} outputs. Export it again."
        )
    return recipe["regressor"], str(recipe.get("tuned"))


class Session:
    """Boxes of the true classes, kept in the cache folder while they are computed.

    labelled are all pictures, of which the classifier's posteriors are extracted; tested are those
    with boxes.
    """

    def __init__(
        self,
        job: Job,
        labelled: TestSet,
        tested: TestSet,
        classifier: Sequence[Network],
    ):
        self.job, self.labelled, self.tested, self.classifier = job, labelled, tested, classifier

    @cached_property
    def forward(self) -> Extraction:
        """Device, precision, what to do at unreadable pictures."""
        return Extraction(scales=(1,), **self.job.options)

    def key(self, measurement: Measurement) -> str:
        classes = self.classes
        return records.key_of(
            self._decisive(measurement)
            | {"classes": classes and [classes.scales, self._posteriors.key(classes)]}
        )

    def _decisive(self, measurement: Measurement) -> dict[str, Any]:
        """What decides the boxes."""
        nets = zip(measurement.networks, measurement.scales, strict=True)
        scorers = self.classifier if measurement.view == "dense" else ()
        return {
            "benchmark": BENCHMARK,
            "version": PROTOCOL_VERSION,
            "data": self.tested.digest,
            "view": measurement.view,
            "nets": [[network.name, network.weights_identity, scales] for network, scales in nets],
            "scorers": [[network.name, network.weights_identity] for network in scorers],
            "threshold": self._threshold(measurement),
            "precision": self.forward.resolved_precision,
        }

    def record(self, measurement: Measurement, key: str, progress: Progress) -> Record:
        ranks, unranked = self._ranks(progress)
        boxes, skipped, seconds = self.boxes(measurement, self.tested.files, progress)
        tested, skipped = self.tested, unranked | skipped
        ids = [i for i in boxes if i not in unranked]
        if not ids:
            raise DatasetError(f"{self.job.data}: no picture could be read.")
        hits = np.array([_is_hit(boxes[i], tested.pictures.boxes[i]) for i in ids])
        truth = np.array([tested.labels[i] for i in ids])
        misses = {"given_class_error": ~hits}
        if self.classifier:
            places = np.array([ranks[i] for i in ids])
            misses |= {f"top{top}_error": ~hits | (places >= top) for top in classification.TOP}
        classes = self.classes
        return Record(
            schema_version=records.SCHEMA_VERSION,
            key=key,
            benchmark=BENCHMARK,
            title=tested.name,
            protocol={
                "version": PROTOCOL_VERSION,
                "view": measurement.view,
                "classes": len(tested.pictures.classes),
                "images": len(tested.files),
                "set": "val",
                "classifier": "+".join(n.label for n in self.classifier) or None,
                "classifier_scales": classes and [list(scales) for scales in classes.scales],
                "merge_threshold": self._threshold(measurement),
            },
            splits_sha256=tested.digest,
            nets=[
                facts(network, scales)
                | dict(zip(("regressor", "tuned"), regressor_of(network), strict=True))
                for network, scales in zip(measurement.networks, measurement.scales, strict=True)
            ],
            probe={},
            metric="top5_error" if measurement.view == "dense" else "given_class_error",
            metrics={
                name: classification.error(missed, truth, tested.pictures.classes)
                for name, missed in misses.items()
            },
            n_train=[],
            n_test=[len(ids)],
            skipped=skipped,
            notes=list(tested.pictures.notes),
            limited=self.labelled.limited,
            seconds={"boxes": seconds},
            versions=library_versions(),
            hardware=hardware(self.forward.resolved_device),
            git=git_state(),
            command=self.job.command,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def boxes(
        self, measurement: Measurement, ids: Collection[str], progress: Progress
    ) -> tuple[dict[str, np.ndarray], dict[str, str], float]:
        """Of these pictures, picture -> box [4] of its true class; why some have none; and the
        seconds that it took now."""
        key = records.key_of(self._decisive(measurement))
        path = self.job.folders.cache / "localisation" / f"{key}.json"
        found = _read(path)
        num_before, began = len(found), time.monotonic()
        saved = began
        problems: dict[str, PictureError] = {}
        wanted = [i for i in ids if i not in found]
        view = BoxView(
            name=measurement.view,
            regressors=measurement.networks,
            scales=measurement.scales,
            classifier=self.classifier,
            merge_threshold=self.job.merge_threshold,
            forward=self.forward,
        )
        scales = tuple(sorted({scale for of_net in measurement.scales for scale in of_net}))
        sizes = self._sizes(wanted, scales, problems)
        with (
            kept_memory(),
            autocast_for(self.forward.resolved_device, self.forward.resolved_precision),
        ):
            try:
                batches = images.plan_batches(sizes, scales, self.forward.batch_size)
                for read, arrays in prefetch(lambda b: self._loaded(b, scales, problems), batches):
                    self._stop_if_asked(problems)
                    if not read:
                        continue
                    told = view.boxes(
                        dict(zip(scales, arrays, strict=True)),
                        [self.tested.labels[i] for i in read], [sizes[i] for i in read],
                    )  # fmt: skip
                    found |= dict(zip(read, told, strict=True))
                    progress(
                        f"boxes of {measurement.networks[0].label}",
                        len(found) - num_before, len(wanted) - len(problems),
                    )  # fmt: skip
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        _write(path, found)
                        saved = time.monotonic()
            finally:
                if len(found) > num_before:
                    _write(path, found)
        seconds = round(time.monotonic() - began, 2)
        for problem in problems.values():
            log.warning("skipped: %s", problem)
        kept = {i: np.array(found[i]) for i in ids if i in found}
        skipped = {i: str(problem) for i, problem in problems.items()}
        return kept, skipped, seconds

    @property
    def classes(self) -> Measurement | None:
        """What names the five classes."""
        if not self.classifier:
            return None
        return Measurement(*used_together(self.job.classifier_scales, self.classifier), "dense")

    @cached_property
    def _posteriors(self) -> classification.Session:
        job = classification.Job(
            nets=(), data=self.job.data, folders=self.job.folders, options=self.job.options
        )
        return classification.Session(job, self.labelled, [self.classes])

    def _ranks(self, progress: Progress) -> tuple[dict[str, int], dict[str, str]]:
        """Picture -> place of its true class among the classifier's; why some have none."""
        if not self.classifier:
            return {}, {}
        predictions = self._posteriors.predictions(self.classes, progress)
        places = metrics.ranks(predictions.posteriors, predictions.labels)
        about = predictions.about
        skipped = {i: why for i, why in about.skipped.items() if i in self.tested.files}
        return dict(zip(about.ids, places.tolist(), strict=True)), skipped

    def _threshold(self, measurement: Measurement) -> float | None:
        return self.job.merge_threshold if measurement.view == "dense" else None

    def _sizes(
        self, ids: Sequence[str], scales: Scales, problems: dict[str, PictureError]
    ) -> dict[str, tuple[int, int]]:
        """Width and height of the pictures that can be used, as far as their headers tell."""

        def size(i: str) -> tuple[int, int] | None:
            path = self.tested.files[i]
            try:
                size = images.picture_size(path)
                for scale in scales:
                    images.check_fits(path, size, scale)
                check(self.tested.pictures.boxes[i], size, path)
            except PictureError as error:
                problems[i] = error
                return None
            return size

        sizes = dict(zip(ids, prefetch(size, ids), strict=True))
        self._stop_if_asked(problems)
        return {i: size for i, size in sizes.items() if size}

    def _loaded(
        self, ids: Sequence[str], scales: Scales, problems: dict[str, PictureError]
    ) -> tuple[Sequence[str], list[np.ndarray]]:
        """Those of the pictures that can be decoded, at each scale [B, h, w, 3]."""
        arrays = []
        for i in ids:
            try:
                arrays.append(images.load_batch([self.tested.files[i]], scales))
            except PictureError as error:
                problems[i] = error
        kept = [i for i in ids if i not in problems]
        return kept, [np.concatenate(at_scale) for at_scale in zip(*arrays, strict=True)]

    def _stop_if_asked(self, problems: Mapping[str, PictureError]) -> None:
        if problems and self.forward.on_error == "stop":
            first = next(iter(problems.values()))
            raise PictureError(f"{first} Use --on-error skip to go on without it.")


def _is_hit(box: np.ndarray, true_boxes: np.ndarray) -> bool:
    return bool((iou(box, true_boxes) > MIN_IOU).any())


def _read(path: Path) -> dict[str, list[float]]:
    """What an interrupted run has left."""
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        found = json.loads(path.read_text()).items()
        return {i: box for i, box in found if _is_box(box)}
    return {}


def _is_box(value: object) -> bool:
    """Four numbers; NaN where no box was told."""
    if not (isinstance(value, list) and [type(v) for v in value] == [float] * 4):
        return False
    return all(map(math.isnan, value)) or all(map(math.isfinite, value))


def _write(path: Path, found: Mapping[str, list[float]]) -> None:
    with new_file(path) as file:
        file.write(json.dumps(found).encode())
