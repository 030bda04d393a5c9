"""STL-10: all 5,000 training pictures of 96 x 96 pixels, or its ten folds of 1,000; accuracy.

Its authors train on each fold and average; most papers train on all.
"""

from pathlib import Path
from typing import Any

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.protocols.torchvision_sets import class_names, read_by, rows_of
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.errors import DatasetError, reason_of
from vggfeat.storage.sources import Source

ARCHIVE = Source(
    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    "md5",
    "91f7769df0f17e558f3565bffb0c7dfb",
    2_640_397_119,
)
FILES = (
    "train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt", "fold_indices.txt",
)  # fmt: skip
PAGE = "cs.stanford.edu/~acoates/stl10"
FOLDS = tuple(f"fold_{number}" for number in range(10))


def read_all(root: Path) -> LabelledSets:
    """The sets train and test below a loader's root. Raises DatasetError."""
    sets = {name: read_by(_labelled_stl10(), root, split=name) for name in ("train", "test")}
    return LabelledSets(
        classes=class_names(sets["train"], 10),
        sets={name: rows_of(dataset, name) for name, dataset in sets.items()},
    )


def read_folds(root: Path) -> LabelledSets:
    """The ten folds, whose pictures are rows of train, and test. Raises DatasetError."""
    whole = read_all(root)
    train, path = whole.sets["train"], root / "stl10_binary" / "fold_indices.txt"
    ids = list(train.pictures)
    try:  # torchvision's class takes a fold's pictures, and does not say which rows they are
        lines = filter(str.strip, path.read_text(encoding="utf-8").splitlines())
        folds = [[int(row) for row in line.split()] for line in lines]
        if any(not 0 <= row < len(ids) for rows in folds for row in rows):
            raise ValueError(f"the rows are 0 to {len(ids) - 1}")
        if any(len(set(rows)) < len(rows) for rows in folds):
            raise ValueError("one has a row twice")
        folded = {
            name: Labelled(
                pictures={ids[row]: train.pictures[ids[row]] for row in rows},
                labels=[train.labels[row] for row in rows],
            )
            for name, rows in zip(FOLDS, folds, strict=True)
        }
    except (OSError, ValueError, IndexError) as error:
        raise DatasetError(
            f"{path}: does not name the rows of ten folds, one a line ({reason_of(error)})."
            " Fetch the dataset again."
        ) from error
    return LabelledSets(classes=whole.classes, sets=folded | {"test": whole.sets["test"]})


def _labelled_stl10() -> Any:
    """torchvision's class without the 2.8 GB of unlabeled_X.bin.

    No benchmark reads them, and their MD5, which it compares at each opening, takes long.
    """
    from torchvision import datasets  # 2 s to import

    class STL10(datasets.STL10):
        train_list = [  # noqa: RUF012
            [name, md5] for name, md5 in datasets.STL10.train_list if name != "unlabeled_X.bin"
        ]

    return STL10


STL10 = DatasetDefinition(
    name="stl10",
    title="STL-10",
    about="10 classes of 96 x 96 pixels, all 5,000 to train on",
    num_pictures=13_000,
    source=LoaderRoot(
        name="stl10", parts=tuple(Part(f"stl10_binary/{name}", (ARCHIVE,)) for name in FILES)
    ),
    build=official_benchmark,
    protocol=OfficialSplits(metric="accuracy", read=read_all),
    scales=OfInput(),
    known_counts=(
        KnownCounts(set="train", total=5000, per_class=500, source=PAGE),
        KnownCounts(set="test", total=8000, per_class=800, source=PAGE),
    ),
)

STL10_FOLDS = DatasetDefinition(
    name="stl10_folds",
    title="STL-10, ten folds",
    about="STL-10, the mean of its ten folds of 1,000 to train on",
    num_pictures=13_000,
    source=STL10.source,
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy",
        read=read_folds,
        splits=tuple(GivenSplit(train=(name,)) for name in FOLDS),
        facts={"trained_on": "each of ten folds of 1,000", "validation": "drawn from each fold"},
    ),
    scales=OfInput(),
    features_of="stl10",
    known_counts=(
        *(KnownCounts(set=name, total=1000, source=PAGE) for name in FOLDS),
        STL10.known_counts[1],
    ),
)
