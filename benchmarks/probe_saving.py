"""The probe of a measurement in a file: that of its first split, whose test score is known."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vggfeat.backbones.network import OWN, Network
from vggfeat.errors import DatasetError, ProbeError
from vggfeat.features.requests import FeatureSets
from vggfeat.probes import probe_file
from vggfeat.probes.probe_file import ProbeCard, ProbeNet
from vggfeat.progress import Progress

if TYPE_CHECKING:
    from vggfeat.benchmarks.transfer import TransferMeasurement

log = logging.getLogger(__name__)


def save_probe(measurement: TransferMeasurement, features: FeatureSets, progress: Progress) -> None:
    """Fit the probe of the first split again and write it, unless its file is there.

    Raises DatasetError where an example is more than a picture, ProbeError where the file that is
    there is damaged, and what measuring raises.
    """
    path = measurement.probe_path
    if path.is_file():
        _check_sound(path)
        log.info("made already: %s", path)
        return
    benchmark, settings = measurement.benchmark, measurement.settings
    if any(len(pictures) > 1 for pictures in benchmark.pictures_of.values()):
        raise DatasetError(
            "an example is a picture and a box in it, which `vggfeat predict` does not take."
        )
    described = measurement.vectors(features)
    rows = described.rows
    split = benchmark.splits[0].among(rows)
    result, fitted = benchmark.task.fit_and_score(
        described.vectors, benchmark.labels[rows], split, classes=benchmark.classes,
        unread=benchmark.labels[np.setdiff1d(benchmark.splits[0].test, rows)],
        probe=measurement.probe, progress=measurement.of_all_splits(progress, 0, 1),
    )  # fmt: skip
    requests = zip(measurement.networks, measurement.requests(), strict=True)
    card = ProbeCard(
        benchmark=benchmark.name,
        title=benchmark.title,
        record=measurement.key,
        nets=tuple(
            ProbeNet(net=_named(net), dim=net.backbone.dim, conditions=request.conditions)
            for net, request in requests
        ),
        aggregate=settings.vectors.aggregate,
        scale_l2=settings.vectors.scale_l2,
        normalisation=described.protocol["normalisation"],
        probe=measurement.probe.name,
        kind=fitted.classifier.kind,
        hyperparameter=measurement.probe.hyperparameter,
        chosen=result.chosen,
        task=benchmark.task.kind,
        classes=tuple(np.array(benchmark.classes)[fitted.trained].tolist()),
        metric=benchmark.task.metric,
        value=round(float(np.nanmean(result.metrics[benchmark.task.metric])), 6),
        n_train=result.num_train,
        n_test=result.num_test,
        num_splits=len(benchmark.splits),
    )
    probe_file.write(path, card, fitted.classifier)
    log.info("wrote %s, for `vggfeat predict`", path)


def _check_sound(path: Path) -> None:
    try:
        probe_file.read(path)
    except ProbeError as error:
        raise ProbeError(
            f"{error} Move it away; the same command writes the probe again."
        ) from error


def _named(network: Network) -> str:
    """A net as `--net` names it, with where its weights lie."""
    if network.weights == OWN:
        return network.name
    path = network.weights_path
    is_file = path is not None and path.name == network.weights
    return f"{network.name}@{path if is_file else network.weights}"
