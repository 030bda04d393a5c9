"""A folder of labelled pictures -> lists to train, validate and test on.

Which of these layouts it has is seen from what lies in the folder:

    train/<class>/*, val/<class>/*       ILSVRC-2012 sorted into classes, or your own pictures
    train/<wnid>/*, val/ILSVRC2012_*     with the devkit or Kaggle's list, see ilsvrc_devkit.py
    train/<wnid>/images/*, val/images/*  Tiny ImageNet, with val/val_annotations.txt
    <class>/*                            every tenth picture of a class validates

Classes are numbered in the order of their names, as Caffe and torchvision number ILSVRC's.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.images import PICTURE_SUFFIXES
from vggfeat.layouts import ilsvrc_devkit
from vggfeat.layouts.class_folders import left_out_notes, picture_names, scan_class_folders
from vggfeat.layouts.held_out import hold_out

ANNOTATIONS = "val_annotations.txt"  # Tiny ImageNet's

Labelled = tuple[str, int]  # path below the root, number of its class


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures to train and to validate on; of some tasks with their boxes."""

    root: Path
    classes: tuple[str, ...]
    train: Sequence[Labelled]
    validation: Sequence[Labelled]
    notes: tuple[str, ...] = ()  # what of the folder was not used as it lies there
    boxes: Mapping[str, np.ndarray] = field(default_factory=dict)  # path -> [B, 4], see boxes.py

    @property
    def digest(self) -> str:
        """SHA-256 of both lists: paths, classes, sizes of the files; and of the boxes."""
        total = hashlib.sha256()
        for labelled in (self.train, self.validation):
            for path, number in labelled:
                size = self._bytes(path)
                total.update(f"{path}\0{self.classes[number]}\0{size}\n".encode())
            total.update(b"\n")
        for path, boxes in self.boxes.items():
            total.update(f"{path}\0{boxes.tolist()}\n".encode())
        return total.hexdigest()

    def _bytes(self, path: str) -> int:
        try:
            return (self.root / path).stat().st_size
        except OSError:
            return -1  # whoever reads it reports it


def open_pictures(root: Path) -> Pictures:
    """The pictures of a folder in one of the layouts above. Raises DatasetError."""
    if root.is_file():
        raise DatasetError(f"{root}: is a file. Name a folder with --data; unpack archives first.")
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Name the folder of pictures with --data.")
    if not (root / "train").is_dir():
        return _held_out(root, root, ())
    if not (root / "val").is_dir():
        return _held_out(root, root / "train", ("there is no folder val",))
    classes, train, train_notes = _class_folders(root, root / "train")
    if _is_tiny(root):
        validation, notes = _tiny_validation(root, classes)
    elif paths := _pictures(root, root / "val"):
        validation, notes = _flat_validation(root, classes, paths)
    else:
        validation, notes = _sorted_validation(root, classes)
    if not validation:
        raise DatasetError(f"{root / 'val'}: holds no picture of the {len(classes)} classes.")
    return Pictures(root, classes, train, validation, (*train_notes, *notes))


def open_validation(root: Path, trained_on: Collection[str] = ()) -> Pictures:
    """The labelled pictures of a folder that nets are tested on; its list of training is empty.

    Where there is a folder train, they are those that training validates on. Otherwise val is
    enough: its classes are those of its folders, of Tiny ImageNet's annotations, or the devkit's
    leaves. Of a folder of class folders all pictures are taken, unless a net was trained on this
    folder (trained_on: digests of such folders): then those that were held out. Raises
    DatasetError.
    """
    if (root / "train").is_dir() or not root.is_dir():
        return replace(open_pictures(root), train=())
    notes: tuple[str, ...] = ()
    if _is_tiny(root):
        classes = tuple(sorted({name for _, name in _annotations(root)}))
        labelled, notes = _tiny_validation(root, classes)
    elif (root / "val").is_dir() and (paths := _pictures(root, root / "val")):
        classes = ilsvrc_devkit.classes_of(root)
        labelled, notes = _flat_validation(root, classes, paths)
    elif (root / "val").is_dir():
        classes, labelled, notes = _class_folders(root, root / "val")
        _check_sorted(root, classes, labelled)
    elif trained_on and (pictures := _trained_before(root, trained_on)):
        return replace(pictures, train=())
    else:
        classes, labelled, notes = _class_folders(root, root)
        if trained_on:
            notes += ("all pictures are tested: no net was trained on this folder as it is now",)
    return Pictures(root, classes, (), labelled, notes)


def _trained_before(root: Path, trained_on: Collection[str]) -> Pictures | None:
    """The pictures as training split them, if it did."""
    try:
        pictures = open_pictures(root)
    except DatasetError:
        return None  # it cannot have
    return pictures if pictures.digest in trained_on else None


def _class_folders(
    root: Path, folder: Path
) -> tuple[tuple[str, ...], list[Labelled], tuple[str, ...]]:
    """The classes with pictures among the folder's folders, and their pictures, in order.

    And notes on what in the folder is not used.
    """
    scanned = scan_class_folders(folder, inner="images")
    by_class = {name: paths for name, paths in scanned.pictures.items() if paths}
    if len(by_class) < 2:
        raise DatasetError(
            f"{folder}: needs at least two class folders with pictures"
            f" ({', '.join(PICTURE_SUFFIXES)}); found {len(by_class)}."
        )
    prefix = _prefix(root, folder)
    labelled = [
        (prefix + path, number) for number, paths in enumerate(by_class.values()) for path in paths
    ]
    return tuple(by_class), labelled, tuple(left_out_notes(scanned, folder))


def _pictures(root: Path, folder: Path) -> list[str]:
    """The pictures that lie in a folder, as paths below the root."""
    prefix = _prefix(root, folder)
    return [prefix + name for name in picture_names(folder)]


def _prefix(root: Path, folder: Path) -> str:
    below = folder.relative_to(root).as_posix()
    return "" if below == "." else f"{below}/"


def _held_out(root: Path, folder: Path, notes: tuple[str, ...]) -> Pictures:
    """The pictures of class folders, some of each class held out to validate."""
    classes, labelled, left_out = _class_folders(root, folder)
    by_class: dict[int, list[str]] = {}
    for path, number in labelled:
        by_class.setdefault(number, []).append(path)
    for number, paths in by_class.items():
        if len(paths) < 2:
            raise DatasetError(
                f"{folder / classes[number]}: has one picture; one to train on and one to validate"
                " on are needed."
            )
    held_out = hold_out(by_class)
    train = [(path, number) for path, number in labelled if path not in held_out]
    validation = [(path, number) for path, number in labelled if path in held_out]
    note = f"{len(validation)} of {len(labelled)} pictures held out to validate"
    return Pictures(root, classes, train, validation, (*notes, *left_out, note))


def _sorted_validation(
    root: Path, classes: tuple[str, ...]
) -> tuple[list[Labelled], tuple[str, ...]]:
    names, labelled, left_out = _class_folders(root, root / "val")
    _check_sorted(root, names, labelled)
    number_of = {name: number for number, name in enumerate(classes)}
    validation = [
        (path, number_of[names[number]]) for path, number in labelled if names[number] in number_of
    ]
    return validation, (*left_out, *_left_out(len(labelled) - len(validation)))


def _is_tiny(root: Path) -> bool:
    """Whether val is as Tiny ImageNet has it, and was not sorted into class folders since."""
    if not (root / "val" / ANNOTATIONS).is_file():
        return False
    scanned = scan_class_folders(root / "val", inner="images")
    return not any(paths for name, paths in scanned.pictures.items() if name != "images") or bool(
        scanned.pictures.get("images")
    )


def _check_sorted(root: Path, classes: Sequence[str], labelled: Sequence[Labelled]) -> None:
    """Raise DatasetError if a list that was left behind says another class than the folder."""
    path = root / "val" / ANNOTATIONS
    class_of = dict(_annotations(root)) if path.is_file() else {}
    for picture, number in labelled:
        listed = class_of.get(Path(picture).name, classes[number])
        if listed != classes[number]:
            raise DatasetError(
                f"{root / picture}: lies in the folder of {classes[number]!r}, and {path} says"
                f" {listed!r}. Sort it again, or move the list away."
            )


def _tiny_validation(
    root: Path, classes: tuple[str, ...]
) -> tuple[list[Labelled], tuple[str, ...]]:
    """Lines of file name, class and box, split by tabs; pictures in val/images."""
    path = root / "val" / ANNOTATIONS
    number_of = {name: number for number, name in enumerate(classes)}
    folder = root / "val" / "images"
    paths = set(_pictures(root, folder)) if folder.is_dir() else set()
    validation, num_others = [], 0
    for name, class_name in _annotations(root):
        if class_name not in number_of:
            num_others += 1
            continue
        if f"val/images/{name}" not in paths:
            raise DatasetError(f"{path}: lists {name!r}, which is not in {folder}.")
        validation.append((f"val/images/{name}", number_of[class_name]))
    return validation, _left_out(num_others)


def _annotations(root: Path) -> Iterator[tuple[str, str]]:
    """File name and class of each line of Tiny ImageNet's list."""
    path = root / "val" / ANNOTATIONS
    for line in ilsvrc_devkit.text_of(path).splitlines():
        name, _, columns = line.partition("\t")
        class_name = columns.split("\t")[0]
        if not class_name or Path(name).name != name:
            raise DatasetError(f"{path}: {line!r} is not a file name, a class and a box.")
        yield name, class_name


def _left_out(num_others: int) -> tuple[str, ...]:
    """The note on pictures of other classes, if there are any."""
    note = f"{num_others} validation pictures of other classes left out"
    return (note,) if num_others else ()


def _flat_validation(
    root: Path, classes: tuple[str, ...], paths: list[str]
) -> tuple[list[Labelled], tuple[str, ...]]:
    """ILSVRC-2012's 50,000 pictures in one folder; their classes are in the devkit."""
    number_of = {name: number for number, name in enumerate(classes)}
    wnids = ilsvrc_devkit.wnids_of(root, paths)
    validation = [(path, number_of[wnid]) for path, wnid in wnids.items() if wnid in number_of]
    return validation, _left_out(len(wnids) - len(validation))
