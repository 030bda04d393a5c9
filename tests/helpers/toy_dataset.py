"""A dataset in one file: 3 colours of 8 pictures each, drawn when they are first used."""

from pathlib import Path

from PIL import Image

from vggfeat import ClassFolderProtocol, DatasetDefinition, class_folder_benchmark
from vggfeat.benchmarks.datasets.definition import KnownCounts
from vggfeat.benchmarks.sources.generated import Generated


def write_pictures(root: Path) -> None:
    """Write root/<colour>/<n>.png, whose colour is the darker the larger n is."""
    for colour, rgb in {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}.items():
        (root / colour).mkdir()
        for n in range(8):
            pixel = tuple((250 - 10 * n) * channel for channel in rgb)
            Image.new("RGB", (40, 36), pixel).save(root / colour / f"{n}.png")


TOY = DatasetDefinition(
    name="toy_colours",
    title="Colours",
    about="3 colours",
    num_pictures=24,
    source=Generated(name="toy_colours", version=1, write=write_pictures),
    build=class_folder_benchmark,
    protocol=ClassFolderProtocol(train_per_class=5, test_per_class=3),
    scales=(32,),
    known_counts=(
        KnownCounts(
            set="all", total=24, classes={"red": 8, "green": 8, "blue": 8}, source="this file"
        ),
    ),
)
