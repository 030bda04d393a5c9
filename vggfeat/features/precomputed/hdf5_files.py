"""Features in HDF5 files of other programs: the arrays at the root of the file, and their texts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vggfeat.errors import DatasetError
from vggfeat.features.precomputed.numpy_files import Header
from vggfeat.storage import hdf5

MALFORMED = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError)


def hdf5_headers(path: Path) -> dict[str, Header]:
    """Name -> header of each array at the root of an HDF5 file. Raises DatasetError."""
    try:
        with hdf5.open_file(path) as file:
            arrays = hdf5.arrays_at_root(file)
            return {name: Header(arrays[name].shape, arrays[name].dtype) for name in arrays}
    except MALFORMED as error:
        raise _unreadable(path, error) from error


def hdf5_reader(path: Path) -> Callable[[str], np.ndarray]:
    """A function that reads an array of an HDF5 file by its name, and raises DatasetError.

    Texts become an array of str.
    """

    def read(name: str) -> np.ndarray:
        try:
            with hdf5.open_file(path) as file:
                hdf5.check_parts(file, [name])
                if hdf5.has_texts(file[name]):
                    return np.array(file[name].asstr()[()], dtype=str)
                return file[name][()]
        except MALFORMED as error:
            raise _unreadable(path, error) from error
        except MemoryError as error:
            raise DatasetError(f"{path}: does not fit into memory.") from error

    return read


def _unreadable(path: Path, error: Exception) -> DatasetError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DatasetError(f"{path}: cannot be read as an HDF5 file ({reason}). Save it again.")
