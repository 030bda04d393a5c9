"""Trees of the datasets in their original layout, small but with their quirks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from conftest import write_classes, write_picture

from vggfeat.benchmarks.actions import ACTIONS
from vggfeat.benchmarks.scenes import Shape, write_devkit
from vggfeat.benchmarks.voc import CLASSES

NUM_BEFORE_JUMPING = 3  # pictures of each set whose people the lists of `jumping` leave out


def write_actions(
    root: Path, scenes: Mapping[str, Sequence[Shape]]
) -> dict[tuple[str, int], Shape]:
    """Action's lists for the sets of Main, the shapes being people; (picture, index) -> shape.

    Of eleven classes in turn the last does something else. Returns everyone.
    """
    folder = root / "ImageSets" / "Action"
    folder.mkdir()
    people = {}
    for set_list in (root / "ImageSets" / "Main").glob("*.txt"):
        if set_list.stem not in ("train", "val", "test"):
            continue
        names = set_list.read_text().split()
        (folder / set_list.name).write_text(set_list.read_text())
        of_set = [(name, i) for name in names for i in range(1, len(scenes[name]) + 1)]
        people |= {(name, i): scenes[name][i - 1] for name, i in of_set}
        for k, action in enumerate(ACTIONS):
            listed = of_set
            if action == "jumping":
                listed = [p for p in of_set if p[0] not in names[:NUM_BEFORE_JUMPING]]
            lines = [f"{name} {index}" for name, index in listed]
            if set_list.stem != "test":
                label = [1 if people[p].class_number % 11 == k else -1 for p in listed]
                lines = [f"{line} {sign:2d}" for line, sign in zip(lines, label, strict=True)]
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{action}_{set_list.name}").write_text(text)
    return people


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
