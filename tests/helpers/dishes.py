"""Food-101 in its layout on disk: a folder for each dish, and lists as JSON and as text."""

import json
from pathlib import Path

from helpers.packing import pack
from helpers.pictures import write_picture

DISHES = ("apple_pie", "fish_and_chips", "macaroni_and_cheese")  # as sorted


def write_dishes(data: Path, *, train: int = 5, test: int = 2) -> Path:
    """data/food-101 as torchvision unpacks it, with so many pictures of each dish and set.

    The lists name dishes in another order than the sorted one, and pictures without a suffix.
    Beside them lie the readable names, the licence, and what a Mac leaves.
    """
    root = data / "food-101"
    lists: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    for number, dish in reversed(list(enumerate(DISHES))):
        names = [f"{dish}/{1000 * number + 37 * n}" for n in range(1, train + test + 1)]
        for seed, name in enumerate(names):
            size = (51, 38) if seed % 2 else (38, 51)
            write_picture(root / "images" / f"{name}.jpg", size, 100 * number + seed)
        lists["test"][dish], lists["train"][dish] = names[:test], names[test:]
    meta = root / "meta"
    meta.mkdir()
    for name, listed in lists.items():
        (meta / f"{name}.json").write_text(json.dumps(listed))
        (meta / f"{name}.txt").write_text("\n".join(sum(listed.values(), [])) + "\n")
    (meta / "classes.txt").write_text("\n".join(DISHES) + "\n")
    (meta / "labels.txt").write_text("Apple pie\nFish and chips\nMacaroni and cheese\n")
    for name in ("README.txt", "license_agreement.txt"):
        (root / name).write_text("text\n")
    for folder in (root, root / "images", root / "images" / DISHES[0]):
        (folder / ".DS_Store").write_bytes(b"\0\0\0\x01Bud1")
    (root / "images" / DISHES[0] / "._1037.jpg").write_bytes(b"\x00\x05\x16\x07")
    return root


def pack_dishes(root: Path, to: Path) -> Path:
    """The archive of what write_dishes has written, in the folder `to`."""
    return pack(to / "food-101.tar.gz", root.parent, ["food-101"])
