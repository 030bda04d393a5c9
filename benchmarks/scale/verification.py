"""A folder of shards, compared row by row with what its rows must be: by h5py and NumPy alone.

What vggfeat reads its own files with is not used, so that it cannot hide its own mistakes.
"""

import hashlib
import io
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image
from torch import nn

from vggfeat.benchmarks.scale.numbered_pictures import SIDE
from vggfeat.benchmarks.scale.small_net import expected

SHARDS = "*/part-*.h5"
BLOCK = 2_500  # rows compared at once
TOLERANCE = 1e-5  # of values around 1, in float32


@dataclass(kw_only=True)
class Verified:
    """What stands in the shards of a folder."""

    shards: int = 0
    rows: int = 0
    distinct_ids: int = 0
    missing: int = 0  # pictures without a row
    not_done: int = 0
    largest_error: float = 0.0  # of any value of any row, beside the descriptor by arithmetic
    bytes: int = 0
    leftovers: int = 0  # files of processes that were killed
    sha256: str = ""  # of ids and descriptors in the order of parts: equal for equal bits

    @property
    def is_sound(self) -> bool:
        """Whether every picture has one row, and every row is right."""
        return (
            self.missing == self.not_done == 0
            and self.rows == self.distinct_ids
            and self.largest_error < TOLERANCE
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"is_sound": self.is_sound}


def verify(
    folder: Path, num_pictures: int, net: nn.Module, mean: np.ndarray, std: np.ndarray
) -> Verified:
    """Compare every row of every shard; mean and std [3] are of the net's input."""
    result, digest = Verified(), hashlib.sha256()
    times_seen = np.zeros(num_pictures, np.int32)
    for path in sorted(folder.glob(SHARDS)):
        result.shards += 1
        result.bytes += path.stat().st_size
        with h5py.File(path, "r", locking=False) as file:
            for start in range(0, len(file["ids"]), BLOCK):
                rows = slice(start, start + BLOCK)
                ids, values = file["ids"].asstr()[rows], file["descriptors"][rows]
                result.not_done += int((~file["done"][rows]).sum())
                numbers = np.array([int(Path(i).stem) for i in ids])
                np.add.at(times_seen, numbers, 1)
                error = np.abs(values[:, 0] - expected(numbers, net, mean, std)).max()
                result.largest_error = max(result.largest_error, float(error))
                result.rows += len(ids)
                digest.update("\n".join(ids).encode() + values.tobytes())
    result.distinct_ids = int((times_seen > 0).sum())
    result.missing = num_pictures - result.distinct_ids
    result.leftovers = sum(1 for _ in folder.glob("*/.*"))
    result.sha256 = digest.hexdigest()
    return result


def sample_error(
    tars: list[Path], net: nn.Module, mean: np.ndarray, std: np.ndarray, *, a_tar: int = 2
) -> float:
    """The largest difference between descriptors by arithmetic and by torch from the tars.

    A few pictures of each tar are read by tarfile and Pillow and go through the net.
    """
    largest, rng = 0.0, np.random.default_rng(0)
    for path in tars:
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for place in rng.choice(len(members), min(a_tar, len(members)), replace=False):
                with Image.open(io.BytesIO(tar.extractfile(members[place]).read())) as picture:
                    pixels = np.asarray(picture.convert("RGB"), np.float64)
                assert pixels.shape == (SIDE, SIDE, 3)
                whitened = torch.from_numpy(((pixels - mean) / std).astype(np.float32))
                with torch.no_grad():
                    (vector,) = net(whitened.permute(2, 0, 1)[None]).flatten(1).numpy()
                number = np.array([int(Path(members[place].name).stem)])
                error = np.abs(vector - expected(number, net, mean, std)).max()
                largest = max(largest, float(error))
    return largest
