"""GTSRB: traffic signs, by torchvision's archives, the 26,640 training pictures of 2011's contest.

The frames of a track show one sign, so a track validates whole or not at all.
"""

from pathlib import Path, PurePosixPath

from vggfeat.benchmarks.datasets.definition import DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.labelled_sets import LabelledSets
from vggfeat.benchmarks.protocols.official_protocol import OfficialSplits, official_benchmark
from vggfeat.benchmarks.protocols.torchvision_sets import files_of, opened
from vggfeat.benchmarks.scales import OfInput
from vggfeat.benchmarks.sources.loader_root import LoaderRoot, Part
from vggfeat.errors import DatasetError
from vggfeat.storage.sources import Source

NUM_CLASSES = 43
# Test pictures of each class, as GT-final_test.csv lists them.
TEST = (
    60, 720, 750, 450, 660, 630, 150, 450, 450, 480, 660, 420, 690, 720, 270, 210, 150, 360, 390,
    60, 90, 90, 120, 150, 90, 480, 180, 60, 150, 90, 150, 270, 60, 210, 120, 390, 120, 60, 690, 90,
    90, 60, 90,
)  # fmt: skip
ARCHIVES = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"


def read(root: Path) -> LabelledSets:
    """The sets train and test below a loader's root. Raises DatasetError."""
    opened_sets = {name: opened("GTSRB", root, split=name) for name in ("train", "test")}
    sets = {name: files_of(dataset, root / "gtsrb") for name, dataset in opened_sets.items()}
    # torchvision numbers the folders in their order, and the test set by what its list says.
    for picture_id, label in zip(sets["train"].pictures, sets["train"].labels, strict=True):
        folder = PurePosixPath(picture_id).parent
        if folder.name != f"{label:05d}":
            raise DatasetError(
                f"{root / 'gtsrb' / folder.parent}: has no folder {label:05d} of pictures. The"
                f" classes are 00000 to {NUM_CLASSES - 1:05d}. Fetch the dataset again."
            )
    return LabelledSets(classes=tuple(map(str, range(NUM_CLASSES))), sets=sets)


def track_of(picture_id: str) -> str:
    """The film that a training picture is from: class/track_frame.ppm -> class/track."""
    path = PurePosixPath(picture_id)
    return str(path.with_name(path.stem.partition("_")[0]))


def _archive(name: str, md5: str) -> tuple[Source, ...]:
    return (Source(ARCHIVES + name, "md5", md5),)


GTSRB = DatasetDefinition(
    name="gtsrb",
    title="GTSRB",
    about="43 traffic signs, 15 to 250 pixels; validated on whole tracks",
    num_pictures=26640 + 12630,
    source=LoaderRoot(
        name="gtsrb",
        parts=(
            Part(
                "gtsrb/GTSRB/Training",
                _archive("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478"),
                inside="GTSRB/Training",
                marker="00042",
            ),
            Part(
                "gtsrb/GTSRB/Final_Test/Images",
                _archive("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
                inside="GTSRB/Final_Test/Images",
                marker="00000.ppm",
            ),
            Part(
                "gtsrb/GT-final_test.csv",
                _archive("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
            ),
        ),
    ),
    build=official_benchmark,
    protocol=OfficialSplits(
        metric="accuracy", read=read, together=track_of, facts={"drawn_as": "whole tracks"}
    ),
    scales=OfInput(1.0),
    known_counts=(
        KnownCounts(
            set="train",
            total=26640,
            classes={"0": 150, "1": 1500, "2": 1500},
            source="a count of the archive in a public repository of solutions",
        ),
        KnownCounts(
            set="test",
            total=12630,
            classes=dict(zip(map(str, range(NUM_CLASSES)), TEST, strict=True)),
            source="the archive's GT-final_test.csv",
        ),
    ),
)
