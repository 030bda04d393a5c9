"""scikit-learn's 1,797 scans of handwritten digits, by Caltech-101's protocol: no download."""

from pathlib import Path

import numpy as np
from PIL import Image

from vggfeat.benchmarks.datasets.definition import MADE, DatasetDefinition
from vggfeat.benchmarks.protocols.class_folder_protocol import (
    ClassFolderProtocol,
    class_folder_benchmark,
)
from vggfeat.benchmarks.sources.generated import Generated


def write_digits(root: Path) -> None:
    """Write root/<digit>/digit_NNNN.png, pictures of 8 x 8 pixels."""
    from sklearn.datasets import load_digits  # 1 s to import, and needed once

    data = load_digits()
    for number, (scan, digit) in enumerate(zip(data.images, data.target, strict=True)):
        folder = root / str(digit)
        folder.mkdir(exist_ok=True)
        grey = np.round(scan * (255 / 16)).astype(np.uint8)  # scans hold 0 to 16
        Image.fromarray(grey).save(folder / f"digit_{number:04d}.png")


DIGITS = DatasetDefinition(
    name="digits",
    title="Digits",
    about="10 classes of scans, for trying things out",
    num_pictures=1797,
    source=Generated(name="digits", version=1, write=write_digits),
    build=class_folder_benchmark,
    protocol=ClassFolderProtocol(train_per_class=30, test_per_class=50),
    scales=(32, 48),
    aggregate="stack",
    group=MADE,
)
