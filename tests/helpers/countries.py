"""Country211 in its layout on disk: three sets of folders by ISO 3166's codes, and its tar."""

from collections.abc import Sequence
from pathlib import Path

from helpers.packing import pack
from helpers.pictures import write_picture

PER_CLASS = {"train": 3, "valid": 2, "test": 2}
SPACED = "a name (1).jpg"
CODES = ("AD", "ZW", "CH", "XK")


def write_country211(data: Path, codes: Sequence[str] = CODES) -> Path:
    """data/country211, its pictures named by YFCC100M's keys, one of them with a space."""
    root = data / "country211"
    for seed, code in enumerate(codes):
        for part, (name, count) in enumerate(PER_CLASS.items()):
            for n in range(count):
                key = f"{seed:02x}{part}{n}" * 8
                path = root / name / code / f"{key}.jpg"
                write_picture(path, (40 + n, 36), 99 * seed + 9 * part + n)
    some = next((root / "train" / codes[0]).iterdir())
    some.rename(some.with_name(SPACED))
    return root


def pack_country211(root: Path, to: Path) -> Path:
    """country211.tgz in the folder `to`, with what macOS puts beside files."""
    for folder in (root / "train" / "AD", root / "valid"):
        (folder / "._AD").write_bytes(b"\0\5\x16\7")
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    pack(to / "country211.tgz", root.parent, ["country211"])
    return to
