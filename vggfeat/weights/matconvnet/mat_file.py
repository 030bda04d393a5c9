"""MATLAB's .mat files of versions 5, 7 and 7.3 -> plain Python.

struct -> dict (an array of structs: list of dicts), cell -> list in MATLAB's order (columns first),
char -> str, numbers -> numpy arrays of MATLAB's shape, index order and class.

Nothing in a file is executed, and what is code or an object is refused. A version 5 or 7 file is
read here rather than by scipy, whose reader loads a variable as a whole, allocates what a header
claims, and ends the process where cells lie a hundred thousand deep. Version 7.3 is HDF5.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vggfeat.errors import WeightsError
from vggfeat.weights.matconvnet.mat_v5 import HEADER_BYTES, Version5
from vggfeat.weights.matconvnet.mat_v73 import HDF5_MAGIC, HDF5_OFFSETS, Version73
from vggfeat.weights.matconvnet.mat_values import Budget, Damaged, Refused


def read(
    path: Path, names: Collection[str], *, skip_above: int | None = None
) -> dict[str, dict | list | str | np.ndarray]:
    """Those of the named variables that the file has; the others are not looked at.

    Arrays of more than skip_above bytes are not read: zeros of their shape, which take no memory,
    stand for them. Raises WeightsError if the file is missing, damaged, no .mat file of these
    versions, or holds code or objects among what is read.
    """
    with _opened(path, skip_above) as file:
        return file.read(names)


def variables(path: Path) -> list[str]:
    """The names of a file's variables. Raises WeightsError."""
    with _opened(path, None) as file:
        return file.names()


@contextmanager
def _opened(path: Path, skip_above: int | None) -> Iterator["Version5 | Version73"]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file. Check the path.")
    with _explained(path), path.open("rb") as file:
        budget = Budget(path.stat().st_size, skip_above)
        header = file.read(HEADER_BYTES)
        for offset in HDF5_OFFSETS:
            file.seek(offset)
            if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
                with Version73(path, budget) as opened:
                    yield opened
                return
        if header[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise Damaged("it does not begin as version 5, 7 or 7.3 does")
        yield Version5(file, budget, "<" if header[126:128] == b"IM" else ">")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except WeightsError:
        raise
    except Refused as error:
        raise WeightsError(
            f"{path}: refused: {_in_one_line(error)}. Nothing in it was run. Save"
            " the net's numbers, texts, structs and cells alone."
        ) from error
    except Damaged as error:
        raise WeightsError(
            f"{path}: cannot be read as a MATLAB file: {_in_one_line(error)}. Get it again, or"
            " save it with -v7."
        ) from error
    except Exception as error:  # damaged files make zlib, numpy and h5py raise almost anything
        reason = f"{type(error).__name__}: {_in_one_line(error)}"
        raise WeightsError(
            f"{path}: cannot be read as a MATLAB file ({reason}). Get it again, or save"
            " it with -v7."
        ) from error


def _in_one_line(error: Exception) -> str:
    """Its text, which may hold names from the file, and those anything."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:300]
