"""PatchCamelyon: 327,680 patches of lymph nodes, 96 x 96 pixels; is there a tumour in the middle?

Arrays in HDF5 files, three sets: x uint8 [N, 96, 96, 3] and y uint8 [N, 1, 1, 1]. The labels are
read at once and each patch when it is needed; no file stays open, as HDF5 does not open one twice
with other locks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.benchmarks.protocols.official_protocol import (
    GivenSplit,
    OfficialSplits,
    official_benchmark,
)
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.dataset_rows import DatasetRow, as_file
from vggfeat.errors import DatasetError
from vggfeat.storage import hdf5
from vggfeat.storage.sources import Source

# Digests as torchvision states them, of the compressed files; sizes as TensorFlow Datasets does.
FILES = {
    "train_x": ("1571f514728f59376b705fc836ff4b63", 6_421_353_462),
    "train_y": ("35c2d7259d906cfc8143347bb8e05be7", 21_378),
    "valid_x": ("d5b63470df7cfa627aeec8b9dc0c066e", 805_965_320),
    "valid_y": ("2b85f58b927af9964a4c15b8f7e8f179", 3_038),
    "test_x": ("d8c2d60d490dbd479f8199bdfa0cf6ec", 800_875_929),
    "test_y": ("60a7035772fbdb7f34eb86d4420cf66a", 3_040),
}
ZENODO = "https://zenodo.org/record/2546921/files/"
SETS = {"train": "train", "val": "valid", "test": "test"}  # ours and torchvision's -> the files'
SIDE = 96  # pixels
BLOCK, NUM_BLOCKS = 32, 16  # patches that are read at once, and so many times as many are kept
COUNTS = {"train": 262144, "val": 32768, "test": 32768}


class Patches:
    """The patches of a set. Blocks are read, as opening the file takes longer than reading one."""

    def __init__(self, path: Path):
        self.path = path
        self._block = lru_cache(maxsize=NUM_BLOCKS)(self._read_block)

    def read(self, number: int) -> bytes:
        """A patch as a picture file. Raises DatasetError."""
        block, row = divmod(number, BLOCK)
        return as_file(self._block(block)[row])

    def _read_block(self, number: int) -> np.ndarray:
        with _array(self.path, "x") as x:
            return x[number * BLOCK : (number + 1) * BLOCK]


def labels_in(path: Path) -> np.ndarray:
    """The labels of a set's patches, 0 or 1, [N]. Raises DatasetError."""
    with _array(path, "y") as y:
        shape, labels = y.shape, np.asarray(y[()]).reshape(-1)
    if shape != (len(labels), 1, 1, 1) or not np.isin(labels, (0, 1)).all():
        raise DatasetError(
            f"{path}: y must be [N, 1, 1, 1], each 0 or 1; its shape is {shape}. Fetch it again."
        )
    return labels


@contextmanager
def _array(path: Path, name: str) -> Iterator[Any]:
    """An array of an HDF5 file in a `with` block. Raises DatasetError."""
    try:
        with hdf5.open_file(path) as file:
            hdf5.check_parts(file, [name])
            yield file[name]
    except (OSError, LookupError, ValueError) as error:
        raise DatasetError(
            f"{path}: cannot be read as PatchCamelyon's HDF5 file ({error}). Fetch it again."
        ) from error


def read(root: Path) -> LabelledSets:
    """The sets train, val and test in root/pcam. Raises DatasetError."""
    sets = {}
    for name, in_files in SETS.items():
        x, y = (root / "pcam" / _file(f"{in_files}_{part}") for part in "xy")
        labels = labels_in(y)
        _check(x, (len(labels), SIDE, SIDE, 3))
        digits = len(str(max(0, len(labels) - 1)))
        ids = [f"{name}/{number:0{digits}d}" for number in range(len(labels))]
        read_row, size = Patches(x).read, len(as_file(np.zeros((SIDE, SIDE, 3), np.uint8)))
        pictures = {i: DatasetRow(read_row, number, i, x, size) for number, i in enumerate(ids)}
        sets[name] = Labelled(pictures=pictures, labels=labels.tolist())
    return LabelledSets(classes=("no tumour", "tumour"), sets=sets)


def _check(path: Path, shape: tuple[int, ...]) -> None:
    """Raise DatasetError unless a file holds patches of this shape."""
    with _array(path, "x") as x:
        actual, dtype = x.shape, x.dtype
    if actual != shape or dtype != np.uint8:
        raise DatasetError(
            f"{path}: x must be {shape} of uint8; it is {actual} of {dtype}. Fetch it again."
        )


def _file(name: str) -> str:
    return f"camelyonpatch_level_2_split_{name}.h5"


PCAM = DatasetDefinition(
    name="pcam",
    title="PatchCamelyon",
    about="tumour or none in 96 x 96 pixels of a lymph node",
    num_pictures=sum(COUNTS.values()),
    source=LoaderRoot(
        name="pcam",
        parts=tuple(
            Part(f"pcam/{_file(name)}", (Source(f"{ZENODO}{_file(name)}.gz", "md5", digest, size),))
            for name, (digest, size) in FILES.items()
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy", read=read, splits=(GivenSplit(validation="val", test="test"),)
    ),
    scales=OfInput(1.0),
    licence="CC0",
    disk_bytes=SIDE * SIDE * 3 * sum(COUNTS.values()),
    known_counts=tuple(
        KnownCounts(set=name, total=total, source="readme of basveeling/pcam")
        for name, total in COUNTS.items()
    ),
)
