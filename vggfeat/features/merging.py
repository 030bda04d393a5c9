"""Parts of a feature file -> rows of it: which of them can be used, and how they get there.

A part has the scales that were computed; the others come from where they are stored.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from vggfeat import images
from vggfeat.errors import StoreError
from vggfeat.features import store
from vggfeat.features.changed import changed_since
from vggfeat.features.part_files import paths, remove_held
from vggfeat.features.stored_scales import CompletingWriter

log = logging.getLogger(__name__)


def usable(
    part: Path,
    others: store.OtherScales,
    file_bytes: Mapping[str, int],
    changeable: Mapping[str, images.Picture],
) -> tuple[store.SoundRows, np.ndarray]:
    """The sound rows of a part, and which of them [n] of int can go into the feature file.

    Those of pictures whose files are of these bytes and, where they may have changed, hold the
    same; at the scales of others.conditions, or those that others lacks. Raises StoreError.
    """
    rows = store.sound_rows(part)
    wanted, computed = others.conditions, rows.conditions.scales
    lacked = set(wanted.scales) - set(computed)
    if not rows.conditions.is_like(wanted) or not set(computed) <= set(wanted.scales):
        return rows, np.array([], dtype=np.int64)
    here = {i: changeable[i] for i in rows.ids if i in changeable}
    changed = set(changed_since(part, here)) if here else set()
    fitting = [
        row
        for row, (i, length) in enumerate(zip(rows.ids, rows.file_bytes, strict=True))
        if file_bytes.get(i) == length and i not in changed
        and lacked.issubset(others.scales_of(i) if lacked else ())
    ]  # fmt: skip
    return rows, np.array(fitting, dtype=np.int64)


def ids_in(
    some_paths: Iterable[Path],
    others: store.OtherScales,
    file_bytes: Mapping[str, int],
    changeable: Mapping[str, images.Picture],
) -> set[str]:
    """The pictures that need not be extracted, as these parts have them."""
    found: set[str] = set()
    for part in some_paths:
        with suppress(StoreError):
            rows, fitting = usable(part, others, file_bytes, changeable)
            found.update(rows.ids[row] for row in fitting)
    return found


def merge(
    writer: store.FeatureWriter,
    others: store.OtherScales,
    file_bytes: Mapping[str, int],
    changeable: Mapping[str, images.Picture],
) -> set[str]:
    """Bring the rows of the parts that a feature file lacks into it; their ids.

    others are open, and what the file could take from elsewhere. Then the parts are removed; it
    may be done again after a kill. Raises OSError at a full disk.
    """
    merged: set[str] = set()
    for part in paths(writer.path):
        try:
            rows, fitting = usable(part, others, file_bytes, changeable)
        except StoreError as error:
            if part.exists():  # no other job has merged it meanwhile
                log.warning("%s Its pictures are extracted again.", error)
            continue
        if rows.damaged:
            log.warning(
                "%s: %d of its rows are damaged, %r among them; they are extracted again",
                part, len(rows.damaged), rows.damaged[0],
            )  # fmt: skip
        missing = writer.missing(rows.ids[row] for row in fitting)
        lacking = [row for row in fitting if rows.ids[row] in missing]
        if lacking:
            merged |= _write(writer, others, rows, lacking)
    if merged:
        writer.commit()
    remove_held(writer.path, writer.has_rows)  # it took what it could use of these
    return merged


def _write(
    writer: store.FeatureWriter,
    others: store.OtherScales,
    rows: store.SoundRows,
    chosen: list[int],
) -> set[str]:
    """Store some of the rows, completed with the scales that are stored elsewhere; their ids."""
    is_whole = rows.conditions.scales == others.conditions.scales
    target = writer if is_whole else CompletingWriter(writer, others, rows.conditions.scales)
    ids = [rows.ids[row] for row in chosen]
    target.write(
        ids,
        rows.vectors[chosen],
        rows.image_sizes[chosen].tolist(),
        rows.file_bytes[chosen].tolist(),
        [rows.picture_sha256[row] for row in chosen],
    )
    return set(ids) if is_whole else set(ids) - target.refused
