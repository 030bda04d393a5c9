"""ImageNet and the test sets of its classes in their layouts on disk, with a few of the classes."""

from collections.abc import Mapping
from pathlib import Path

from helpers.packing import pack
from helpers.pictures import write_picture

# Class -> WordNet id: tench, goldfish, great white shark, hammerhead, toilet tissue.
WNIDS = {0: "n01440764", 1: "n01443537", 2: "n01484850", 4: "n01494475", 999: "n15075141"}
IN_200 = (1, 2, 4)  # classes that a set of 200 has


def write_imagenet(folder: Path, *, train: int = 5, val: int = 2, flat: bool = False) -> Path:
    """A folder with train and val; flat: val in one folder, with Kaggle's list three above."""
    lines = ["ImageId,PredictionString"]
    for k, wnid in WNIDS.items():
        for n in range(train):
            _write(folder / "train" / wnid / f"{wnid}_{10 * n + 26}.JPEG", [k, n])
        for n in range(val):
            name = f"ILSVRC2012_val_{len(lines):08d}"
            lines.append(f"{name},{wnid} 1 2 30 40 {wnid} 5 6 20 30 ")
            _write(folder / "val" / ("" if flat else wnid) / f"{name}.JPEG", [k, 100 + n])
    if flat:
        (folder.parents[2] / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_test_set(folder: Path, names: Mapping[int, str], suffix: str, count: int = 2) -> Path:
    """A folder of class folders; names maps class -> the name of its folder."""
    for k, name in names.items():
        for n in range(count):
            _write(folder / name / f"picture_{n}{suffix}", [k, 200 + n])
    (folder / "README.txt").write_text("Class folders.\n")
    return folder


def write_v2(data: Path) -> Path:
    """ImageNetV2's folder, whose classes are numbers."""
    names = {k: str(k) for k in WNIDS}
    return write_test_set(data / "imagenetv2-matched-frequency-format-val", names, ".jpeg")


def write_200(data: Path, folder: str) -> Path:
    """The folder of ImageNet-R or -A, with some of the classes."""
    return write_test_set(data / folder, {k: WNIDS[k] for k in IN_200}, ".jpg")


def write_sketch(data: Path) -> Path:
    """ImageNet-Sketch's folder."""
    return write_test_set(data / "sketch", WNIDS, ".JPEG")


def pack_test_set(folder: Path, archive: Path) -> Path:
    """The archive of a test set, which holds its folder."""
    return pack(archive, folder.parent, [folder.name])


def _write(path: Path, seed: list[int]) -> None:
    write_picture(path, (40 + seed[1] % 3, 36), seed)
