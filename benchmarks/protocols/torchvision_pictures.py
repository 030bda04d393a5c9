"""What a dataset class of torchvision has, of which nothing else is known: pictures with labels.

Files are read where the class lists them, otherwise the pictures that it hands out. Labels come
from its lists where these agree with what it hands out, else from all of that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vggfeat.benchmarks.protocols.own_protocol import OwnProtocol
from vggfeat.benchmarks.protocols.torchvision_sets import FILES, labels_of, path_below, rows_of
from vggfeat.benchmarks.sources.torchvision_class import TorchvisionClass
from vggfeat.errors import DatasetError, PictureError, VggfeatError, reason_of
from vggfeat.images import Picture, picture_size
from vggfeat.layouts.own_pictures import LabelledPictures, alike

NAMES = ("classes", "categories", "all_categories")  # lists of class names by number


@dataclass(frozen=True)
class TorchvisionPictures(OwnProtocol):
    """The pictures of a class of torchvision; `remarks` are added to those on it."""

    dataset: TorchvisionClass
    remarks: tuple[str, ...] = ()

    def read(self, root: Path) -> LabelledPictures:
        """The pictures of all sets, sorted by id. Raises DatasetError."""
        pictures: dict[str, Picture] = {}
        labels: dict[str, tuple[str, ...]] = {}
        parts: dict[str, str] = {}
        remarks = list(self.remarks)
        for set_name in self.dataset.sets:
            read = self._read_set(root, set_name)
            if read is None:
                remarks.append(f"set {set_name} has no labels and is left out")
                continue
            if shared := parts.keys() & read.keys():
                raise DatasetError(
                    f"{self.dataset.name}: {min(shared)!r} is in {parts[min(shared)]} and in"
                    f" {set_name}. Choose sets that share no picture."
                )
            for i, (picture, name) in read.items():
                pictures[i], labels[i], parts[i] = picture, (name,), set_name
        ids = sorted(labels)
        return LabelledPictures(
            root=root,
            labels={i: labels[i] for i in ids},
            parts=None if "all" in self.dataset.sets else parts,
            remarks=remarks,
            warnings=alike(sorted({name for (name,) in labels.values()})),
            pictures=pictures,
            facts={"dataset": self.dataset.name},
        )

    def place(self, root: Path) -> str:
        """The class and its folder."""
        return f"{self.dataset.name} in {root}"

    def _read_set(self, root: Path, set_name: str) -> Mapping[str, tuple[Picture, str]] | None:
        """Pictures and class names of a set by id; None where it has no labels."""
        try:
            dataset = self.dataset.opened(root, set_name)
            labels = _labels(dataset)
            if labels is None:
                return None
            files = _files(dataset, root)
            pictures = files or rows_of(dataset, set_name, labels=labels).pictures
        except (VggfeatError, MemoryError):
            raise
        except Exception as error:  # damaged files make its readers raise almost anything
            raise DatasetError(
                f"{self.place(root)}: set {set_name} cannot be read: {type(error).__name__}:"
                f" {reason_of(error)}."
            ) from error
        if labels == []:
            raise DatasetError(
                f"{self.place(root)}: what it gives beside a picture is no class number. Choose"
                " another target by its arguments, or another dataset."
            )
        names = _names(dataset)
        named = [names[k] if 0 <= k < len(names) else str(k) for k in labels]
        return dict(zip(pictures, zip(pictures.values(), named, strict=True), strict=True))


def _labels(dataset: Any) -> Sequence[int] | None:
    """The class number of each picture; None where there are none, empty where it is no number."""
    size = len(dataset)
    places = sorted({0, size // 2, size - 1})
    targets = [_target(dataset, place) for place in places]
    handed_out = [_number(target) for target in targets]
    if None in handed_out:
        return None if targets[0] is None else []
    try:
        listed = labels_of(dataset)
        if len(listed) == size and [listed[place] for place in places] == handed_out:
            return listed
    except (DatasetError, TypeError, ValueError):
        pass
    return [_number(_target(dataset, place)) for place in range(size)]


def _target(dataset: Any, place: int) -> Any:
    """What is handed out beside a picture, which need not be read for it."""
    picture, target = dataset[place][:2]
    if isinstance(picture, Image.Image):
        picture.close()
    return target


def _number(label: Any) -> int | None:
    """A class number, as Python's own, NumPy's or torch's; None if it is anything else."""
    if isinstance(label, bool | str | float) or getattr(label, "ndim", 0):
        return None
    try:
        return int(label)
    except (TypeError, ValueError):
        return None


def _files(dataset: Any, root: Path) -> dict[str, Picture]:
    """The files that a class lists, by their paths below root; none where it lists none.

    The first is compared with the picture that the class hands out. Raises DatasetError where a
    list leads elsewhere.
    """
    for paths in _listed(dataset):
        if len(paths) != len(dataset):
            continue
        ids = [path_below(path, root) for path in paths]
        try:
            with dataset[0][0] as first:
                is_first = first.size == picture_size(paths[0])
            if not is_first:
                continue
        except PictureError:
            continue
        files = dict(zip(ids, paths, strict=True))
        if len(files) == len(paths):
            return files
    return {}


def _listed(dataset: Any) -> Iterator[list[Path]]:
    for name in (*FILES, "imgs", "data"):
        items = getattr(dataset, name, None)
        if isinstance(items, list) and items:
            files = [item[0] if isinstance(item, tuple | list) and item else item for item in items]
            if all(isinstance(file, str | Path) for file in files):
                yield [Path(file) for file in files]


def _names(dataset: Any) -> list[str]:
    """Class names by number, each another; none where the class has none."""
    listed = next((getattr(dataset, name) for name in NAMES if getattr(dataset, name, None)), [])
    # ImageNet has several words for a class.
    names = [str(name[0] if isinstance(name, tuple) and name else name) for name in listed]
    several = {name for name in names if names.count(name) > 1}
    return [f"{name} ({k})" if name in several else name for k, name in enumerate(names)]
