"""SUN397 in its layout on disk: class folders two or three levels deep, and lists apart."""

from pathlib import Path

import numpy as np

from helpers.odd_pictures import KINDS, write_odd
from helpers.packing import pack

# As ClassName.txt has them: below their first letter, some with a setting below the scene.
CLASSES = (
    "/a/abbey", "/a/athletic_field/outdoor", "/c/church/indoor", "/c/church/outdoor",
    "/y/youth_hostel",
)  # fmt: skip


def write_places(data: Path, *, train: int = 5, test: int = 2, spare: int = 2) -> Path:
    """data/SUN397 as torchvision unpacks it, and SUN397-partitions beside it.

    Each partition draws its pictures of a class anew and leaves some out. Pictures have names that
    are in no order, and each kind of odd picture is there under the name of a .jpg.
    """
    root, kinds, rng = data / "SUN397", list(KINDS), np.random.default_rng(0)
    names = {}
    for number, scene in enumerate(CLASSES):
        letters = rng.integers(ord("a"), ord("z") + 1, (train + test + spare, 16), dtype=np.uint8)
        names[scene] = [f"{scene}/sun_{row.tobytes().decode()}.jpg" for row in letters]
        for n, name in enumerate(names[scene]):
            write_odd(root / name[1:], kinds[n % len(kinds)], 100 * number + n)
    (root / "ClassName.txt").write_text("".join(f"{scene}\n" for scene in CLASSES))
    (root / "README.txt").write_text("text\n")
    lists = data / "SUN397-partitions"
    lists.mkdir()
    (lists / "ClassName.txt").write_text("".join(f"{scene}\n" for scene in CLASSES))
    for n in range(1, 11):
        drawn = {s: np.random.default_rng(n).permutation(names[s]) for s in CLASSES}
        training = [name for s in CLASSES for name in sorted(drawn[s][:train])]
        testing = [name for s in CLASSES for name in sorted(drawn[s][train : train + test])]
        for word, listed in (("Training", training), ("Testing", testing)):
            (lists / f"{word}_{n:02d}.txt").write_text("\r\n".join(listed) + "\r\n")
    return root


def pack_places(root: Path, to: Path) -> Path:
    """The archives of what write_places has written, in the folder `to`."""
    lists = root.parent / "SUN397-partitions"
    pack(to / "SUN397.tar.gz", root.parent, ["SUN397"])
    pack(to / "Partitions.zip", lists, sorted(path.name for path in lists.iterdir()))
    return to
