"""Small datasets in the layouts that torchvision's classes read, or fetch."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from helpers.pictures import write_picture

SIZES = {"train": 5, "valid": 3, "test": 4}  # pictures a class of each set


def write_mnist(
    root: Path,
    name: str = "MNIST",
    files: str = "{}-{}",
    parts: Mapping[str, str] = MappingProxyType({"train": "train", "test": "t10k"}),
) -> None:
    """root/MNIST/raw: grey pictures of three digits, 12 to train and 6 to test."""
    raw = root / name / "raw"
    for part, count in (("train", 12), ("test", 6)):
        labels = np.arange(count) % 3
        noise = np.random.default_rng(count).integers(0, 40, (count, 28, 28))
        _write_idx(
            raw / files.format(parts[part], "images-idx3-ubyte"), 80 * labels[:, None, None] + noise
        )
        _write_idx(raw / files.format(parts[part], "labels-idx1-ubyte"), labels)


def write_clevr(root: Path) -> None:
    """root/clevr: pictures of three or four things; nobody says how many the test pictures have."""
    base = root / "clevr" / "CLEVR_v1.0"
    for part, count in (("train", 8), ("val", 6), ("test", 2)):
        scenes = []
        for number in range(count):
            name = f"CLEVR_{part}_{number:06d}.png"
            write_picture(base / "images" / part / name, seed=number)
            scenes.append({"image_filename": name, "objects": [{}] * (3 + number % 2)})
        if part != "test":
            path = base / "scenes" / f"CLEVR_{part}_scenes.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"scenes": scenes}))


def write_sst2(root: Path) -> None:
    """root/rendered-sst2: three sets of pictures in files, in a folder for each class."""
    random = np.random.default_rng(0)
    for part, count in SIZES.items():
        for k, name in enumerate(("negative", "positive")):
            for number in range(count):
                path = root / "rendered-sst2" / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = random.integers(0, 99, (20, 24, 3)) + 100 * k
                Image.fromarray(pixels.astype(np.uint8)).save(path)


def _write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
