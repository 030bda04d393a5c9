"""DTD in its layout on disk: a folder for each texture, and thirty lists of ten partitions."""

from pathlib import Path

import numpy as np

from helpers.packing import pack
from helpers.pictures import write_picture

CLASSES = ("banded", "cross-hatched", "polka-dotted")
SETS = ("train", "val", "test")


def write_textures(data: Path, *, per_class: int = 6) -> Path:
    """data/dtd/dtd as torchvision unpacks it; each partition divides the same pictures anew.

    Joint labels name further attributes of pictures, each line ended by a space as the real ones
    are; imdb has what MATLAB reads.
    """
    root = data / "dtd" / "dtd"
    names = {c: [f"{c}/{c}_{n:04d}.jpg" for n in range(2, 2 + 3 * per_class, 3)] for c in CLASSES}
    for seed, name in enumerate(name for of_class in names.values() for name in of_class):
        write_picture(root / "images" / name, (48, 36 + seed % 7), seed)
    (root / "labels").mkdir()
    for partition in range(1, 11):
        rng = np.random.default_rng(partition)
        drawn = {c: rng.permutation(names[c]).reshape(len(SETS), -1) for c in CLASSES}
        for k, set_name in enumerate(SETS):
            lines = [f"{name}\n" for c in CLASSES for name in sorted(drawn[c][k])]
            (root / "labels" / f"{set_name}{partition}.txt").write_text("".join(lines))
    joint = [f"{name} {c} {CLASSES[0]} \n" for c, of_class in names.items() for name in of_class]
    (root / "labels" / "labels_joint_anno.txt").write_text("".join(joint))
    (root / "imdb").mkdir()
    (root / "imdb" / "imdb.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    return root


def pack_textures(root: Path, to: Path) -> Path:
    """The archive of what write_textures has written, in the folder `to`."""
    return pack(to / "dtd-r1.0.1.tar.gz", root.parent, ["dtd"])
