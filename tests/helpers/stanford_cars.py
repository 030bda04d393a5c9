"""Stanford Cars as it was distributed: MATLAB files, the labels of the test set apart; small."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers import mat_files
from helpers.mat_files import Structs

FOLDER = "stanford_cars"
CLASSES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012",
           "smart fortwo Convertible 2012"]  # fmt: skip
PER_CLASS = {"train": 5, "test": 3}


def write_cars(root: Path) -> Path:
    """root/stanford_cars as torchvision expects it; the first picture of each set is greyscale."""
    folder = root / FOLDER
    devkit = folder / "devkit"
    devkit.mkdir(parents=True)
    for seed, (name, count) in enumerate(PER_CLASS.items()):
        (folder / f"cars_{name}").mkdir()
        order = np.random.default_rng(seed).permutation(np.arange(4 * count) % 4)
        lines = []
        for number, label in enumerate(order):
            path = folder / f"cars_{name}" / f"{number + 1:05d}.jpg"
            colours = np.random.default_rng([seed, number]).integers(0, 80, (30, 44, 3))
            image = Image.fromarray((colours + 55 * label).astype(np.uint8))
            (image if number else image.convert("L")).save(path)
            lines.append({**_box(), "class": _number(label + 1), "fname": path.name})
        if name == "train":
            mat_files.write(devkit / "cars_train_annos.mat", {"annotations": Structs(lines)})
        else:
            mat_files.write(
                folder / "cars_test_annos_withlabels.mat", {"annotations": Structs(lines)}
            )
            bare = [{k: v for k, v in line.items() if k != "class"} for line in lines]
            mat_files.write(devkit / "cars_test_annos.mat", {"annotations": Structs(bare)})
    mat_files.write(devkit / "cars_meta.mat", {"class_names": CLASSES})
    (devkit / "README.txt").write_text("This file documents the cars dataset.\n")
    (devkit / "train_perfect_preds.txt").write_text("1\n")
    return folder


def _box() -> dict[str, Any]:
    return {name: _number(n) for n, name in enumerate(["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"])}


def _number(value: int) -> np.ndarray:
    return np.array([[value]], np.uint8)
