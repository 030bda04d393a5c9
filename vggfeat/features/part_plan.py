"""How what an extraction lacks is divided among processes: into parts of whole batches.

The batches are those of one process, so that the vectors are the same to the bit.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vggfeat.features import part_files, store
from vggfeat.features.batches import BATCH_PIXELS
from vggfeat.features.device import device_for
from vggfeat.features.incomplete import Incomplete
from vggfeat.features.merging import ids_in
from vggfeat.features.picture_loader import PictureLoader
from vggfeat.features.pipeline import batches_of
from vggfeat.features.stage_times import StageTimes
from vggfeat.features.stored_scales import scale_groups
from vggfeat.features.views import is_square

PART_PICTURES = 256  # at most, but for a batch of more
PARTS_EACH = 8  # of each process, at least, so that all end at about the same time


@dataclass(frozen=True)
class Part:
    """Batches that one process extracts: rows of the pictures, and the scales to compute."""

    scales: tuple[int, ...]
    batches: list[list[int]]

    @property
    def num_pictures(self) -> int:
        """The number of its pictures."""
        return sum(map(len, self.batches))


@dataclass(frozen=True)
class Plan:
    """How what an extraction lacks is divided among processes."""

    batch_pixels: int | None
    parts: list[Part] = field(default_factory=list)
    skipped: Mapping[str, str] = field(default_factory=dict)  # id -> why its header is unreadable


def planned(lack: Incomplete, num_processes: int) -> Plan:
    """Parts of the batches in which one process would extract what is missing.

    Raises PictureError at a header that cannot be read unless it may be skipped, StoreError.
    """
    joint = lack.joint_head()
    batch_pixels = lack.batch_pixels(joint, joint.module)
    joint.batch_pixels = batch_pixels or BATCH_PIXELS
    others = lack.other_scales()
    missing = _missing(lack, others)
    rows = {i: row for row, i in enumerate(lack.pictures)}
    groups = scale_groups(lack.pictures, list(others.values()), lack.options.scales)
    anew = {stored: groups.pop(stored) for stored in [()] if stored in groups}
    size = max(1, min(PART_PICTURES, -(-len(missing) // (PARTS_EACH * num_processes))))
    found, skipped = [], {}
    for stored, pictures in (groups | anew).items():  # in the order of one process
        computed = tuple(scale for scale in lack.options.scales if scale not in stored)
        if not computed or missing.isdisjoint(pictures):
            continue
        options = replace(lack.options, scales=computed)
        square = is_square(lack.network)
        device = device_for(options.resolved_device)
        loader = PictureLoader(pictures, options, StageTimes(), device, square=square)
        loader.skipped_level = logging.DEBUG  # the extraction that follows says it
        plan = batches_of(loader.sizes(), joint, options)
        batches = [kept for ids in plan if (kept := [rows[i] for i in ids if i in missing])]
        found += [Part(computed, some) for some in _cut(batches, size)]
        skipped |= loader.skipped
    return Plan(batch_pixels, found, skipped)


def _missing(lack: Incomplete, others: Mapping[Path, store.OtherScales]) -> set[str]:
    """The pictures that some file lacks, and whose vectors no part of it has."""
    missing: set[str] = set()
    for path in lack.files:
        of_file = store.lacking(path, lack.file_bytes)
        of_file -= ids_in(part_files.paths(path), others[path], lack.file_bytes, lack.changeable)
        missing |= of_file
    return missing


def _cut(batches: Sequence[list[int]], size: int) -> Iterator[list[list[int]]]:
    """Batches one after the other, as many together as make at most `size` pictures, or one."""
    some: list[list[int]] = []
    for batch in batches:
        if some and sum(map(len, some)) + len(batch) > size:
            yield some
            some = []
        some.append(batch)
    if some:
        yield some
