"""What torchvision's dataset classes have read: which file, or row of an array, has which label.

torchvision keeps the lists in attributes without a promise; tests hold the loaders' own pictures
and labels against these. Pictures are decoded by us from the files, not by torchvision.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from vggfeat.benchmarks.protocols.labelled_sets import Labelled, LabelledSets
from vggfeat.benchmarks.protocols.torchvision_digests import check_digests
from vggfeat.dataset_rows import DatasetRow, as_file
from vggfeat.errors import DatasetError, reason_of
from vggfeat.layouts.class_folders import check_utf8

FILES = ("samples", "_samples", "_image_files", "_images")  # pairs with a label, or files alone
LABELS = ("_labels", "targets", "labels")


def opened(name: str, root: Path | str, **arguments: Any) -> Any:
    """torchvision's dataset of this class name, its files below root. Raises DatasetError."""
    from torchvision import datasets  # 2 s to import

    return read_by(getattr(datasets, name), root, **arguments)


def read_by(dataset_class: Callable, root: Path | str, **arguments: Any) -> Any:
    """A dataset of a class of torchvision's, or of one that is made of it. Raises DatasetError."""
    try:
        return dataset_class(root, **arguments)
    except Exception as error:  # damaged files make its readers raise almost anything
        check_digests(dataset_class, root, arguments)
        name = dataset_class.__name__
        given = "".join(f", {key} {value}" for key, value in arguments.items())
        raise DatasetError(
            f"{root}: torchvision's {name}{given} cannot be read there:"
            f" {type(error).__name__}: {reason_of(error)}. Fetch the dataset again, or lay it out"
            " as torchvision does."
        ) from error


def sets_of_files(
    name: str, folder: str, sets: Mapping[str, Mapping[str, Any]]
) -> Callable[[Path], LabelledSets]:
    """A reader of the sets of torchvision's dataset `name`; sets maps each to its arguments.

    Ids are paths below the folder of the root. The reader raises DatasetError, also where sets
    differ in their classes: torchvision numbers those that a list names.
    """

    def read(root: Path) -> LabelledSets:
        datasets = {key: opened(name, root, **arguments) for key, arguments in sets.items()}
        classes = {key: class_names(dataset) for key, dataset in datasets.items()}
        first = next(iter(sets))
        for key in sets:
            for number, (one, other) in enumerate(zip_longest(classes[first], classes[key])):
                if one != other:
                    raise DatasetError(
                        f"{root}: class {number} of torchvision's {name} is {one!r} in the set"
                        f" {first!r} and {other!r} in {key!r}. Fetch the dataset again."
                    )
        labelled = {key: files_of(dataset, root / folder) for key, dataset in datasets.items()}
        return LabelledSets(classes=classes[first], sets=labelled)

    return read


def files_of(dataset: Any, below: Path | str) -> Labelled:
    """The files of a dataset and their labels; an id is the file's path below a folder.

    Raises DatasetError at a file elsewhere, and at one that is listed twice.
    """
    files = next((getattr(dataset, name) for name in FILES if hasattr(dataset, name)), None)
    if files is None:
        raise DatasetError(f"{type(dataset).__name__} of torchvision lists no picture files.")
    paths = [Path(file[0] if isinstance(file, tuple | list) else file) for file in files]
    pictures = {path_below(path, Path(below)): path for path in paths}
    if len(pictures) < len(paths):
        again = next(path for path, times in Counter(paths).items() if times > 1)
        raise DatasetError(f"{again}: is listed twice in one set. Fetch the dataset again.")
    return Labelled(pictures=pictures, labels=labels_of(dataset))


def path_below(path: Path, folder: Path) -> str:
    """The POSIX path of a file below a folder. Raises DatasetError where it leads elsewhere.

    Also at a name that is not UTF-8, as ids are.
    """
    check_utf8(str(path), folder)
    with suppress(ValueError):  # it is not below
        inside = path.relative_to(folder)
        if ".." not in inside.parts and "\0" not in str(inside):
            return inside.as_posix()
    raise DatasetError(f"{folder}: a list names {str(path)!r}. Fetch the dataset again.")


def sets_in_arrays(
    name: str, sets: Mapping[str, Mapping[str, Any]], num_classes: int | None = None
) -> Callable[[Path], LabelledSets]:
    """A reader of the sets of torchvision's dataset `name`; sets maps each to its arguments.

    num_classes is for datasets whose classes have no names.
    """

    def read(root: Path) -> LabelledSets:
        datasets = {key: opened(name, root, **arguments) for key, arguments in sets.items()}
        classes = class_names(next(iter(datasets.values())), num_classes)
        return LabelledSets(
            classes=classes, sets={key: rows_of(dataset, key) for key, dataset in datasets.items()}
        )

    return read


def rows_of(
    dataset: Any,
    set_name: str,
    path: Path | None = None,
    labels: Sequence[int] | None = None,
) -> Labelled:
    """The pictures of a dataset that holds them in arrays; an id is set and row, `train/00012`.

    path is the file that holds them, if it is one. labels are given where they are known.
    """

    def read_row(number: int) -> bytes:
        return as_file(dataset[number][0])

    digits = len(str(max(0, len(dataset) - 1)))
    names = [f"{set_name}/{number:0{digits}d}" for number in range(len(dataset))]
    # The rows of an array are all as large as the first: 60,000 need not be read to know it.
    is_array = isinstance(getattr(dataset, "data", None), np.ndarray) and dataset.data.ndim > 2
    size = len(read_row(0)) if is_array and names else None
    return Labelled(
        pictures={name: DatasetRow(read_row, n, name, path, size) for n, name in enumerate(names)},
        labels=labels_of(dataset) if labels is None else labels,
    )


def labels_of(dataset: Any) -> Sequence[int]:
    """The class numbers of a dataset's pictures, in their order, without reading a picture.

    Raises DatasetError where the dataset keeps none, and at one that is no whole number.
    """
    for name in ("samples", "_samples"):
        if hasattr(dataset, name):
            return [_whole(label, dataset) for _, label in getattr(dataset, name)]
    for name in LABELS:
        if (labels := getattr(dataset, name, None)) is not None:
            return [_whole(label, dataset) for label in labels]
    raise DatasetError(f"{type(dataset).__name__} of torchvision lists no labels.")


def _whole(label: Any, dataset: Any) -> int:
    """A label as Python's own number. Raises DatasetError; int() would make 0 of 0.5."""
    with suppress(TypeError, ValueError, OverflowError):
        if (number := int(label)) == label:
            return number
    raise DatasetError(
        f"torchvision's {type(dataset).__name__}: label {label!r} is no number of a class. Fetch"
        " the dataset again."
    )


def class_names(dataset: Any, num_classes: int | None = None) -> tuple[str, ...]:
    """The names of a dataset's classes by number, each another; numbers where it has none."""
    names = list(getattr(dataset, "classes", None) or map(str, range(num_classes or 0)))
    # Two classes of one name, as SUN397 and Cars might have them, are told apart by number.
    several = {name for name in names if names.count(name) > 1}
    return tuple(f"{n} ({k})" if n in several else str(n) for k, n in enumerate(names))
