"""EuroSAT as it is distributed: 2750/<class>/<class>_<number>.jpg of 64 x 64 pixels; small."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = (
    "AnnualCrop Forest HerbaceousVegetation Highway Industrial Pasture PermanentCrop Residential"
    " River SeaLake"
).split()


def write_eurosat(root: Path, per_class: int = 12) -> Path:
    """root/2750; numbers start at 1 and have no zeros before them, so _10 comes before _2."""
    for label, name in enumerate(CLASSES):
        folder = root / "2750" / name
        folder.mkdir(parents=True)
        for number in range(1, per_class + 1):
            colours = np.random.default_rng([label, number]).integers(0, 30, (64, 64, 3))
            image = Image.fromarray((colours + 22 * label).astype(np.uint8))
            image.save(folder / f"{name}_{number}.jpg")
    return root / "2750"
