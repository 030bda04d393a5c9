"""GTSRB in its layout on disk: tracks of frames, lists in each class folder, and the archives."""

from pathlib import Path

import numpy as np
from PIL import Image

from helpers.packing import pack

NUM_CLASSES = 43
LIST_HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
# What each archive holds, as paths below the folder gtsrb.
ARCHIVES = {
    "GTSRB-Training_fixed.zip": ["GTSRB/Training"],
    "GTSRB_Final_Test_Images.zip": ["GTSRB/Final_Test", "GTSRB/Readme-Images-Final-test.txt"],
    "GTSRB_Final_Test_GT.zip": ["GT-final_test.csv"],
}


def write_gtsrb(data: Path, *, tracks: int = 5, frames: int = 2, tests: int = 1) -> Path:
    """data/gtsrb as torchvision unpacks it; the signs of a class share a tint."""
    root = data / "gtsrb"
    for number in range(NUM_CLASSES):
        folder = root / "GTSRB" / "Training" / f"{number:05d}"
        lines = [LIST_HEADER]
        for track in range(tracks):
            for frame in range(frames):
                path = folder / f"{track:05d}_{frame:05d}.ppm"
                lines.append(_write_sign(path, number, [number, track, frame]))
        (folder / f"GT-{number:05d}.csv").write_text("\n".join(lines) + "\n")
    _write_tests(root, tests)
    return root


def _write_tests(root: Path, tests: int) -> None:
    """The test pictures in the order of a draw, as theirs is no order of classes."""
    images = root / "GTSRB" / "Final_Test" / "Images"
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(NUM_CLASSES), tests))
    lines = [_write_sign(images / f"{n:05d}.ppm", k, [99, n]) for n, k in enumerate(labels)]
    # What came with the pictures during the contest lacks the last column.
    contest = [line.rpartition(";")[0] for line in (LIST_HEADER, *lines)]
    (images / "GT-final_test.test.csv").write_text("\r\n".join(contest) + "\r\n")
    (root / "GT-final_test.csv").write_text("\r\n".join((LIST_HEADER, *lines)) + "\r\n")
    (root / "GTSRB" / "Readme-Images-Final-test.txt").write_text("Readme\n")


def _write_sign(path: Path, number: int, seed: list[int]) -> str:
    """A PPM of odd sides; its line of a list."""
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(15, 40, 2))
    tint = np.random.default_rng(number).integers(40, 216, 3)
    pixels = tint + rng.integers(-30, 30, (height, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return f"{path.name};{width};{height};5;5;{width - 5};{height - 5};{number}"


def pack_gtsrb(root: Path, to: Path) -> Path:
    """The three archives of what write_gtsrb has written, in the folder `to`."""
    for name, inside in ARCHIVES.items():
        pack(to / name, root, inside)
    return to
