"""Extractions of pictures that are stored at some scales already: only the others are computed.

Pictures are grouped by the scales that every file to be completed can take from other files. Each
group goes through the net at the scales that are left. A row is written whole, the stored columns
with the new ones, so that a kill leaves no half of it.

Shapes: n pictures, S scales, D dimensions of a vector.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from vggfeat import images
from vggfeat.features import store
from vggfeat.features.heads.head import Head
from vggfeat.features.options import Extraction
from vggfeat.features.pipeline import ExtractionRun
from vggfeat.progress import Progress

log = logging.getLogger(__name__)


class CompletingWriter:
    """The writer of a feature file for vectors of some scales; the others are stored elsewhere.

    Pictures whose stored vectors are of other bytes than the picture now has are not written;
    `refused` has their ids.
    """

    def __init__(
        self, writer: store.FeatureWriter, others: store.OtherScales, computed: Sequence[int]
    ):
        self.writer, self.dim, self.others = writer, writer.dim, others
        scales = others.conditions.scales
        self.stored = [scale for scale in scales if scale not in computed]
        both = [*computed, *self.stored]
        self.order = [both.index(scale) for scale in scales]
        self.refused: set[str] = set()

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids whose row is missing."""
        return self.writer.missing(ids)

    def write(
        self,
        ids: Sequence[str],
        descriptors: np.ndarray,
        image_sizes: Sequence[tuple[int, int]],
        file_bytes: Sequence[int],
        picture_sha256: Sequence[bytes],
    ) -> None:
        """Store rows of n pictures whose descriptors [n, S, D] are those of the computed scales."""
        kept, rows = [], []
        for number, i in enumerate(ids):
            row = self.others.read(i, self.stored)
            now = file_bytes[number], picture_sha256[number]
            if row is None or not _is_of(row, *now):
                self.refused.add(i)
                continue
            kept.append(number)
            rows.append(np.concatenate([descriptors[number], row.vectors])[self.order])
        if kept:
            self.writer.write(
                [ids[number] for number in kept],
                np.stack(rows),
                [image_sizes[number] for number in kept],
                [file_bytes[number] for number in kept],
                [picture_sha256[number] for number in kept],
            )

    def copy(self, picture_id: str) -> None:
        """Store the row of a picture that is stored at all scales."""
        row = self.others.read(picture_id, self.stored)
        if row is None:
            self.refused.add(picture_id)
            return
        self.writer.write(
            [picture_id],
            row.vectors[None],
            [row.image_size],
            [row.file_bytes],
            [row.picture_sha256],
        )


class PartialExtraction:
    """An extraction into several files at once, which takes from other files what they have.

    After `extract` num_new, skipped, scale_seconds and stage_seconds are its result; scale_seconds
    are empty where pictures were not computed at the same scales.
    """

    def __init__(self, head: Head, options: Extraction, progress: Progress):
        self.head, self.options, self.progress = head, options, progress
        self.num_new = 0
        self.skipped: dict[str, str] = {}
        self.scale_seconds: dict[int, float] = {}
        self.stage_seconds: dict[str, float] = {}

    def extract(
        self,
        module: nn.Module,
        pictures: Mapping[str, images.Picture],
        writers: Sequence[store.FeatureWriter],
        others: Sequence[store.OtherScales],
    ) -> None:
        """Complete the writers' files, each with what the same entry of others has.

        Raises what `ExtractionRun.extract` raises.
        """
        groups = scale_groups(pictures, others, self.options.scales)
        self.total = len(set().union(*(writer.missing(pictures) for writer in writers)))
        anew = groups.pop((), {})
        for stored, group in groups.items():
            computed = tuple(scale for scale in self.options.scales if scale not in stored)
            completing = [
                CompletingWriter(writer, other, computed)
                for writer, other in zip(writers, others, strict=True)
            ]
            self._log(stored, group, others)
            if computed:
                self._run(module, computed, group, completing)
            else:
                self._copy(group, completing)
            refused = set().union(*(writer.refused for writer in completing))
            self.num_new -= len(refused)
            anew |= {i: picture for i, picture in group.items() if i in refused}
        if anew:
            scale_seconds = self._run(module, self.options.scales, anew, writers)
            self.scale_seconds = {} if groups else scale_seconds

    def _run(
        self,
        module: nn.Module,
        scales: tuple[int, ...],
        pictures: Mapping[str, images.Picture],
        writers: Sequence[store.FeatureWriter | CompletingWriter],
    ) -> dict[int, float]:
        """Compute pictures at these scales; the seconds of each."""
        before = self.num_new + len(self.skipped)

        def progress(label: str, done: int, total: int) -> None:
            self.progress(label, before + done, self.total)

        options = replace(self.options, scales=scales)
        run = ExtractionRun(self.head, options, pictures, writers, progress)
        run.extract(module)
        self.num_new += run.num_new
        self.skipped |= run.loader.skipped
        for stage, seconds in run.times.seconds.items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
        return dict(run.scale_seconds)

    def _copy(
        self, pictures: Mapping[str, images.Picture], writers: Sequence[CompletingWriter]
    ) -> None:
        missing_of = [writer.missing(pictures) for writer in writers]
        for i in pictures:
            for writer, missing in zip(writers, missing_of, strict=True):
                if i in missing:
                    writer.copy(i)
            if any(i in missing for missing in missing_of):
                self.num_new += 1
                done = self.num_new + len(self.skipped)
                self.progress(f"extracting {self.head.network.label}", done, self.total)

    def _log(
        self,
        stored: Sequence[int],
        group: Mapping[str, images.Picture],
        others: Sequence[store.OtherScales],
    ) -> None:
        paths = dict.fromkeys(str(path) for other in others for path in other.paths)
        log.debug(
            "%s: scale %s of %d pictures is not computed again: %s",
            self.head.network.label, ", ".join(map(str, stored)), len(group), ", ".join(paths),
        )  # fmt: skip


def scale_groups(
    pictures: Mapping[str, images.Picture],
    others: Sequence[store.OtherScales],
    scales: Sequence[int],
) -> dict[tuple[int, ...], dict[str, images.Picture]]:
    """Scales that need not be computed -> the pictures, all of them: a resumed run has the same
    batches."""
    groups: dict[tuple[int, ...], dict[str, images.Picture]] = {}
    for i, picture in pictures.items():
        common = set.intersection(*(set(other.scales_of(i)) for other in others))
        stored = tuple(scale for scale in scales if scale in common)
        groups.setdefault(stored, {})[i] = picture
    return groups


def _is_of(row: store.StoredRow, file_bytes: int, picture_sha256: bytes) -> bool:
    """Whether stored vectors are of a picture file of these bytes, as far as that is known."""
    digest = row.picture_sha256
    return row.file_bytes == file_bytes and (not any(digest) or digest == picture_sha256)
