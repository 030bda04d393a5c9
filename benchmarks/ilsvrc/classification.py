"""ILSVRC classification: nets on labelled pictures, in several views and scales (paper, sect. 4).

For each net the posteriors of every picture, view and scale are extracted once, into a feature
file; a measurement is their mean over scales, views and nets, and its top-1 and top-5 error. So a
grid costs what its largest parts cost, and an interrupted run goes on from where it was.

Shapes: N pictures, S scales, K classes.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat import metrics
from vggfeat.backbones.load import check_net, load_fusions
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import Fusion, NetSpec
from vggfeat.benchmarks.ilsvrc.measurement import Measurement, each_once, every
from vggfeat.benchmarks.ilsvrc.predictions import About, Predictions, fuse, write
from vggfeat.benchmarks.ilsvrc.scales import Scales, facts
from vggfeat.benchmarks.ilsvrc.test_set import TestSet, open_test_set
from vggfeat.benchmarks.ilsvrc.views import HEADS, VIEWS
from vggfeat.errors import DatasetError, OptionError, UnknownNameError, WeightsError
from vggfeat.features import store
from vggfeat.features.extract import Extracted, conditions, extract
from vggfeat.features.heads.posterior import GRID
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import Progress
from vggfeat.provenance import git_state, hardware, library_versions
from vggfeat.records import record as records
from vggfeat.records.record import Record
from vggfeat.report.published import CLASSIFICATION as BENCHMARK
from vggfeat.storage import files
from vggfeat.storage.files import sha256_of
from vggfeat.storage.folders import Folders

log = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
TOP = (1, 5)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for: every fusion of nets at every list of scales in every view."""

    nets: Sequence[Fusion]  # nets that are used together
    data: Path
    folders: Folders
    views: Sequence[str] = ("dense",)
    scales: Sequence[str] = ("single",)
    limit: int | None = None  # pictures a class
    offline: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)  # of Extraction
    save: Path | None = None  # folder for predictions
    command: str = ""

    def check(self) -> None:
        """Raise VggfeatError at whatever is mistyped, before anything is read."""
        for view in self.views:
            if view not in VIEWS:
                raise UnknownNameError("view", view, VIEWS)
        for spec in (spec for fusion in self.nets for spec in fusion):
            check_class_scores(spec)
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit must be at least 1; got {self.limit}.")


def check_class_scores(spec: NetSpec) -> None:
    """Raise VggfeatError if it is mistyped, or chooses a layer or a view, which `evaluate` does."""
    check_net(spec)
    for key in ("layer", "view") & spec.options.keys():
        raise OptionError(
            f"{spec}: {key}= is for descriptors. Class scores come from the last layer, and"
            " --views says what of a picture is seen."
        )


def parts(measurement: Measurement) -> Iterator[tuple[Network, Scales, str]]:
    """The posteriors that a measurement is the mean of: net, scales, reading."""
    for network, scales in zip(measurement.networks, measurement.scales, strict=True):
        for head in VIEWS[measurement.view]:
            yield network, scales, head


def evaluate(job: Job, out: Path, progress: Progress) -> Iterator[Record]:
    """Make every measurement of the grid, yielding each record once it is on disk.

    One whose record is in `out` is not made again. Raises VggfeatError, above all if the classes of
    a net are not those of the pictures.
    """
    job.check()
    records.prepare(out, BENCHMARK)
    if job.save is not None:
        files.check_writable(job.save)
    fusions = load_fusions(job.nets, weights_dir=job.folders.weights, offline=job.offline)
    networks = [network for fused in fusions for network in fused]
    tested = open_test_set(job.data, networks, job.limit)
    for network in networks:
        check_classes(network, tested.pictures.classes, job.data)
    grid = every(fusions, job.scales, job.views)
    for measurement in grid:
        _check_scales(measurement)
    session = Session(job, tested, grid)
    asked = each_once(grid, session.key, out, BENCHMARK, may_skip=session.may_skip)
    for measurement, key, path, record in asked:
        target = job.save and job.save / path.with_suffix(".safetensors").name
        if not record or (target and not target.exists()):
            predictions = session.predictions(measurement, progress)
            if not record:
                record = _record(predictions, key, session.device, job.command)
                log.info("wrote %s", records.write(record, out))
            if target:
                write(target, predictions)
                log.info("wrote %s", target)
        yield record


def evaluate_files(paths: Sequence[Path], out: Path, command: str) -> Iterator[Record]:
    """The record of each file of predictions, and of the mean of all."""
    whole = fuse(paths)  # what does not belong together is refused before anything is written
    for part in [[path] for path in paths] + ([paths] if len(paths) > 1 else []):
        predictions = whole if len(part) == len(paths) else fuse(part)
        key = records.key_of({"benchmark": BENCHMARK, "files": [sha256_of(path) for path in part]})
        record = _record(predictions, key, None, command)
        log.info("wrote %s", records.write(record, out))
        yield record


def check_tells_classes(network: Network) -> None:
    """Raise WeightsError if the net tells something else, or other classes than its card names."""
    if network.card and network.card.recipe.get("regressor") is not None:
        raise WeightsError(
            f"{network.label}: tells boxes, not classes. `vggfeat localise evaluate` takes it."
        )
    if network.card and len(network.card.classes) not in (0, network.num_outputs):
        raise WeightsError(
            f"{network.label}: its card names {len(network.card.classes)} classes, and its last"
            f" layer has {network.num_outputs} outputs. Export it again."
        )


def check_classes(network: Network, classes: Sequence[str], data: Path) -> None:
    """Raise WeightsError unless the net has these classes in this order.

    DatasetError if they are too few for a top-5 error.
    """
    if len(classes) < max(TOP):
        raise DatasetError(
            f"{data}: has {len(classes)} classes; the top-5 error needs at least {max(TOP)}."
        )
    check_tells_classes(network)
    if network.card is None or not network.card.classes:
        if network.num_outputs != len(classes):
            raise WeightsError(
                f"{network.label}: is a net of {network.num_outputs} classes, and {data} has"
                f" {len(classes)}. Name a net that was trained on these classes."
            )
        return
    if network.card.classes == tuple(classes) or _are_ilsvrcs(network.card.classes, classes):
        return
    if len(network.card.classes) != len(classes):
        what = f"it has {len(network.card.classes)} classes, there are {len(classes)}"
    else:
        number = next(n for n, c in enumerate(classes) if c != network.card.classes[n])
        what = f"its class {number} is {network.card.classes[number]!r}, there {classes[number]!r}"
    raise WeightsError(
        f"{network.label}: its classes are not those of {data}: {what}. Name the pictures of the"
        " classes it was trained on; their folders' names must be the same."
    )


def _are_ilsvrcs(names: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether names are the usual ones of ILSVRC's classes, and the folders have its WordNet ids.

    Both are in the order of the ids.
    """
    if len(folders) != len(names) or not all(re.fullmatch(r"n\d{8}", name) for name in folders):
        return False
    from vggfeat.weights.torchvision import imagenet_classes  # 2 s to import

    return tuple(names) == imagenet_classes()


class Session:
    """The posteriors of a grid, each extracted when it is first needed."""

    def __init__(self, job: Job, tested: TestSet, grid: Sequence[Measurement]):
        self.job, self.tested = job, tested
        # All scales of a net and reading at once: a picture is decoded for them together.
        self.scales: dict[tuple[str, str, str], set[int]] = {}
        for network, scales, head in (part for one in grid for part in parts(one)):
            self.scales.setdefault(_key(network, head), set()).update(scales)
        self.done: dict[tuple[str, str, str], Extracted] = {}
        self.seconds: dict[tuple[str, str, str, int], float] = {}  # of a picture

    def options(self, head: str, scales: Sequence[int]) -> Extraction:
        return Extraction(scales=tuple(scales), mirror=HEADS[head].mirror, **self.job.options)

    @property
    def device(self) -> str:
        return self.options("dense", (1,)).resolved_device

    @property
    def may_skip(self) -> bool:
        return self.options("dense", (1,)).on_error == "skip"

    def key(self, measurement: Measurement) -> str:
        return records.key_of(
            {
                "benchmark": BENCHMARK,
                "version": PROTOCOL_VERSION,
                "data": self.tested.digest,
                "limited": self.tested.limited,
                "view": measurement.view,
                "posteriors": [vars(self._conditions(*part)) for part in parts(measurement)],
            }
        )

    def predictions(self, measurement: Measurement, progress: Progress) -> Predictions:
        """The posteriors of the pictures that could be read, after extracting what is missing."""
        its = list(parts(measurement))
        extracted = [self._extracted(network, head, progress) for network, _, head in its]
        skipped = {i: reason for one in extracted for i, reason in one.skipped.items()}
        ids = [i for i in self.tested.files if i not in skipped]
        if not ids:
            raise DatasetError(f"{self.job.data}: no picture could be read.")
        total = np.zeros((len(ids), len(self.tested.pictures.classes)))
        for one, (_, scales, _) in zip(extracted, its, strict=True):
            total += store.read(one.path, ids, scales).mean(axis=1)
        about = About(
            title=self.tested.name,
            data=self.tested.digest,
            limited=self.tested.limited,
            classes=list(self.tested.pictures.classes),
            ids=ids,
            skipped=skipped,
            view=measurement.view,
            nets=[
                self._net_facts(network, scales, measurement.view)
                for network, scales in zip(measurement.networks, measurement.scales, strict=True)
            ],
            notes=[*self.tested.pictures.notes, *_notes(measurement.networks)],
        )
        truth = np.array([self.tested.labels[i] for i in ids])
        return Predictions(about, total / len(extracted), truth)

    def _extracted(self, network: Network, head: str, progress: Progress) -> Extracted:
        key = _key(network, head)
        if key in self.done:
            return self.done[key]
        scales = sorted(self.scales[key])
        done = self.done[key] = extract(
            self.tested.dataset,
            self.tested.files,
            network,
            self.options(head, scales),
            folder=self.job.folders.features,
            progress=progress,
            head=HEADS[head],
        )
        for scale, seconds in done.scale_seconds.items():
            if done.num_new:
                self.seconds[*key, scale] = seconds / done.num_new
        return done

    def _conditions(self, network: Network, scales: Scales, head: str) -> store.Conditions:
        return conditions(self.tested.dataset, network, self.options(head, scales), HEADS[head])

    def _net_facts(self, network: Network, scales: Scales, view: str) -> dict[str, Any]:
        rates = {}
        for head in VIEWS[view]:
            seconds = [self.seconds.get((*_key(network, head), scale)) for scale in scales]
            if all(seconds):
                rates[head] = round(1 / sum(seconds), 2)
        return facts(network, scales) | {
            "images_per_s": rates,  # of the net alone, where it was measured in this run
            "posteriors": [vars(self._conditions(network, scales, r)) for r in VIEWS[view]],
        }


def _key(network: Network, head: str) -> tuple[str, str, str]:
    return network.name, network.weights_identity, head


def _record(predictions: Predictions, key: str, device: str | None, command: str) -> Record:
    """device is what the posteriors were computed on, None if they were read."""
    about = predictions.about
    has_crops = about.view in ("crops", "both")
    return Record(
        schema_version=records.SCHEMA_VERSION,
        key=key,
        benchmark=BENCHMARK,
        title=about.title,
        protocol={
            "version": PROTOCOL_VERSION,
            "view": about.view,
            "classes": len(about.classes),
            "images": len(about.ids) + len(about.skipped),
            "set": "val",
            "crops": f"{GRID}x{GRID}, mirrored" if has_crops else None,
        },
        splits_sha256=about.data,
        nets=list(about.nets),
        probe={},
        metric="top1_error",
        metrics=errors(predictions.posteriors, predictions.labels, about.classes),
        n_train=[],
        n_test=[len(about.ids)],
        skipped=about.skipped,
        notes=list(about.notes),
        limited=about.limited,
        seconds={},
        versions=library_versions(),
        hardware=hardware(device or "cpu"),
        git=git_state(),
        command=command,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def errors(posteriors: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Top-1 and top-5 error of posteriors [N, K] as a record's metrics."""
    ranks = metrics.ranks(posteriors, truth)
    return {f"top{top}_error": error(ranks >= top, truth, classes) for top in TOP}


def error(missed: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """The share of pictures that were missed [N], in all and of each class, as a record has it."""
    return {
        "value": float(missed.mean()),
        "spread": None,
        "per_split": [float(missed.mean())],
        "per_class": {
            name: float(missed[truth == number].mean()) if (truth == number).any() else None
            for number, name in enumerate(classes)
        },
    }


def _check_scales(measurement: Measurement) -> None:
    for network, scales, head in parts(measurement):
        if head == "dense" and not network.backbone.any_size:
            raise OptionError(
                f"{network.name} takes pictures of one size only: choose --views crops or centre."
            )
        needed = network.backbone.min_size if head == "dense" else network.backbone.input_size
        if min(scales) < needed:
            raise OptionError(
                f"scale {min(scales)} is too small for {network.name}: {head} needs at least"
                f" {needed}."
            )


def _notes(networks: Sequence[Network]) -> list[str]:
    unnamed = [network.label for network in networks if network.card is None]
    if not unnamed:
        return []
    return [
        f"{', '.join(unnamed)}: the weights do not name their classes; the order of the folders'"
        " names is taken for theirs"
    ]
