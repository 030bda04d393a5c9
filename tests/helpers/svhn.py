"""SVHN's cropped digits as they are distributed: MATLAB files, label 10 for the digit 0; small."""

from pathlib import Path

import numpy as np
from scipy.io import savemat

PER_DIGIT = {"train": 6, "test": 3}


def write_svhn(root: Path) -> dict[str, np.ndarray]:
    """root/train_32x32.mat and test_32x32.mat; the pictures of each set, [n, 32, 32, 3]."""
    root.mkdir(parents=True, exist_ok=True)
    pictures = {}
    tints = np.random.default_rng(7).integers(20, 160, (10, 3))
    for seed, (name, count) in enumerate(PER_DIGIT.items()):
        digits = np.random.default_rng(seed).permutation(np.arange(10 * count) % 10)
        noise = np.random.default_rng([seed, 1]).integers(0, 60, (len(digits), 32, 32, 1))
        slope = np.arange(32).reshape(1, 1, 32, 1)
        pictures[name] = (tints[digits][:, None, None] + noise + slope).astype(np.uint8)
        labels = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
        savemat(
            root / f"{name}_32x32.mat",
            {"X": pictures[name].transpose(1, 2, 3, 0), "y": labels},
            do_compression=True,
        )
    return pictures
