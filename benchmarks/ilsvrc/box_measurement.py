"""One localisation: regressors on the pictures that have boxes, and its record (appendix A).

The outputs of regressors are extracted into feature files, as descriptors are; the box of each
picture's class is made of them (predicted_boxes.py). It is right if its intersection over union
with a true box of the class is above 0.5. The top-5 error asks besides that the class is among the
classifier's five. The box of a class does not depend on what else is guessed, so only the true
class's is computed.

Shapes: S scales, P positions.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from vggfeat import metrics
from vggfeat.backbones.network import Network
from vggfeat.benchmarks.ilsvrc.box_test_set import BoxTestSet
from vggfeat.benchmarks.ilsvrc.class_errors import TOP, error
from vggfeat.benchmarks.ilsvrc.classification import ClassificationMeasurement
from vggfeat.benchmarks.ilsvrc.measurement import IlsvrcMeasurement
from vggfeat.benchmarks.ilsvrc.predicted_boxes import best_box, centre_box, dense_boxes, mean_box
from vggfeat.benchmarks.ilsvrc.regressors import regressor_of
from vggfeat.benchmarks.ilsvrc.scales import Scales, facts
from vggfeat.boxes import MIN_IOU, iou
from vggfeat.errors import DatasetError, PictureError
from vggfeat.features import store
from vggfeat.features.heads.box import CentreBox, DenseBoxes, DensePosteriors
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.progress import Progress
from vggfeat.records import record as records
from vggfeat.records.record import Record, new_record
from vggfeat.report.published import LOCALISATION as BENCHMARK

log = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
PICTURES_AT_ONCE = 1024  # whose stored vectors are in memory


@dataclass(frozen=True)
class PredictedBoxes:
    """The predicted box of each picture's class, and how they came about."""

    boxes: Mapping[str, np.ndarray]  # picture -> box [4] in pixels; NaN if every box is empty
    skipped: Mapping[str, str]  # picture -> why it has no box
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalisationMeasurement(IlsvrcMeasurement):
    """Regressors used together in one view, each at its scales, on one test set."""

    benchmark = BENCHMARK
    test_set: BoxTestSet
    classifier: ClassificationMeasurement | None  # names the five classes
    classifier_nets: Sequence[Network]  # in the user's order, which keys of records depend on
    dense_scales: Scales  # all scales of the job that dense boxes are extracted at
    merge_threshold: float

    @property
    def may_skip(self) -> bool:
        return self._extraction((1,)).on_error == "skip"

    @property
    def known_notes(self) -> Sequence[str]:
        return self._notes

    @property
    def _notes(self) -> list[str]:
        networks = {net.label: net for net in (*self.networks, *self.classifier_nets)}.values()
        assumptions = [network.assumption for network in networks if network.assumed]
        return [*self.test_set.boxed.pictures.notes, *assumptions]

    @cached_property
    def key(self) -> str:
        """The key of the record: a digest of everything that decides its numbers."""
        classifier = self.classifier
        return records.key_of(
            {
                "benchmark": BENCHMARK,
                "version": PROTOCOL_VERSION,
                "data": self.test_set.boxed.digest,
                "view": self.view,
                "nets": [[net.name, net.weights_identity, scales] for net, scales in self._nets],
                "scorers": [[net.name, net.weights_identity] for net in self._scorers],
                "threshold": self._threshold,
                "precision": self._extraction((1,)).resolved_precision,
                "classes": classifier and [classifier.scales, classifier.key],
            }
        )

    def requests(self) -> list[FeatureRequest]:
        of_classes = self.classifier.requests() if self.classifier else []
        return [*of_classes, *self.box_requests()]

    def box_requests(self) -> list[FeatureRequest]:
        """The vectors that boxes are made of: of the regressors, then of what scores the boxes."""
        if self.view == "centre":
            head = partial(CentreBox, labels=self.test_set.labels)
            return [self._request(net, scales, head) for net, scales in self._nets]
        boxes, posteriors = (
            partial(head, labels=self.test_set.labels, num_positions=self._num_positions)
            for head in (DenseBoxes, DensePosteriors)
        )
        return [
            *(self._request(net, scales, boxes) for net, scales in self._nets),
            *(self._request(net, self._all_scales, posteriors) for net in self._scorers),
        ]

    def measure(self, features: FeatureSets, progress: Progress) -> tuple[Record, None]:
        ranks, unranked = self._ranks(features)
        predicted = self.predict(features, progress)
        ids = [i for i in predicted.boxes if i not in unranked]
        if not ids:
            raise DatasetError(f"{self.test_set.boxed.pictures.root}: no picture could be read.")
        boxed = self.test_set.boxed
        hits = np.array([is_hit(predicted.boxes[i], self.test_set.true_boxes[i]) for i in ids])
        misses = {"given_class_error": ~hits}
        if self.classifier:
            places = np.array([ranks[i] for i in ids])
            misses |= {f"top{top}_error": ~hits | (places >= top) for top in TOP}
        labels = np.array([boxed.labels[i] for i in ids])
        record = new_record(
            device=self._extraction((1,)).resolved_device,
            key=self.key,
            benchmark=BENCHMARK,
            title=boxed.name,
            protocol=self._protocol(),
            splits_sha256=boxed.digest,
            nets=[
                facts(net, scales)
                | dict(zip(("regressor", "tuned"), regressor_of(net), strict=True))
                for net, scales in self._nets
            ],
            probe={},
            metric="top5_error" if self.view == "dense" else "given_class_error",
            metrics={
                name: error(missed, labels, boxed.pictures.classes)
                for name, missed in misses.items()
            },
            n_train=[],
            n_test=[len(ids)],
            skipped=unranked | dict(predicted.skipped),
            notes=self._notes,
            limited=self.test_set.labelled.limited,
            seconds={"boxes": round(predicted.seconds, 2)},
            command=self.command,
        )
        return record, None

    def predict(self, features: FeatureSets, progress: Progress) -> PredictedBoxes:
        """Extract what is missing and make the box of each picture.

        Raises what extraction raises, and PictureError at boxes that do not fit their picture
        unless such may be skipped.
        """
        began = time.monotonic()
        misfits = self.test_set.misfits
        if misfits and not self.may_skip:
            first = next(iter(misfits.values()))
            raise PictureError(
                f"{first} Use --on-error skip to go on without it (in Python on_error='skip')."
            )
        for misfit in misfits.values():
            log.warning("skipped: %s", misfit)
        requests = self.box_requests()
        extracted = [features.extract(request) for request in requests]
        skipped = {i: str(misfit) for i, misfit in misfits.items()}
        skipped |= {i: reason for result in extracted for i, reason in result.skipped.items()}
        ids = [i for i in self.test_set.files if i not in skipped]
        paths = [result.path for result in extracted]
        boxes: dict[str, np.ndarray] = {}
        for start in range(0, len(ids), PICTURES_AT_ONCE):
            some_ids = ids[start : start + PICTURES_AT_ONCE]
            sizes = store.read_sizes(paths[0], some_ids).tolist()
            vectors = [
                store.read(path, some_ids, request.options.scales)
                for path, request in zip(paths, requests, strict=True)
            ]
            for row, (i, size) in enumerate(zip(some_ids, sizes, strict=True)):
                boxes[i] = self._box([of_net[row] for of_net in vectors], tuple(size))
            if self.view == "dense":
                progress(f"merging boxes of {self.networks[0].label}", len(boxes), len(ids))
        return PredictedBoxes(boxes, skipped, time.monotonic() - began)

    def _box(self, vectors: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
        """The box [4] of a picture of this size, of its vectors [S, D] of each request."""
        window = self.networks[0].backbone.input_size
        places = [
            (net, scale, scales.index(scale))
            for scale in self._all_scales
            for net, (_, scales) in enumerate(self._nets)
            if scale in scales
        ]
        if self.view == "centre":
            boxes = [centre_box(vectors[net][row], size, q, window) for net, q, row in places]
            return mean_box(boxes, size)
        posteriors = np.mean(vectors[len(self.networks) :], axis=0)  # [all scales, P]
        scored = [
            dense_boxes(vectors[net][row], posteriors[self._all_scales.index(q)], size, q, window)
            for net, q, row in places
        ]
        return best_box(scored, size, self.merge_threshold)

    def _ranks(self, features: FeatureSets) -> tuple[dict[str, int], dict[str, str]]:
        """Picture -> rank of its true class among the classifier's; why some have none."""
        if not self.classifier:
            return {}, {}
        predictions = self.classifier.predictions(features)
        ranks = metrics.ranks(predictions.posteriors, predictions.labels)
        about, boxed = predictions.about, self.test_set.boxed
        skipped = {i: why for i, why in about.skipped.items() if i in boxed.files}
        return dict(zip(about.ids, ranks.tolist(), strict=True)), skipped

    def _protocol(self) -> dict[str, Any]:
        classifier, boxed = self.classifier, self.test_set.boxed
        return {
            "version": PROTOCOL_VERSION,
            "view": self.view,
            "classes": len(boxed.pictures.classes),
            "images": len(boxed.files),
            "set": "val",
            "classifier": "+".join(net.label for net in self.classifier_nets) or None,
            "classifier_scales": classifier and [list(scales) for scales in classifier.scales],
            "merge_threshold": self._threshold,
        }

    @property
    def _nets(self) -> list[tuple[Network, Scales]]:
        return list(zip(self.networks, self.scales, strict=True))

    @property
    def _scorers(self) -> Sequence[Network]:
        """The nets whose posteriors score the boxes."""
        return self.classifier_nets if self.view == "dense" else ()

    @property
    def _threshold(self) -> float | None:
        return self.merge_threshold if self.view == "dense" else None

    @cached_property
    def _all_scales(self) -> Scales:
        return tuple(sorted({scale for scales in self.scales for scale in scales}))

    @cached_property
    def _num_positions(self) -> int:
        """P at all scales of the job, so that its measurements share feature files."""
        window = self.networks[0].backbone.input_size
        return self.test_set.num_positions(self.dense_scales, window)

    def _request(self, network: Network, scales: Scales, head: partial) -> FeatureRequest:
        return FeatureRequest(
            dataset=self.test_set.labelled.dataset,
            pictures=self.test_set.files,
            network=network,
            options=self._extraction(scales),
            head=head,
        )

    def _extraction(self, scales: Scales) -> Extraction:
        return Extraction(scales=scales, mirror=False, **self.options)


def is_hit(box: np.ndarray, true_boxes: np.ndarray) -> bool:
    """Whether a box [4] is right: its overlap with one of the true boxes [n, 4] is large enough."""
    return bool((iou(box, true_boxes) > MIN_IOU).any())
