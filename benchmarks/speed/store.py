"""Descriptors to disk and back: the feature file beside bare HDF5 and numpy's files."""

import os
from abc import ABC, abstractmethod
from itertools import count
from pathlib import Path

import h5py
import numpy as np

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.speed.limits import GIGA, MEGA, memory_copy
from vggfeat.benchmarks.speed.measuring import (
    Contender,
    Setup,
    SpeedResult,
    share_row,
    speed_row,
    time_interleaved,
)
from vggfeat.features import store
from vggfeat.features.conditions import conditions
from vggfeat.features.options import Extraction

SCALES = (256, 384, 512)
BATCH = 32  # rows written at once
NOTE = (
    "What is written is brought to disk (fsync); what is read comes from memory, in random order."
    " Only the feature file can be killed at any moment, and finds rows by id."
)


def measure(setup: Setup, *, num_rows: int = 2048, dim: int = 4096) -> SpeedResult:
    """MB/s of descriptors [N, S, D] float32, written in batches and read in random order."""
    random = np.random.default_rng(0)
    descriptors = random.random((num_rows, len(SCALES), dim), dtype=np.float32)
    order = random.permutation(num_rows)
    files = {
        "numpy": _Numpy(setup.folder, descriptors, order),
        "h5py": _Hdf5(setup.folder, descriptors, order),
        "vggfeat": _FeatureFile(setup.folder, descriptors, order),
    }
    megabytes = descriptors.nbytes / MEGA
    copy = memory_copy()
    contenders = [copy]
    for name, file in files.items():
        contenders.append(Contender(f"{name}, writing", file.write, megabytes, "MB/s"))
        contenders.append(Contender(f"{name}, reading", file.read, megabytes, "MB/s"))
    timings = time_interleaved(contenders, setup.repeats)
    rows, limit = [], timings[copy.name]
    for verb in ("writing", "reading"):
        numpy, peer, ours = (timings[f"{name}, {verb}"] for name in files)
        rows += [
            speed_row(numpy, "cpu"),
            speed_row(peer, "cpu"),
            speed_row(ours, "cpu", peer=peer),
            share_row(ours, descriptors.nbytes / GIGA, limit, "cpu"),
        ]
        if verb == "reading":
            for timing in (numpy, peer, ours):
                assert np.array_equal(timing.result, descriptors[order]), "read is what was written"
    return SpeedResult(
        settings={"rows": num_rows, "scales": len(SCALES), "dim": dim, "batch": BATCH},
        rows=rows,
        limits=[speed_row(limit, "cpu")],
        notes=[NOTE],
    )


class _File(ABC):
    """A way to store descriptors: each `write` makes a new file, `read` reads the last one."""

    suffix: str

    def __init__(self, folder: Path, descriptors: np.ndarray, order: np.ndarray):
        self.folder, self.descriptors, self.order = folder, descriptors, order
        self.numbers = count()
        self.path = folder

    def write(self) -> None:
        if self.path.is_file():
            self.path.unlink()
        self.path = self.folder / f"{next(self.numbers)}{self.suffix}"
        self.fill(self.path)

    @abstractmethod
    def fill(self, path: Path) -> None:
        """Write the descriptors to a new file."""

    @abstractmethod
    def read(self) -> np.ndarray:
        """The descriptors in `order`."""

    def batches(self) -> list[slice]:
        return [slice(i, i + BATCH) for i in range(0, len(self.descriptors), BATCH)]


class _Numpy(_File):
    suffix = ".npy"

    def fill(self, path: Path) -> None:
        with path.open("xb") as file:
            np.save(file, self.descriptors)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> np.ndarray:
        return np.load(self.path)[self.order]


class _Hdf5(_File):
    suffix = ".hdf5"

    def fill(self, path: Path) -> None:
        with h5py.File(path, "x") as file:
            rows = file.create_dataset("descriptors", self.descriptors.shape, np.float32)
            for batch in self.batches():
                rows[batch] = self.descriptors[batch]
            file.flush()
            os.fsync(file.id.get_vfd_handle())

    def read(self) -> np.ndarray:
        with h5py.File(self.path) as file:
            return file["descriptors"][()][self.order]


class _FeatureFile(_File):
    suffix = ".h5"

    def __init__(self, folder: Path, descriptors: np.ndarray, order: np.ndarray):
        super().__init__(folder, descriptors, order)
        network = load_network("vgg16@random:0")
        self.conditions = conditions("noise", network, Extraction(scales=SCALES, device="cpu"))
        self.ids = [f"{row:06d}" for row in range(len(descriptors))]

    def fill(self, path: Path) -> None:
        with store.FeatureWriter(
            path,
            self.conditions,
            dim=self.descriptors.shape[2],
            file_bytes=dict.fromkeys(self.ids, 1),
            weights_name="random:0",
            versions={},
        ) as writer:
            for batch in self.batches():
                ids = self.ids[batch]
                sizes = [(500, 375)] * len(ids)
                writer.write(ids, self.descriptors[batch], sizes, [1] * len(ids))

    def read(self) -> np.ndarray:
        return store.read(self.path, [self.ids[row] for row in self.order], SCALES)
