"""Flowers-102 in its layout on disk: one folder of pictures, labels and sets in MATLAB's files."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from helpers.packing import pack
from helpers.pictures import write_picture

NUM_CLASSES = 102
LISTS = ("imagelabels.mat", "setid.mat")


def write_flowers(data: Path, *, train: int = 1, val: int = 1, test: int = 1) -> Path:
    """data/flowers-102 as torchvision unpacks it, with so many pictures of each class and set.

    As in the real one the pictures of a class follow each other, classes in no order, and
    setid.mat names a set's pictures in no order either. The README lies beside the pictures.
    """
    root, per_class = data / "flowers-102", train + val + test
    labels = np.random.default_rng(0).permutation(NUM_CLASSES).repeat(per_class) + 1
    for number in range(1, len(labels) + 1):
        write_picture(root / "jpg" / f"image_{number:05d}.jpg", (24, 18 + number % 9), number)
    savemat(root / "imagelabels.mat", {"labels": labels[None].astype(np.uint8)})
    of_class = np.arange(1, len(labels) + 1).reshape(NUM_CLASSES, per_class)
    parts = np.split(of_class, [train, train + val], axis=1)
    shuffled = [np.random.default_rng(1).permutation(part.ravel()) for part in parts]
    names = ("trnid", "valid", "tstid")
    sets = {name: ids[None].astype(np.uint16) for name, ids in zip(names, shuffled, strict=True)}
    savemat(root / "setid.mat", sets, do_compression=True)
    return root


def pack_flowers(root: Path, to: Path) -> Path:
    """What write_flowers has written as it is distributed: an archive, and two files."""
    pack(to / "102flowers.tgz", root, ["jpg"])
    for name in LISTS:
        (to / name).write_bytes((root / name).read_bytes())
    return to


def accept_lists(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have torchvision take these lists, of which it checks the digest, for the real ones."""
    from torchvision.datasets import Flowers102

    digests = {name: hashlib.md5((root / name).read_bytes()).hexdigest() for name in LISTS}
    files = Flowers102._file_dict
    accepted = {key: (name, digests.get(name, md5)) for key, (name, md5) in files.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", accepted)
