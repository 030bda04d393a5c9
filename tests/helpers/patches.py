"""PatchCamelyon in its layout on disk: six HDF5 files, and each of them compressed by gzip."""

from pathlib import Path

import h5py
import numpy as np

from helpers.packing import pack

SETS = ("train", "valid", "test")


def write_pcam(data: Path, count: int = 8) -> Path:
    """data/pcam, with so many patches a set: those with a tumour are darker."""
    root = data / "pcam"
    root.mkdir(parents=True)
    for seed, name in enumerate(SETS):
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(count) % 2).astype(np.uint8)
        x = rng.integers(100, 255, (count, 96, 96, 3), dtype=np.uint8)
        x[labels == 1] //= 2
        for part, array in (("x", x), ("y", labels.reshape(-1, 1, 1, 1))):
            with h5py.File(root / f"camelyonpatch_level_2_split_{name}_{part}.h5", "w") as file:
                file[part] = array
    return root


def pack_pcam(root: Path, to: Path) -> Path:
    """The six files of what write_pcam has written, compressed, in the folder `to`."""
    for path in root.iterdir():
        pack(to / f"{path.name}.gz", root, [path.name])
    return to
