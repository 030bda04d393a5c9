"""Top-1 and top-5 errors of predictions, as records and their scores hold them.

Shapes: N pictures, K classes.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from vggfeat import metrics
from vggfeat.benchmarks.ilsvrc.predictions import Predictions
from vggfeat.features.crops import GRID
from vggfeat.records.record import Record, new_record
from vggfeat.records.scores import Scores
from vggfeat.report.published import CLASSIFICATION

PROTOCOL_VERSION = 1
TOP = (1, 5)
PRESENT = "_present"  # ending of the names of errors among the classes of the pictures


def class_errors(
    posteriors: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    present: Collection[str] = (),
) -> dict[str, Any]:
    """Top-1 and top-5 error of posteriors [N, K] for labels [N], as a record's metrics.

    present are the classes of the pictures where these are not all: then there are also the errors
    among these alone, `top1_error_present` and `top5_error_present`, for which the other columns
    are left out, as the authors of ImageNet-A and ImageNet-R do (Hendrycks et al. 2021). The top-5
    error among less than 5 classes is left out.
    """
    ranks = metrics.ranks(posteriors, labels)
    if not present:
        return {f"top{top}_error": error(ranks >= top, labels, classes) for top in TOP}
    columns = np.array([number for number, name in enumerate(classes) if name in present])
    names, labels = [classes[column] for column in columns], np.searchsorted(columns, labels)
    among = metrics.ranks(posteriors[:, columns], labels)
    return {f"top{top}_error": error(ranks >= top, labels, names) for top in TOP} | {
        f"top{top}_error{PRESENT}": error(among >= top, labels, names)
        for top in TOP
        if top <= len(names)
    }


def error(missed: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """The share of pictures missed [N], in all and of each class, as a record holds it."""
    return {
        "value": float(missed.mean()),
        "spread": None,
        "per_split": [float(missed.mean())],
        "per_class": {
            name: float(missed[labels == number].mean()) if (labels == number).any() else None
            for number, name in enumerate(classes)
        },
    }


def classification_record(
    predictions: Predictions, *, key: str, device: str, command: str
) -> Record:
    """The record of predictions; device is the one that they were computed on."""
    about = predictions.about
    has_crops = about.view in ("crops", "both")
    return new_record(
        device=device,
        key=key,
        benchmark=CLASSIFICATION,
        title=about.title,
        protocol={
            "version": PROTOCOL_VERSION,
            "view": about.view,
            "classes": len(about.classes),
            "images": len(about.ids) + len(about.skipped),
            "set": "val",
            "crops": f"{GRID}x{GRID}, mirrored" if has_crops else None,
            **({"classes_present": len(about.present)} if about.present else {}),
            **about.matching,
        },
        splits_sha256=about.data,
        nets=list(about.nets),
        probe={},
        metric="top1_error",
        metrics=class_errors(
            predictions.posteriors, predictions.labels, about.classes, about.present
        ),
        n_train=[],
        n_test=[len(about.ids)],
        skipped=about.skipped,
        notes=list(about.notes),
        limited=about.limited,
        seconds={},
        command=command,
    )


def scores_of(predictions: Predictions) -> Scores:
    """The posterior of every picture, with its label."""
    about, labels = predictions.about, predictions.labels
    true = np.arange(len(about.classes)) == labels[:, None]
    return Scores(
        ids=about.ids,
        splits=np.zeros(len(about.ids), dtype=np.int32),
        labels=np.where(true, np.int8(1), np.int8(-1)),
        scores=predictions.posteriors.astype(np.float32),
        classes=about.classes,
    )
