"""Parts of a feature file: small feature files beside it, each written by one process alone.

Several processes extract into `FILE.h5.parts/PART-TOKEN.h5`, of which no two write to the same.
Whoever completes FILE.h5 next merges what lies there, also of processes that were killed, and
removes it. A part has the scales that were computed; the others come from where they are stored.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from vggfeat import images
from vggfeat.errors import StoreError
from vggfeat.features import store
from vggfeat.features.changed import changed_since
from vggfeat.features.stored_scales import CompletingWriter
from vggfeat.storage.locks import if_free

log = logging.getLogger(__name__)

ABANDONED_S = 3600.0  # without a change, though what is done is committed every second
SUFFIX = ".parts"  # of the folder, behind the name of the feature file


def folder_of(path: Path) -> Path:
    """The folder with the parts of a feature file."""
    return path.with_name(f"{path.name}{SUFFIX}")


def part_path(path: Path, part: int, token: str) -> Path:
    """Where the process with this token writes a part of a feature file."""
    return folder_of(path) / f"{part:06d}-{token}.h5"


def paths(path: Path, part: int | None = None) -> list[Path]:
    """The parts that lie there of a feature file; those with this number."""
    number = "*" if part is None else f"{part:06d}"
    return sorted(folder_of(path).glob(f"{number}-*.h5"))


def versions(path: Path) -> list[dict[str, str]]:
    """The library versions that wrote to the parts of a feature file, as far as they are sound."""
    found = []
    for part in paths(path):
        with suppress(StoreError):
            found += store.versions(part)
    return found


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
    _remove(writer)
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


def _remove(writer: store.FeatureWriter) -> None:
    """Remove the parts that hold nothing more for anybody, and the folder if it is empty then.

    Those stay that another process is writing to, and those with pictures that the file has no
    rows for: another job's, which asks for other pictures of the same dataset.
    """
    folder = folder_of(writer.path)
    if not folder.is_dir():
        return
    for part in paths(writer.path):
        with suppress(StoreError):
            if not writer.has_rows(store.sound_rows(part).ids):
                continue
        remove(part)
    for name in _begun(folder):
        remove(folder / name)
    with suppress(OSError):  # what is not empty
        folder.rmdir()


def _begun(folder: Path) -> Iterator[str]:
    """Names of parts that a killed process had not made yet, or left a lock of."""
    names = {path.name for path in folder.iterdir()}
    for name in sorted(names):
        if name.endswith(".h5.lock") and name.removesuffix(".lock") not in names:
            yield name.removesuffix(".lock")


def discard(part: Path) -> None:
    """Remove a part that another process does, too, and its folder if it is empty then."""
    remove(part)
    with suppress(OSError):
        part.parent.rmdir()


def remove(part: Path) -> None:
    """Remove a part, with what a killed process left beside it, unless it is being written."""
    lock = part.with_name(f"{part.name}.lock")
    with if_free(part, lock) as free:
        # Where there are no locks, a file stands for one, which nobody removes after a kill.
        if free or time.time() - part.stat().st_mtime > ABANDONED_S:
            part.unlink(missing_ok=True)
            for begun in part.parent.glob(f".{part.name}.*.part"):
                begun.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
