"""ImageNet's training and validation pictures, and test sets of its classes, as labelled sets.

Ids are paths below ImageNet's folder, whichever test set they serve, so that the features of a
training picture are computed once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.errors import DatasetError
from vggfeat.layouts.class_folders import left_out_notes, picture_names, scan_class_folders
from vggfeat.layouts.imagenet import open_pictures
from vggfeat.weights.ilsvrc import wordnet_ids

IMAGENET = "imagenet"  # the folder with train and val
README = "README.txt"  # which lies beside the class folders of -A and -R


def read_imagenet(root: Path) -> LabelledSets:
    """The sets train and val of root/imagenet, in any layout of ILSVRC-2012. Raises DatasetError.

    The folder's classes are taken; notes say so where they are not all 1,000.
    """
    folder = _folder_of(root)
    pictures = open_pictures(folder)
    sets = {
        name: Labelled(
            pictures={path: folder / path for path, _ in labelled},
            labels=[number for _, number in labelled],
        )
        for name, labelled in (("train", pictures.train), ("val", pictures.validation))
    }
    lacking = set(wordnet_ids()).difference(pictures.classes)
    of_all = f"{len(lacking)} of ImageNet's 1,000 classes are not there: another benchmark"
    notes = (*pictures.notes, *([of_all] if lacking else []))
    return LabelledSets(classes=pictures.classes, sets=sets, notes=notes)


def read_test_set(root: Path, folder: str, wordnet_id: Callable[[str], str]) -> LabelledSets:
    """A test set of class folders in root/folder, and ImageNet's training pictures of its classes.

    wordnet_id gives the WordNet id that the name of a class folder stands for. Raises DatasetError
    at a folder that is none of ImageNet's classes, and at a class without training pictures.
    """
    scanned = scan_class_folders(root / folder)
    scanned.stray[:] = [name for name in scanned.stray if name != README]
    paths = {}
    for name, of_class in scanned.pictures.items():
        if not of_class:
            continue
        wnid = _class_of(root / folder, name, wordnet_id)
        if paths.setdefault(wnid, of_class) is not of_class:
            raise DatasetError(f"{root / folder}: {name!r} is a second folder of class {wnid}.")
    classes = tuple(sorted(paths))
    train_folder = root / IMAGENET / "train"
    train = {}
    for wnid in classes:
        if not (train_folder / wnid).is_dir():
            raise DatasetError(
                f"{train_folder}: has no folder {wnid}, a class of {folder}. Put ImageNet's"
                " training pictures there."
            )
        train[wnid] = [f"{wnid}/{name}" for name in picture_names(train_folder / wnid)]
    return LabelledSets(
        classes=classes,
        sets={
            "train": _labelled(train_folder, "train", [train[wnid] for wnid in classes]),
            "test": _labelled(root / folder, folder, [paths[wnid] for wnid in classes]),
        },
        notes=left_out_notes(scanned, Path(folder)),
    )


def numbered_class(name: str) -> str:
    """The WordNet id of a class by its number, 0 to 999. Raises DatasetError."""
    if not (name.isdecimal() and int(name) < len(wordnet_ids())):
        raise DatasetError(f"{name!r} is no number of a class, 0 to {len(wordnet_ids()) - 1}.")
    return wordnet_ids()[int(name)]


def _class_of(folder: Path, name: str, wordnet_id: Callable[[str], str]) -> str:
    try:
        wnid = wordnet_id(name)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {error} Fetch the dataset again.") from error
    if wnid not in wordnet_ids():
        raise DatasetError(f"{folder}: {name!r} is no class of ImageNet. Fetch the dataset again.")
    return wnid


def _labelled(folder: Path, prefix: str, by_class: Sequence[Sequence[str]]) -> Labelled:
    """The pictures of each class, as paths below a folder; ids have the prefix before them."""
    return Labelled(
        pictures={f"{prefix}/{path}": folder / path for paths in by_class for path in paths},
        labels=[number for number, paths in enumerate(by_class) for _ in paths],
    )


def _folder_of(root: Path) -> Path:
    """The folder with train and val: beside the two, if they lie together, is the devkit."""
    train, val = ((root / IMAGENET / name).resolve() for name in ("train", "val"))
    together = train.parent == val.parent and (train.name, val.name) == ("train", "val")
    return train.parent if together else root / IMAGENET
