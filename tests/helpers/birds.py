"""CUB-200-2011 in its layout on disk: lists that count from 1, and its archive."""

from pathlib import Path

from PIL import Image

from helpers.packing import pack
from helpers.pictures import write_picture

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")
LISTS = ("images", "image_class_labels", "train_test_split", "classes", "bounding_boxes")
PER_CLASS = {"train": 5, "test": 2}


def write_cub200(data: Path) -> Path:
    """data/CUB_200_2011 as its archive has it; the first picture is greyscale."""
    root = data / "CUB_200_2011"
    lines = {name: [] for name in LISTS}
    number = 0
    for k, name in enumerate(CLASSES, start=1):
        lines["classes"].append(f"{k} {name}")
        for n in range(sum(PER_CLASS.values())):
            number += 1
            picture = f"{name}/{name[4:]}_{n:04d}_{796 + n}.jpg"
            write_picture(root / "images" / picture, (50 + n, 40), seed=number)
            lines["images"].append(f"{number} {picture}")
            lines["image_class_labels"].append(f"{number} {k}")
            # As in theirs, training and test pictures alternate.
            lines["train_test_split"].append(f"{number} {0 if n in (0, 3) else 1}")
            lines["bounding_boxes"].append(f"{number} 6.0 7.0 20.0 15.0")
    for name, its_lines in lines.items():
        (root / f"{name}.txt").write_text("\n".join(its_lines) + "\n")
    first = root / "images" / lines["images"][0].split()[1]
    Image.open(first).convert("L").save(first)
    (root / "README").write_text("The Caltech-UCSD Birds-200-2011 Dataset\n")
    (root / "attributes").mkdir()
    (root / "attributes" / "image_attribute_labels.txt").write_text("1 1 0 3 27.7080\n")
    return root


def pack_cub200(root: Path, to: Path) -> Path:
    """CUB_200_2011.tgz in the folder `to`: the folder, and the attributes' names beside it."""
    beside = root.with_name("attributes.txt")
    beside.write_text("1 has_bill_shape::curved_(up_or_down)\n")
    pack(to / "CUB_200_2011.tgz", root.parent, ["CUB_200_2011", beside.name])
    return to
