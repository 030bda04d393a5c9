"""Posteriors of labelled pictures in a file of their own, to be fused later without a net.

A .safetensors file: `posteriors` [N, K] float16 (float32 where the pictures are of some of the K
classes), `top5` [N, 5] and `labels` [N] int32; its metadata
holds as JSON the pictures' ids, the classes, and what was measured, and the file's own digest.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vggfeat.benchmarks.ilsvrc.views import VIEWS
from vggfeat.errors import DatasetError
from vggfeat.storage import checksums
from vggfeat.storage.checksums import parse_json
from vggfeat.storage.files import new_file

SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)  # those of version 1 hold no digest
KEY = "vggfeat_predictions"
SAME = ("data", "classes", "present", "matching")  # in files that belong together
TENSORS = {"posteriors": (("F16", "F32"), 2), "top5": (("I32",), 2), "labels": (("I32",), 1)}


@dataclass(frozen=True, kw_only=True)
class About:
    """What the posteriors are of. Every field is plain JSON."""

    title: str  # of the pictures
    data: str  # digest of the pictures and their labels
    limited: bool
    classes: Sequence[str]
    ids: Sequence[str]
    skipped: dict[str, str]  # picture -> why it could not be read
    view: str
    nets: Sequence[dict[str, Any]]  # as in a record
    notes: Sequence[str]
    # Of nets with more classes than the pictures; absent in files of all others.
    present: Sequence[str] = field(default_factory=list)  # classes of the pictures, in this order
    matching: dict[str, Any] = field(default_factory=dict)  # how they were matched, as in a record

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON, without those that do not apply."""
        of_others = ("present", "matching")
        return {k: v for k, v in asdict(self).items() if v or k not in of_others}


@dataclass(frozen=True)
class Predictions:
    """Posteriors of pictures with their labels, and what they are of."""

    about: About
    posteriors: np.ndarray  # [N, K] float32
    labels: np.ndarray  # [N] class numbers


def write(path: Path, predictions: Predictions) -> None:
    """Write predictions, whole or not at all; posteriors are rounded to float16.

    Not where some of many classes are looked at alone, whose posteriors may be too small for it.
    """
    kind = np.float32 if predictions.about.present else np.float16
    # Of equal posteriors the lower class number comes first, as metrics.ranks has it.
    top5 = np.argsort(-predictions.posteriors, axis=1, kind="stable")[:, :5]
    tensors = {
        "posteriors": predictions.posteriors.astype(kind),
        "top5": np.ascontiguousarray(top5, dtype=np.int32),
        "labels": predictions.labels.astype(np.int32),
    }
    about = {"schema_version": SCHEMA_VERSION, **predictions.about.to_json()}
    content = BytesIO(save(tensors, {KEY: json.dumps(about), **checksums.BLANK}))
    checksums.seal_file(content)
    with new_file(path) as file:
        file.write(content.getbuffer())


def read(path: Path) -> Predictions:
    """Read predictions. Raises DatasetError if the file is missing, damaged or of another kind."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file of predictions. `--save` writes them.")
    try:
        checksums.metadata_of(path, KEY)  # raises if the file is damaged
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise DatasetError(f"{path}: holds no predictions. `--save` writes them.")
            for name, (kinds, dimensions) in TENSORS.items():
                tensor = file.get_slice(name)
                if tensor.get_dtype() not in kinds or len(tensor.get_shape()) != dimensions:
                    raise ValueError(f"{name} is not as it should be")
            posteriors = file.get_tensor("posteriors").astype(np.float32)
            labels = file.get_tensor("labels")
        about = parse_json(text)
        if not isinstance(about, dict):
            raise ValueError("its metadata cannot be understood")
        version = about.pop("schema_version")
        if version not in READABLE:
            raise ValueError(f"schema version {version}, not {SCHEMA_VERSION}")
        predictions = Predictions(About(**about), posteriors, labels)
        _check(predictions)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{path}: not a whole file of predictions ({error}).") from error
    return predictions


def fuse(paths: Sequence[Path]) -> Predictions:
    """The mean of the posteriors of several files, each net of each file counted alike.

    Pictures that are not in all of them are left out. Raises DatasetError unless all are of the
    same pictures and classes.
    """
    contents = [read(path) for path in paths]
    abouts = [predictions.about for predictions in contents]
    _check_together(paths, abouts)
    rows = [{i: row for row, i in enumerate(about.ids)} for about in abouts]
    ids = [i for i in abouts[0].ids if all(i in rows_of_file for rows_of_file in rows)]
    if not ids:
        raise DatasetError(f"no picture is in all of {', '.join(map(str, paths))}.")
    posteriors = [
        predictions.posteriors[[rows_of_file[i] for i in ids]]
        for predictions, rows_of_file in zip(contents, rows, strict=True)
    ]
    about = replace(
        abouts[0],
        ids=ids,
        skipped={i: reason for about in abouts for i, reason in about.skipped.items()},
        view=_common_view(abouts),
        nets=_each_once([net for about in abouts for net in about.nets]),
        notes=list(dict.fromkeys(note for about in abouts for note in about.notes)),
    )
    # A file of two nets holds their mean.
    mean = np.average(posteriors, axis=0, weights=[len(about.nets) for about in abouts])
    return Predictions(about, mean, contents[0].labels[[rows[0][i] for i in ids]])


def _check_together(paths: Sequence[Path], abouts: Sequence[About]) -> None:
    """Raise DatasetError unless files are of the same pictures and classes, each net once."""
    first = abouts[0]
    seen: set[tuple[str, str]] = set()
    for path, about in zip(paths, abouts, strict=True):
        if any(getattr(about, name) != getattr(first, name) for name in SAME):
            raise DatasetError(f"{path}: is not of the same pictures and classes as {paths[0]}.")
        nets = {(about.view, _identity(net)) for net in about.nets}
        if nets & seen:
            raise DatasetError(f"{path}: is of a net and scales that are there. Name each once.")
        seen |= nets


def _common_view(abouts: Sequence[About]) -> str:
    """The view of several files: of the same nets, dense and crops are both."""
    views = sorted({about.view for about in abouts})
    if views == ["crops", "dense"]:
        nets = [
            [_identity(net) for about in abouts if about.view == view for net in about.nets]
            for view in views
        ]
        if sorted(nets[0]) == sorted(nets[1]):
            return "both"
    if len(views) > 1:
        raise DatasetError(
            f"the files are of the views {', '.join(views)}. Name files of one view, or of dense"
            " and crops of the same nets and scales."
        )
    return views[0]


def _each_once(nets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nets at their scales; a net of several files has the speeds of all their views."""
    merged: dict[str, dict[str, Any]] = {}
    for net in nets:
        facts = merged.setdefault(_identity(net), dict(net))
        facts["images_per_s"] = facts.get("images_per_s", {}) | net.get("images_per_s", {})
    return list(merged.values())


def _identity(net: dict[str, Any]) -> str:
    names = ("name", "weights", "weights_sha256", "scales")
    return json.dumps([net.get(name) for name in names])


def _check(predictions: Predictions) -> None:
    about, (num_pictures, num_classes) = predictions.about, predictions.posteriors.shape
    labels = predictions.labels
    if not _is_sound(about):
        raise ValueError("its metadata cannot be understood")
    if len(about.ids) != num_pictures or len(labels) != num_pictures or not num_pictures:
        raise ValueError("its pictures and posteriors are not of the same number")
    if len(about.classes) != num_classes or num_classes < 5:
        raise ValueError("its classes and posteriors are not of the same number")
    if not np.isfinite(predictions.posteriors).all():
        raise ValueError("a posterior is not finite")
    if not (0 <= labels.min() and labels.max() < num_classes):
        raise ValueError("a label is no class")
    if not (about.nets and all(_is_net(net) for net in about.nets)):
        raise ValueError("its nets cannot be understood")


def _is_sound(about: About) -> bool:
    """Whether the facts are of the kinds that records and tables rely on."""
    return (
        all(map(_is_texts, (about.classes, about.ids, about.notes, list(about.present))))
        and set(about.present) <= set(about.classes)
        and isinstance(about.matching, dict)
        and len(set(about.ids)) == len(about.ids)
        and isinstance(about.skipped, dict)
        and isinstance(about.title, str)
        and isinstance(about.data, str)
        and isinstance(about.limited, bool)
        and about.view in VIEWS
    )


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_net(net: Any) -> bool:
    if not isinstance(net, dict) or not {"name", "weights", "train_scale", "scales"} <= net.keys():
        return False
    scales, rates, train_scale = net["scales"], net.get("images_per_s", {}), net["train_scale"]
    return (
        _is_texts([net["name"], net["weights"]])
        and isinstance(scales, list)
        and bool(scales)
        and all(type(scale) is int for scale in scales)
        and (train_scale is None or re.fullmatch(r"\d+(-\d+)?", train_scale) is not None)
        and isinstance(rates, dict)
        and all(type(rate) in (int, float) and rate > 0 for rate in rates.values())
    )
