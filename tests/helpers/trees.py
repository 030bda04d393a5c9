"""Trees of the datasets in their original layout, small but with their quirks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.pictures import write_classes, write_picture
from vggfeat.benchmarks.datasets.synthetic_drawing import Shape, write_action_lists, write_devkit
from vggfeat.benchmarks.protocols.voc_action_protocol import ACTIONS
from vggfeat.benchmarks.protocols.voc_protocol import CLASSES

NUM_BEFORE_JUMPING = 3  # pictures of each set whose people the lists of `jumping` leave out


def write_actions(
    root: Path, scenes: Mapping[str, Sequence[Shape]]
) -> dict[tuple[str, int], Shape]:
    """The lists of VOC 2012's actions; (picture, index) -> shape."""
    return write_action_lists(root, scenes, ACTIONS, late={"jumping": NUM_BEFORE_JUMPING})


def write_all(data: Path) -> None:
    """All the datasets of the paper in one data folder."""
    write_devkit(data / "VOCdevkit" / "VOC2007", CLASSES, {"train": 45, "val": 45, "test": 45})
    voc2012 = data / "VOCdevkit" / "VOC2012"
    scenes = write_devkit(voc2012, CLASSES, {"train": 45, "val": 45, "test": 20}, seed=1)
    write_actions(voc2012, scenes)
    for labels in (voc2012 / "ImageSets" / "Main").glob("*_test.txt"):
        labels.unlink()  # not public
    write_classes(
        data / "101_ObjectCategories",
        {"BACKGROUND_Google": 34, "accordion": 34, "inline_skate": 31, "wild_cat": 34},
    )
    root = data / "256_ObjectCategories"
    write_classes(root, {"056.dog": 64, "198.spider": 63, "257.clutter": 62})
    write_picture(root / "056.dog" / "greg" / "vision309" / "056_0001.jpg")
    (root / "198.spider" / "RENAME2").write_text("rename\n")
