"""Oxford-IIIT Pet in its layout on disk: all pictures in one folder, lists with three numbers."""

from pathlib import Path

from helpers.odd_pictures import KINDS, write_odd
from helpers.packing import pack
from helpers.pictures import write_picture

# Name in files: number of the class, of the species, of the breed within it. Cats begin upper case.
BREEDS = {
    "Abyssinian": (1, 1, 1), "american_bulldog": (2, 2, 1), "Egyptian_Mau": (3, 1, 2),
    "staffordshire_bull_terrier": (4, 2, 2),
}  # fmt: skip


def write_pets(data: Path, *, train: int = 5, test: int = 2) -> Path:
    """data/oxford-iiit-pet as torchvision unpacks it, with so many pictures of each breed and set.

    Each kind of odd picture is there under the name of a .jpg. Beside them lie what the archives
    hold too: MATLAB's copies of some pictures, and what a Mac writes beside each file.
    """
    root, kinds = data / "oxford-iiit-pet", list(KINDS)
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for breed, numbers in BREEDS.items():
        for n in range(1, train + test + 1):
            seed = 100 * numbers[0] + n
            write_odd(root / "images" / f"{breed}_{n}.jpg", kinds[seed % len(kinds)], seed)
            line = f"{breed}_{n} {' '.join(map(str, numbers))}\n"
            lines["trainval" if n <= train else "test"].append(line)
            write_picture(root / "annotations" / "trimaps" / f"{breed}_{n}.png", (8, 6), seed)
    (root / "images" / "Abyssinian_100.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    for name in ("images/._Abyssinian_1.jpg", "annotations/trimaps/._Abyssinian_1.png"):
        (root / name).write_bytes(b"\x00\x05\x16\x07")
    for name, listed in lines.items():
        (root / "annotations" / f"{name}.txt").write_text("".join(listed))
    header = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"
    (root / "annotations" / "list.txt").write_text(header + "".join(sum(lines.values(), [])))
    return root


def pack_pets(root: Path, to: Path) -> Path:
    """The two archives of what write_pets has written, in the folder `to`."""
    for name in ("images", "annotations"):
        pack(to / f"{name}.tar.gz", root, [name])
    return to
