"""STL-10 as it is distributed: bytes of pixels, columns first, and labels from 1; small."""

from pathlib import Path

import numpy as np

FOLDER = "stl10_binary"
CLASSES = "airplane bird car cat deer dog horse monkey ship truck".split()
PER_CLASS = {"train": 4, "test": 2}
NUM_UNLABELLED = 3


def pictures_of(labels: np.ndarray, seed: int) -> np.ndarray:
    """[n, 96, 96, 3], rows first: a tint for each class, brighter to the right, and noise."""
    tints = np.random.default_rng(7).integers(30, 150, (10, 3))
    noise = np.random.default_rng(seed).integers(0, 40, (len(labels), 96, 96, 1))
    slope = np.arange(96).reshape(1, 1, 96, 1) // 2
    return (tints[labels][:, None, None] + noise + slope).astype(np.uint8)


def write_stl10(root: Path) -> dict[str, np.ndarray]:
    """root/stl10_binary; the pictures of each set, [n, 96, 96, 3]."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    pictures = {}
    for seed, (name, per_class) in enumerate(PER_CLASS.items()):
        labels = np.random.default_rng(seed).permutation(np.arange(10 * per_class) % 10)
        pictures[name] = pictures_of(labels, seed)
        write_pixels(folder / f"{name}_X.bin", pictures[name])
        (labels + 1).astype(np.uint8).tofile(folder / f"{name}_y.bin")
        if name == "train":
            write_folds(folder / "fold_indices.txt", labels)
    write_pixels(folder / "unlabeled_X.bin", pictures_of(np.zeros(NUM_UNLABELLED, int), 9))
    (folder / "class_names.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return pictures


def write_pixels(path: Path, pictures: np.ndarray) -> None:
    """One channel at a time, columns before rows."""
    np.ascontiguousarray(pictures.transpose(0, 3, 2, 1)).tofile(path)


def write_folds(path: Path, labels: np.ndarray) -> None:
    """Ten lines of rows, two of each class, each number with a space after it."""
    lines = []
    for seed in range(10):
        drawn = np.random.default_rng(seed).permutation(len(labels))
        rows = np.concatenate([drawn[labels[drawn] == label][:2] for label in range(10)])
        lines.append("".join(f"{row} " for row in np.sort(rows)))
    path.write_text("\n".join(lines) + "\n")
