"""CIFAR-10 and CIFAR-100 as they are distributed: pickles of Python 2, small."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

CIFAR10 = "cifar-10-batches-py"
CIFAR100 = "cifar-100-python"
CLASSES10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


class Python2Pickler(pickle._Pickler):
    """Text and bytes are byte strings, and numpy is that of its first version."""

    dispatch = pickle._Pickler.dispatch.copy()

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_string(self, value):
        content = value.encode("latin1") if isinstance(value, str) else value
        if len(content) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(content)]) + content)
        else:
            self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(value)

    def save_global(self, obj, name=None):
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{name or obj.__qualname__}\n".encode())
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_string
    dispatch[type] = save_global


def write_pickle(path: Path, value: Any) -> None:
    file = io.BytesIO()
    Python2Pickler(file).dump(value)
    path.write_bytes(file.getvalue())


def pictures_of(labels: list[int], seed: int) -> np.ndarray:
    """[n, 3072]: 1,024 red, green, blue values of each picture; those of a class share a tint."""
    tints = np.random.default_rng(7).integers(40, 216, (100, 3, 1))
    noise = np.random.default_rng(seed).integers(-40, 40, (len(labels), 3, 32 * 32))
    return (tints[labels] + noise).astype(np.uint8).reshape(len(labels), -1)


def write_cifar10(root: Path, per_batch: int = 20) -> Path:
    """root/cifar-10-batches-py: five batches to train on and one to test, of so many pictures."""
    folder = root / CIFAR10
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    for seed, name in enumerate(names):
        labels = np.random.default_rng(seed).permutation(np.arange(per_batch) % 10).tolist()
        of = f"training batch {seed + 1} of 5" if seed < 5 else "testing batch 1 of 1"
        files = [f"{CLASSES10[label]}_s_{n:06d}.png" for n, label in enumerate(labels)]
        write_pickle(
            folder / name,
            {"batch_label": of, "labels": labels, "data": pictures_of(labels, seed),
             "filenames": files},
        )  # fmt: skip
    meta = {"num_cases_per_batch": per_batch, "label_names": CLASSES10, "num_vis": 3072}
    write_pickle(folder / "batches.meta", meta)
    (folder / "readme.html").write_text("<meta HTTP-EQUIV='REFRESH' content='0'>\n")
    return folder


def write_cifar100(root: Path, per_class: int = 5) -> Path:
    """root/cifar-100-python: pictures with fine labels and coarse ones."""
    folder = root / CIFAR100
    folder.mkdir(parents=True)
    for seed, (name, count) in enumerate({"train": per_class, "test": 2}.items()):
        labels = np.random.default_rng(seed).permutation(np.arange(100 * count) % 100).tolist()
        write_pickle(
            folder / name,
            {"filenames": [f"apple_s_{n:06d}.png" for n in range(len(labels))],
             "batch_label": f"{name}ing batch 1 of 1", "fine_labels": labels,
             "coarse_labels": [label % 20 for label in labels],
             "data": pictures_of(labels, seed)},
        )  # fmt: skip
    meta = {"fine_label_names": [f"fine_{n:02d}" for n in range(100)],
            "coarse_label_names": [f"coarse_{n:02d}" for n in range(20)]}  # fmt: skip
    write_pickle(folder / "meta", meta)
    (folder / "file.txt~").write_bytes(b"")  # is in the archive
    return folder
