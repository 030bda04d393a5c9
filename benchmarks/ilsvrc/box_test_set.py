"""The pictures that box regressors are tested on: those with boxes, and which of them are sound."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from vggfeat import images
from vggfeat.benchmarks.ilsvrc.predicted_boxes import grid_of
from vggfeat.benchmarks.ilsvrc.test_set import TestSet
from vggfeat.boxes import check
from vggfeat.errors import PictureError
from vggfeat.features.heads.box import Labels
from vggfeat.layouts.boxes import with_boxes
from vggfeat.prefetch import prefetch

NUM_PREFETCHED = 256  # pictures whose headers are read

Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxTestSet:
    """The pictures of a test set that have boxes.

    labelled are all pictures, which classifiers are tested on; boxed are those with boxes. ids, if
    given, are those of the boxed pictures that are measured.
    """

    labelled: TestSet
    boxed: TestSet
    ids: Sequence[str] | None = None

    @property
    def true_boxes(self) -> Mapping[str, np.ndarray]:
        """Picture -> its boxes [n, 4] in pixels."""
        return self.boxed.pictures.boxes

    @cached_property
    def labels(self) -> Labels:
        """The class of every picture of the test set, whether it is measured or not."""
        labelled = self.labelled.pictures.validation
        text = "\n".join(f"{path}\0{number}" for path, number in labelled)
        return Labels(dict(labelled), hashlib.sha256(text.encode()).hexdigest()[:12])

    @cached_property
    def files(self) -> dict[str, Path]:
        """Picture -> file of those that are measured and whose boxes fit."""
        return {i: path for i, path in self._measured.items() if i not in self.misfits}

    @cached_property
    def misfits(self) -> dict[str, PictureError]:
        """Picture -> why one of its boxes does not fit it.

        Pictures whose size cannot be read are left to whoever reads them.
        """
        errors = {}
        for i, size in self._sizes_of(self._measured).items():
            try:
                check(self.true_boxes[i], size, self.boxed.files[i])
            except PictureError as error:
                errors[i] = error
        return errors

    def num_positions(self, scales: Iterable[int], window: int) -> int:
        """The most positions that any of the boxed pictures has at one of these scales.

        window is the side of the net's input in pixels. Pictures that are too large for extraction
        do not count.
        """
        shapes = {
            images.rescaled_size(size, scale)
            for size in self._sizes_of(self.boxed.files).values()
            for scale in scales
        }
        counts = (
            np.prod(grid_of(shape, window))
            for shape in shapes
            if shape[0] * shape[1] <= images.MAX_RESCALED_PIXELS
        )
        return int(max(counts, default=1))

    @property
    def _measured(self) -> Mapping[str, Path]:
        if self.ids is None:
            return self.boxed.files
        return {i: self.boxed.files[i] for i in self.ids}

    def _sizes_of(self, files: Mapping[str, Path]) -> dict[str, Size]:
        """Picture -> size of those whose header can be read; each header is read once."""
        unread = {i: path for i, path in files.items() if i not in self._sizes}
        sizes = prefetch(_size, unread.values(), depth=NUM_PREFETCHED)
        self._sizes.update(zip(unread, sizes, strict=True))
        return {i: size for i in files if (size := self._sizes[i])}

    @cached_property
    def _sizes(self) -> dict[str, Size | None]:
        return {}


def box_test_set(labelled: TestSet) -> BoxTestSet:
    """Those of the pictures that have boxes. Raises DatasetError if there are none."""
    # The limit comes first: the classifier sees no others.
    pictures = with_boxes(replace(labelled.pictures, validation=list(labelled.labels.items())))
    return BoxTestSet(labelled=labelled, boxed=TestSet(pictures=pictures, limit=None))


def _size(path: Path) -> Size | None:
    try:
        return images.picture_size(path)
    except PictureError:
        return None
