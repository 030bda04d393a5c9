"""MATLAB's .mat files of version 7.3, which are HDF5."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vggfeat.weights.matconvnet.mat_values import (
    DTYPES,
    Budget,
    Damaged,
    Refused,
    text_rows,
    unread,
)

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512)  # MATLAB puts its own header before HDF5's


class Version73:
    """Version 7.3, HDF5: structs are groups, cells are arrays of references, the attribute
    MATLAB_class says the rest; arrays are stored with their axes reversed."""

    def __init__(self, path: Path, budget: Budget):
        self._file, self._budget = h5py.File(path, "r", locking=False), budget

    def __enter__(self) -> "Version73":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, names: Collection[str]) -> dict[str, Any]:
        """Name -> value of those of the named variables that the file has."""
        return {
            name: self._value(self._member(self._file, name), name, depth=1)
            for name in names
            if self._file.id.links.exists(name.encode())
        }

    def names(self) -> list[str]:
        """The names of the file's variables."""
        self._budget.enter(len(self._file), depth=1)
        return [name for name in self._file if not name.startswith("#")]

    def _member(self, group: h5py.Group, name: str) -> h5py.Dataset | h5py.Group:
        # h5py's own `in` and `get` look where a link leads.
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise Refused(f"{name!r} is a link to elsewhere, which is not followed")
        return group[name]

    def _value(self, item: Any, name: str, depth: int) -> Any:
        matrix_class = item.attrs.get("MATLAB_class", b"")
        if isinstance(matrix_class, bytes):
            matrix_class = matrix_class.decode("latin-1")
        classes = {"", "cell", "struct", "char", "logical", *DTYPES}
        if "MATLAB_object_decode" in item.attrs or matrix_class not in classes:
            raise Refused(f"it holds code or objects ({name!r} is a MATLAB {matrix_class})")
        if "MATLAB_sparse" in item.attrs:
            raise Damaged(f"{name!r} is sparse, which no net has")
        if not matrix_class:
            raise Damaged(f"{name!r} is not by MATLAB's rules (it has no MATLAB_class)")
        if isinstance(item, h5py.Group) and matrix_class == "struct":
            return self._struct(item, depth)
        if not isinstance(item, h5py.Dataset):
            raise Damaged(f"{name!r} is a {matrix_class}, and no array")
        if item.attrs.get("MATLAB_empty", 0):
            self._budget.enter(1, depth)
            empty = {"cell": [], "struct": [], "char": ""}
            return empty.get(matrix_class, np.empty((0, 0), DTYPES.get(matrix_class, "bool")))
        if matrix_class == "cell":
            return self._cells(item, name, depth)
        return self._array(item, name, matrix_class)

    def _struct(self, group: h5py.Group, depth: int) -> dict | list[dict]:
        self._budget.enter(len(group), depth)
        fields, several = {}, False
        for name in group:
            item = self._member(group, name)
            # The fields of an array of structs are arrays of references without a class.
            if isinstance(item, h5py.Dataset) and "MATLAB_class" not in item.attrs:
                fields[name], several = self._cells(item, name, depth), True
            else:
                fields[name] = self._value(item, name, depth + 1)
        if not several:
            return fields
        if len({len(v) if isinstance(v, list) else -1 for v in fields.values()}) > 1:
            raise Damaged("an array of structs has fields of several lengths")
        return [
            dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)
        ]

    def _cells(self, dataset: h5py.Dataset, name: str, depth: int) -> list:
        if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
            raise Damaged(f"the cells of {name!r} are no references")
        self._budget.enter(dataset.size, depth)
        self._check(dataset, name)
        references = dataset[()].ravel()  # reversed axes: columns first already
        if not all(references):
            raise Damaged(f"a cell of {name!r} is nowhere")
        return [self._value(self._file[cell], name, depth + 1) for cell in references]

    def _array(self, dataset: h5py.Dataset, name: str, matrix_class: str) -> str | np.ndarray:
        dtype = dataset.dtype
        if dtype.kind not in "iufb":
            raise Damaged(f"{name!r} is of {dtype}, which no net has")
        dims = dataset.shape[::-1]
        if matrix_class == "char":
            if dtype.itemsize > 2 or dtype.kind != "u":
                raise Damaged(f"the text {name!r} is of {dtype}")
            self._check(dataset, name)
            content = dataset[()].astype("<u2").tobytes()  # as stored: columns first
            return text_rows(content.decode("utf-16-le", errors="replace"), dims)
        wanted = DTYPES.get(matrix_class, "bool")
        if dataset.size * dtype.itemsize > self._budget.skip_above:
            self._check_place(dataset, name)
            return unread(wanted, dims)
        self._check(dataset, name)
        return dataset[()].T.astype(wanted, copy=False)

    def _check(self, dataset: h5py.Dataset, name: str) -> None:
        """See before reading that an array lies in this file and is no larger than that allows."""
        self._check_place(dataset, name)
        chunk = math.prod(dataset.chunks or ())  # HDF5 unpacks whole ones
        self._budget.spend(max(dataset.size, chunk) * dataset.dtype.itemsize)

    def _check_place(self, dataset: h5py.Dataset, name: str) -> None:
        if dataset.is_virtual or dataset.external:
            raise Refused(f"{name!r} lies in another file, which is not followed")
