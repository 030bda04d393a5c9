"""The score of every test example: HDF5, schema version 1, beside the record that it belongs to.

    /ids      [n]     utf-8: the examples, those of the first split first
    /splits   [n]     int32: the number of the split, from 0
    /labels   [n, K]  int8: 1, -1, or 0 for difficult instances only; one 1 a row of single labels
    /scores   [n, K]  float32: decision values or posteriors, the larger the likelier
    /classes  [K]     utf-8

A class that could not be trained has scores of NaN, an example that could not be read of minus
infinity; pictures of ILSVRC that could not be read are left out. The file appears whole under its
name before the record does, which holds its SHA-256.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np

from vggfeat.errors import RecordError
from vggfeat.storage import hdf5
from vggfeat.storage.files import new_file, sha256_of

SCHEMA_VERSION = 1
REMEDY = "Move its record away and measure again."  # as bench finds what has a record made already
TEXTS = ("ids", "classes")
ARRAYS = {"splits": np.int32, "labels": np.int8, "scores": np.float32}
COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The test examples of all splits with their labels and scores; n examples, K classes."""

    ids: Sequence[str]  # [n]
    splits: np.ndarray  # [n]
    labels: np.ndarray  # [n, K]
    scores: np.ndarray  # [n, K]
    classes: Sequence[str]  # [K]


def scores_path(record_path: Path) -> Path:
    """Where the scores of the record at this path lie."""
    return record_path.with_suffix(".scores.h5")


def write_scores(path: Path, scores: Scores) -> str:
    """Write scores, whole or not at all, and return the file's SHA-256. Raises OSError.

    The file is made in memory first: a disk that runs full while HDF5 writes ends the process.
    """
    content = BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        for name in TEXTS:
            texts = list(getattr(scores, name))
            file.create_dataset(name, data=texts, dtype=h5py.string_dtype("utf-8"))
        for name, dtype in ARRAYS.items():
            values = np.asarray(getattr(scores, name), dtype=dtype)
            file.create_dataset(name, data=values, **COMPRESSION)
    with new_file(path) as file:
        file.write(content.getbuffer())
    return hashlib.sha256(content.getbuffer()).hexdigest()


def read_scores(path: Path | str, sha256: str | None = None) -> Scores:
    """The scores of a file. Raises RecordError if it is missing, damaged or not the record's.

    sha256 is the digest that the record holds; None leaves it unchecked.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such file of scores. {REMEDY}")
    if sha256 is not None and sha256_of(path) != sha256:
        raise RecordError(
            f"{path}: not the scores of its record, whose digest is another. {REMEDY}"
        )
    try:
        with hdf5.open_file(path) as file:
            hdf5.check_parts(file, (*TEXTS, *ARRAYS))
            version = file.attrs.get("schema_version")
            if version != SCHEMA_VERSION:
                raise ValueError(f"schema version {version}, not {SCHEMA_VERSION}")
            texts = {name: tuple(file[name].asstr()[()]) for name in TEXTS}
            arrays = {name: file[name][()].astype(dtype) for name, dtype in ARRAYS.items()}
    except (
        OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, MemoryError,
    ) as error:  # fmt: skip
        reason = str(error).partition("\n")[0]
        raise RecordError(f"{path}: not a whole file of scores ({reason}).") from error
    scores = Scores(**texts, **arrays)
    table = (len(scores.ids), len(scores.classes))
    arrays = (scores.labels.shape, scores.scores.shape, scores.splits.shape)
    if arrays != (table, table, table[:1]) or not table[1]:
        raise RecordError(f"{path}: not a whole file of scores (its parts do not fit each other).")
    return scores
