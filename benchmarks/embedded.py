"""The embedded benchmark: scikit-learn's digits, 1,797 scans of handwritten digits of 8x8 pixels.

It needs no download, so every part of the toolkit can be tried on a fresh machine. It runs through
the same code as Caltech-101, with pictures on disk; it says nothing about photographs.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from vggfeat.benchmarks.class_folders import ClassFolderProtocol, class_folder_benchmark
from vggfeat.benchmarks.protocol import Benchmark, DataOptions
from vggfeat.files import new_folder
from vggfeat.folders import Folders

DIGITS = ClassFolderProtocol(
    name="digits",
    title="Digits",
    train_per_class=30,
    test_per_class=50,
    scales=(32, 48),
    aggregate="stack",
)

# An eighth of the paper's channels, for pictures of 32 pixels and more.
DEMO_NETS = (
    "vgg16:width=0.125,input_size=32@random:0",
    "vgg19:width=0.125,input_size=32@random:1",
    "vgg16:width=0.125,input_size=32@random:0+vgg19:width=0.125,input_size=32@random:1",
)

EXPLANATION = """
What these numbers are: the whole measurement in miniature, made on this machine with 1,797 scans
of handwritten digits and nets an eighth as wide as the paper's.
What they are not: the weights are random, nothing has been learned, and digits are no photographs.
They say nothing about the nets of the paper, and no published number compares with them."""


def locate_digits(folders: Folders) -> Path:
    """Where the pictures are, or will be once the benchmark is used."""
    return folders.unpacked / "digits"


def digits(folders: Folders, options: DataOptions, *, offline: bool = False) -> Benchmark:
    """The benchmark, its pictures written to the cache the first time."""
    root = locate_digits(folders)
    if not root.is_dir():
        _write_pictures(root)
    return class_folder_benchmark(root, DIGITS, options)


def _write_pictures(root: Path) -> None:
    """root/<digit>/digit_NNNN.png, the folder appearing whole."""
    data = load_digits()
    with new_folder(root) as temporary:
        for number, (scan, digit) in enumerate(zip(data.images, data.target, strict=True)):
            folder = temporary / str(digit)
            folder.mkdir(exist_ok=True)
            grey = np.round(scan * (255 / 16)).astype(np.uint8)  # scans hold 0 to 16
            Image.fromarray(grey).save(folder / f"digit_{number:04d}.png")
