"""FGVC Aircraft as it is distributed: lists of names that hold blanks and slashes; small."""

from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = "fgvc-aircraft-2013b"
VARIANTS = ["707-320", "A330-200", "DH-82", "F-16A/B", "F/A-18", "Spitfire"]
FAMILIES = ["Boeing 707", "A330", "DH-82", "F-16", "F/A-18", "Spitfire"]
MAKERS = ["Boeing", "Airbus", "de Havilland", "Lockheed Martin", "McDonnell Douglas", "Supermarine"]
BANNER = 20  # pixels at the bottom, with the photographer's name
PER_CLASS = {"train": 4, "val": 3, "test": 3}


def write_aircraft(root: Path) -> Path:
    """root/fgvc-aircraft-2013b: pictures of all sets in one folder, one of them greyscale."""
    folder = root / FOLDER
    data = folder / "data"
    (data / "images").mkdir(parents=True)
    for name, lines in (("variants", VARIANTS), ("families", FAMILIES), ("manufacturers", MAKERS)):
        (data / f"{name}.txt").write_text("".join(f"{line}\n" for line in sorted(set(lines))))
    number, boxes = 34309, []
    for set_name, count in PER_CLASS.items():
        listed = []
        for label in [*range(len(VARIANTS))] * count:
            name = f"{number:07d}"
            _write(data / "images" / f"{name}.jpg", label, number)
            boxes.append(f"{name} 3 4 40 30\n")
            listed.append((name, label))
            number += 4111
        _write_lists(data, set_name, listed)
    listed = [line for part in ("train", "val") for line in _read(data, part)]
    _write_lists(data, "trainval", listed)
    (data / "images_box.txt").write_text("".join(boxes))
    (folder / "README.md").write_text("# FGVC-Aircraft Benchmark\n")
    (folder / "evaluation.m").write_text("function confusion = evaluation()\n")
    return folder


def _write(path: Path, label: int, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(0, 60, (40, 60, 3)) + 30 * label
    colours[-BANNER:] = 0
    image = Image.fromarray(colours.astype(np.uint8))
    (image.convert("L") if seed == 34309 else image).save(path)


def _write_lists(data: Path, set_name: str, listed: list[tuple[str, int]]) -> None:
    (data / f"images_{set_name}.txt").write_text("".join(f"{name}\n" for name, _ in listed))
    for kind, labels in (("variant", VARIANTS), ("family", FAMILIES), ("manufacturer", MAKERS)):
        lines = "".join(f"{name} {labels[label]}\n" for name, label in listed)
        (data / f"images_{kind}_{set_name}.txt").write_text(lines)


def _read(data: Path, set_name: str) -> list[tuple[str, int]]:
    lines = (data / f"images_variant_{set_name}.txt").read_text().splitlines()
    return [(line.split(" ", 1)[0], VARIANTS.index(line.split(" ", 1)[1])) for line in lines]
