"""The embedded benchmarks: scikit-learn's handwritten digits, and synthetic scenes.

They need no download, so every part of the toolkit can be tried on a fresh machine. They run
through the same code as Caltech-101 and PASCAL VOC, with pictures on disk; they say nothing about
photographs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vggfeat.benchmarks.datasets.class_folder_protocol import ClassFolderProtocol
from vggfeat.benchmarks.datasets.synthetic_drawing import SHAPES, write_action_lists, write_devkit
from vggfeat.benchmarks.datasets.voc_action_protocol import ActionProtocol
from vggfeat.benchmarks.datasets.voc_protocol import VocProtocol
from vggfeat.storage.files import new_folder
from vggfeat.storage.folders import Folders

DIGITS = ClassFolderProtocol(
    name="digits",
    title="Digits",
    train_per_class=30,
    test_per_class=50,
    scales=(32, 48),
    aggregate="stack",
)

SCENES = VocProtocol(
    name="synthetic_scenes",
    title="Synthetic scenes",
    metric="map_11pt",
    classes=tuple(f"{colour}_{shape}" for colour in ("red", "green") for shape in SHAPES),
    scales=(48, 72),
    test_is_public=True,
)
SCENE_COUNTS = {"train": 150, "val": 150, "test": 150}
# The shapes as people; those of the last class do something else.
SCENE_ACTIONS = ActionProtocol(
    name="synthetic_actions",
    title="Synthetic actions",
    dataset="synthetic_scenes",
    with_box=True,
    actions=tuple(f"being_a_{name}" for name in SCENES.classes[:-1]),
    scales=SCENES.scales,
    server_file="results/synthetic/comp10_action_test_{}.txt",
)

DEMO_BENCHMARKS = ("digits", "synthetic_scenes", "synthetic_actions")
# An eighth of the paper's channels, for pictures of 32 pixels and more.
DEMO_NETS = (
    "vgg16:width=0.125,input_size=32@random:0",
    "vgg19:width=0.125,input_size=32@random:1",
)


@dataclass(frozen=True, kw_only=True)
class EmbeddedDataset:
    """A dataset that is written into the cache the first time it is used."""

    name: str
    version: int  # of what is written
    write: Callable[[Path], None]

    def locate(self, folders: Folders) -> Path:
        """Where the pictures are, or will be."""
        return folders.unpacked / f"{self.name}-{self.version}"

    def missing(self, folders: Folders) -> list:
        """Nothing has to be fetched."""
        return []

    def altered(self, folders: Folders) -> list:
        """There are no archives."""
        return []

    def open(self, folders: Folders, **_) -> Path:
        """The dataset's folder, which appears whole."""
        root = self.locate(folders)
        if not root.is_dir():
            with new_folder(root) as temporary:
                self.write(temporary)
        return root


def _write_digits(root: Path) -> None:
    """root/<digit>/digit_NNNN.png"""
    from sklearn.datasets import load_digits  # 1 s to import, and needed once

    data = load_digits()
    for number, (scan, digit) in enumerate(zip(data.images, data.target, strict=True)):
        folder = root / str(digit)
        folder.mkdir(exist_ok=True)
        grey = np.round(scan * (255 / 16)).astype(np.uint8)  # scans hold 0 to 16
        Image.fromarray(grey).save(folder / f"digit_{number:04d}.png")


DIGITS_DATASET = EmbeddedDataset(name="digits", version=1, write=_write_digits)


def _write_scenes(root: Path) -> None:
    scenes = write_devkit(root, SCENES.classes, SCENE_COUNTS)
    write_action_lists(root, scenes, SCENE_ACTIONS.actions)


SCENES_DATASET = EmbeddedDataset(name="synthetic_scenes", version=1, write=_write_scenes)
