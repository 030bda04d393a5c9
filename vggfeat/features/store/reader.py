"""Reading feature files: which one serves, which vectors are missing, the vectors themselves."""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import h5py
import numpy as np

from vggfeat.errors import OptionError, StoreError
from vggfeat.features.store import sums
from vggfeat.features.store.format import (
    READ_ROWS,
    REMEDY,
    Conditions,
    RowSums,
    conditions_of,
    damaged_rows,
    done_rows,
    has_sums,
    opened,
    rows_of,
)
from vggfeat.plurals import counted
from vggfeat.storage import hdf5
from vggfeat.storage.checksums import parse_json

OWN_NAME = re.compile(r"-[0-9a-f]{12}\.h5$")  # the digest of the conditions


def find(
    folder: Path, stem: str, conditions: Conditions, file_bytes: Mapping[str, int]
) -> tuple[Path, bool]:
    """The path of the feature file for these conditions, and whether it is complete.

    file_bytes maps id -> size of the picture's file. A complete file with more scales is as good,
    since scales are stored apart; otherwise the path is the one named after the conditions,
    whether the file exists or not.
    """
    named = folder / f"{stem}-{conditions.digest()}.h5"
    existing = sorted(folder.glob(f"{glob.escape(stem)}-*.h5"), key=lambda path: path != named)
    for path in existing:
        try:
            with opened(path) as file:
                if _serves(path, file, conditions, file_bytes):
                    return path, True
        except StoreError:
            continue  # damaged: the writer will say so if it is the one that is needed
    return named, False


def batch_pixels(path: Path) -> int | None:
    """Pixels a batch by which a file was begun on a GPU, if it says so. Raises StoreError."""
    with opened(path) as file:
        value = file.attrs.get("batch_pixels")
        return int(value) if isinstance(value, np.integer) and value > 0 else None


def versions(path: Path) -> list[dict[str, str]]:
    """The library versions that wrote to a file. Raises StoreError."""
    with opened(path) as file:
        return parse_json(file.attrs["versions"])


def _serves(
    path: Path, file: h5py.File, conditions: Conditions, file_bytes: Mapping[str, int]
) -> bool:
    stored = conditions_of(file)
    if not set(conditions.scales) <= set(stored.scales):
        return False
    if not stored.is_like(conditions):
        return False
    return not _lacking(path, file, file_bytes)


def _lacking(path: Path, file: h5py.File, file_bytes: Mapping[str, int]) -> set[str]:
    """The ids without a finished and undamaged row of a picture file of that size."""
    rows, done, lengths = rows_of(file), done_rows(file), file["file_bytes"][()]
    there = {
        rows[i]: i
        for i, length in file_bytes.items()
        if i in rows and done[rows[i]] and lengths[rows[i]] == length
    }
    damaged = damaged_rows(path, file, np.array(sorted(there), dtype=np.int64))
    return set(file_bytes) - set(there.values()) | {there[row] for row in damaged}


def is_feature_file(path: Path) -> bool:
    """Whether a file is one of ours: by its checksums, its schema or at least its name.

    Raises OSError.
    """
    if sums.is_sealed(path) or OWN_NAME.search(path.name):
        return True
    try:
        with hdf5.open_file(path) as file:
            return "schema_version" in file.attrs and "descriptors" in file
    except (OSError, RuntimeError, ValueError, LookupError):
        return False


def is_complete(path: Path, conditions: Conditions, file_bytes: Mapping[str, int]) -> bool:
    """Whether a file was made under exactly these conditions and lacks none of the pictures.

    Raises StoreError if it cannot be read.
    """
    if not path.exists():
        return False
    with opened(path) as file:
        return conditions_of(file) == conditions and not _lacking(path, file, file_bytes)


def lacking(path: Path, file_bytes: Mapping[str, int]) -> set[str]:
    """The ids whose descriptor is missing; all of them if there is no file."""
    if not path.exists():
        return set(file_bytes)
    with opened(path) as file:
        return _lacking(path, file, file_bytes)


def contents(path: Path) -> tuple[Conditions, tuple[str, ...], int]:
    """The conditions of a feature file, the ids of its rows, done or not, and the dimensions D.

    Raises StoreError.
    """
    with opened(path) as file:
        return conditions_of(file), tuple(rows_of(file)), file["descriptors"].shape[2]


def read(path: Path | str, ids: Sequence[str], scales: int | Sequence[int]) -> np.ndarray:
    """The descriptors of these ids at these scales, in their order: [len(ids), S, D] float32.

    One scale is S = 1. Raises StoreError if one is missing, not done, damaged or not finite,
    OptionError if ids or scales are no sequences.
    """
    scales = checked(ids, scales)
    result = _read(Path(path), ids, scales)
    _refuse_not_finite(path, result)
    return result


def read_blocks(
    path: Path | str, ids: Sequence[str], scales: int | Sequence[int], rows_at_once: int
) -> Iterator[np.ndarray]:
    """What `read` gives, block by block, so that it need not fit into memory.

    It is fast where the ids have about the order of the file. Raises what `read` raises.
    """
    scales, path = checked(ids, scales), Path(path)
    with opened(path) as file:
        columns = _columns(path, file, scales)
        rows = _done_rows(path, file, ids)
        stored, written = file["descriptors"], RowSums(path, file)
        for start in range(0, len(ids), rows_at_once):
            wanted = rows[start : start + rows_at_once]
            result = np.empty((len(wanted), len(scales), stored.shape[2]), dtype=np.float32)
            for first in np.unique(wanted // READ_ROWS).tolist():
                first *= READ_ROWS
                here = np.flatnonzero((wanted >= first) & (wanted < first + READ_ROWS))
                block = stored[first : first + READ_ROWS]
                _refuse_damaged(path, file, written.damaged(first, block, np.unique(wanted[here])))
                result[here] = block[wanted[here] - first][:, columns]
            _refuse_not_finite(path, result)
            yield result


def _read(path: Path, ids: Sequence[str], scales: Sequence[int]) -> np.ndarray:
    """The descriptors of these ids, finite or not. Raises what `read` raises otherwise."""
    with opened(path) as file:
        columns = _columns(path, file, scales)
        rows = _done_rows(path, file, ids)
        stored, written, damaged = file["descriptors"], RowSums(path, file), []
        result = np.empty((len(ids), len(scales), stored.shape[2]), dtype=np.float32)
        # Whole slices, as HDF5 is slow at picking single rows.
        for start in range(0, len(stored), READ_ROWS):
            here = np.flatnonzero((rows >= start) & (rows < start + READ_ROWS))
            if len(here):
                block = stored[start : start + READ_ROWS]
                damaged += written.damaged(start, block, np.unique(rows[here]))
                result[here] = block[rows[here] - start][:, columns]
        _refuse_damaged(path, file, damaged)
        return result


@dataclass(frozen=True)
class UsableRows:
    """The rows of a feature file that can be used, and the ids of those that cannot.

    Descriptors [n, S, D] float32, as many as ids; missing ones were never extracted to the end,
    damaged ones are not as they were written, and some are not finite.
    """

    ids: list[str]
    scales: tuple[int, ...]
    descriptors: np.ndarray
    missing: list[str]
    damaged: list[str]
    not_finite: list[str]


def read_usable(
    path: Path | str, ids: Sequence[str] | None = None, scales: int | Sequence[int] | None = None
) -> UsableRows:
    """The rows of a file that are done, sound and finite, in the order of ids or of the file.

    Raises StoreError if the file cannot be read or has not these scales; OptionError if ids or
    scales are no sequences.
    """
    path = Path(path)
    with opened(path) as file:
        rows, done = rows_of(file), done_rows(file)
        stored_scales = conditions_of(file).scales
    wanted_ids = list(rows) if ids is None else ids
    scales = checked(wanted_ids, stored_scales if scales is None else scales)
    ready = [i for i in wanted_ids if i in rows and done[rows[i]]]
    with opened(path) as file:
        bad = set(damaged_rows(path, file, np.array(sorted({rows[i] for i in ready}), np.int64)))
    sound = [i for i in ready if rows[i] not in bad]
    descriptors = _read(path, sound, scales)
    finite = np.isfinite(descriptors).all(axis=(1, 2))
    usable = [i for i, is_finite in zip(sound, finite, strict=True) if is_finite]
    kept = set(ready)
    return UsableRows(
        ids=usable,
        scales=tuple(scales),
        descriptors=descriptors if finite.all() else descriptors[finite],
        missing=[i for i in wanted_ids if i not in kept],
        damaged=[i for i in ready if rows[i] in bad],
        not_finite=[i for i, is_finite in zip(sound, finite, strict=True) if not is_finite],
    )


def read_sizes(path: Path | str, ids: Sequence[str]) -> np.ndarray:
    """(width, height) of the pictures of these ids, in pixels, in their order: [len(ids), 2] int32.

    Raises StoreError if the descriptor of one is missing, not done or damaged, OptionError if ids
    are no sequence.
    """
    checked(ids, ())
    path = Path(path)
    with opened(path) as file:
        rows = _done_rows(path, file, ids)
        _refuse_damaged(path, file, damaged_rows(path, file, np.unique(rows)))
        return file["image_size"][()][rows]


def picture_digests(path: Path, ids: Sequence[str]) -> dict[str, bytes]:
    """SHA-256 of the file that each picture was when it was extracted, 32 bytes, where known.

    Raises StoreError if the descriptor of one is missing, not done or damaged.
    """
    with opened(path) as file:
        if not has_sums(file):
            return {}
        rows = _done_rows(path, file, ids)
        _refuse_damaged(path, file, damaged_rows(path, file, np.unique(rows)))
        digests = sums.read_sums(path)["picture_sha256"]
        found = {i: digests[row].tobytes() for i, row in zip(ids, rows, strict=True)}
        return {i: digest for i, digest in found.items() if digest != sums.UNKNOWN}


def known_digests(path: Path) -> tuple[str, dict[str, bytes]]:
    """When the file was made, and the SHA-256 of the pictures of its done rows, where known.

    Raises StoreError.
    """
    with opened(path) as file:
        made = str(file.attrs["created"])
        if not has_sums(file):
            return made, {}
        done, digests = done_rows(file), sums.read_sums(path)["picture_sha256"]
        found = {i: digests[row].tobytes() for i, row in rows_of(file).items() if done[row]}
        return made, {i: digest for i, digest in found.items() if digest != sums.UNKNOWN}


def checked(ids: Sequence[str], scales: int | Sequence[int]) -> tuple[int, ...]:
    """The scales, of which one may stand alone. Raises OptionError at what is no sequence."""
    scales = (scales,) if isinstance(scales, Integral) else scales
    for name, value, example in (("ids", ids, "['a.jpg']"), ("scales", scales, "[256]")):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise OptionError(f"{name} must be a sequence such as {example}; got {value!r}.")
    return tuple(scales)


def _done_rows(path: Path, file: h5py.File, ids: Sequence[str]) -> np.ndarray:
    """The rows of these ids [len(ids)]. Raises StoreError unless all are done."""
    rows, done = rows_of(file), done_rows(file)
    missing = [i for i in ids if i not in rows or not done[rows[i]]]
    if missing:
        raise StoreError(
            f"{path}: {counted(len(missing), 'descriptor is', 'descriptors are')} missing,"
            f" {missing[0]!r} among them. Extract them first."
        )
    return np.array([rows[i] for i in ids], dtype=np.int64)


def _columns(path: Path, file: h5py.File, scales: Sequence[int]) -> list[int]:
    """Where these scales are stored. Raises StoreError if one is not."""
    stored_scales = conditions_of(file).scales
    missing = [scale for scale in scales if scale not in stored_scales]
    if missing:
        raise StoreError(f"{path}: has scales {stored_scales}, not {missing[0]}.")
    return [stored_scales.index(scale) for scale in scales]


def _refuse_not_finite(path: Path | str, descriptors: np.ndarray) -> None:
    if not np.isfinite(descriptors).all():
        raise StoreError(f"{path}: holds descriptors that are not finite. {REMEDY}")


def _refuse_damaged(path: Path, file: h5py.File, damaged: Sequence[int]) -> None:
    if len(damaged):
        raise StoreError(
            f"{path}: {len(damaged)} of its rows are damaged,"
            f" {file['ids'].asstr()[int(damaged[0])]!r} among them. Extract again: only these will"
            " be."
        )
