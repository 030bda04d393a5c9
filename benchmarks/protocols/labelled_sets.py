"""The sets of a dataset: pictures with labels, as they are read, and as one table of pictures."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.images import Picture


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Pictures by id, and the number of each one's class, in the same order."""

    pictures: Mapping[str, Picture]
    labels: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class LabelledSets:
    """A dataset's classes and its sets; sets may share pictures, which have one class then.

    `notes` say what is to be known of the files as they lie there. Raises DatasetError where
    pictures and labels are not as many, and at a label that is no number of a class.
    """

    classes: Sequence[str]
    sets: Mapping[str, Labelled]
    notes: Sequence[str] = ()

    def __post_init__(self):
        for name, labelled in self.sets.items():
            num_pictures, labels = len(labelled.pictures), list(labelled.labels)
            if num_pictures != len(labels):
                raise DatasetError(
                    f"set {name!r} has {num_pictures:,} pictures and {len(labels):,} labels."
                )
            if odd := [label for label in labels if not 0 <= label < len(self.classes)]:
                raise DatasetError(
                    f"set {name!r} has label {odd[0]}; the {len(self.classes)} classes have the"
                    f" numbers 0 to {len(self.classes) - 1}."
                )


@dataclass(frozen=True, eq=False)
class PictureTable:
    """The pictures of all sets, each once. Shapes: N pictures."""

    pictures: Mapping[str, Picture]
    class_of: np.ndarray  # [N]
    sets: Mapping[str, np.ndarray]  # name -> rows

    @property
    def ids(self) -> Sequence[str]:
        return list(self.pictures)

    @classmethod
    def of(
        cls,
        read: LabelledSets,
        root: Path,
        limit: int | None,
        group_of: Callable[[str], str],
    ) -> "PictureTable":
        """Raises DatasetError at a set without a class, and at an id of two pictures or classes."""
        pictures: dict[str, Picture] = {}
        class_of: dict[str, int] = {}
        kept = {name: _limited(part, limit, group_of) for name, part in read.sets.items()}
        for name, labels in kept.items():
            absent = set(range(len(read.classes))).difference(labels.values())
            if absent:
                raise DatasetError(
                    f"{root}: set {name!r} has no picture of {len(absent)} of the"
                    f" {len(read.classes)} classes, {read.classes[min(absent)]!r} among them. Fetch"
                    " the dataset again."
                )
            for i, label in labels.items():
                if class_of.setdefault(i, label) != label:
                    both = " and ".join(read.classes[k] for k in (class_of[i], label))
                    raise DatasetError(f"{root}: picture {i!r} is of two classes, {both}.")
                picture = read.sets[name].pictures[i]
                if pictures.setdefault(i, picture) != picture:
                    raise DatasetError(
                        f"{root}: {i!r} is the id of two pictures, {pictures[i]} and {picture}. Ids"
                        " must tell the pictures of all sets apart."
                    )
        row_of = {i: row for row, i in enumerate(pictures)}
        return cls(
            pictures,
            np.array([class_of[i] for i in pictures]),
            {name: np.array([row_of[i] for i in labels]) for name, labels in kept.items()},
        )


def _limited(
    labelled: Labelled, limit: int | None, group_of: Callable[[str], str]
) -> dict[str, int]:
    """Id -> class; at most so many pictures a class, the first ones of as many groups as can be."""
    labels = dict(zip(labelled.pictures, map(int, labelled.labels), strict=True))
    if limit is None:
        return labels
    groups: Counter[str] = Counter()
    place = {}  # of a picture in its group
    for i in labels:
        place[i] = groups[group_of(i)]
        groups[group_of(i)] += 1
    counts: Counter[int] = Counter()
    kept = set()
    for i in sorted(labels, key=place.__getitem__):
        counts[labels[i]] += 1
        if counts[labels[i]] <= limit:
            kept.add(i)
    return {i: label for i, label in labels.items() if i in kept}
