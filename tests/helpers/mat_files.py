"""MATLAB files for tests, written without the reader: by scipy, by h5py, and byte by byte.

A value is a dict (struct), a list (1xN cell), `Structs` (1xN structs of the same fields), a str
(char) or an array of MATLAB's shape.
"""

import itertools
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

NUMBERS = itertools.count()
CLASSES = {"float64": "double", "float32": "single"}  # numpy's name -> MATLAB's, if another


class Structs(list):
    """Dicts that MATLAB has as an array of structs."""


def write(path: Path, variables: dict[str, Any], version: str = "5") -> Path:
    """version is 5, 7 (compressed) or 7.3 (HDF5)."""
    if version == "7.3":
        return write_hdf5(path, variables)
    savemat(path, for_scipy(variables), do_compression=version == "7", oned_as="row")
    return path


def for_scipy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: for_scipy(item) for key, item in value.items()}
    if isinstance(value, Structs):
        array = np.zeros((1, len(value)), [(field, object) for field in value[0]])
        for i, struct in enumerate(value):
            for field, item in struct.items():
                array[0, i][field] = for_scipy(item)
        return array
    if isinstance(value, list):
        cell = np.empty((1, len(value)), dtype=object)
        for i, item in enumerate(value):
            cell[0, i] = for_scipy(item)
        return cell
    return value


def write_hdf5(path: Path, variables: dict[str, Any]) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_group("#refs#")
        for name, value in variables.items():
            put(file, name, value, cells)
    with path.open("r+b") as file:
        text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: a day HDF5 schema 1.00 ."
        file.write(text.ljust(124) + b"\x00\x02IM")
    return path


def put(group: h5py.Group, name: str, value: Any, cells: h5py.Group) -> None:
    """One value by the rules of version 7.3."""
    if isinstance(value, dict):
        item = group.create_group(name)
        for key, part in value.items():
            put(item, key, part, cells)
        matlab_class = "struct"
    elif isinstance(value, Structs):
        item = group.create_group(name)
        for field in value[0]:
            references = np.empty((len(value), 1), dtype=h5py.ref_dtype)
            for i, struct in enumerate(value):
                put(cells, label := f"c{next(NUMBERS)}", struct[field], cells)
                references[i, 0] = cells[label].ref
            item.create_dataset(field, data=references, dtype=h5py.ref_dtype)
        matlab_class = "struct"
    elif isinstance(value, list):
        references = np.empty((len(value), 1), dtype=h5py.ref_dtype)
        for i, part in enumerate(value):
            put(cells, label := f"c{next(NUMBERS)}", part, cells)
            references[i, 0] = cells[label].ref
        item = _dataset(group, name, references, (1, len(value)), h5py.ref_dtype)
        matlab_class = "cell"
    elif isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), np.uint16).reshape(-1, 1)
        item = _dataset(group, name, codes, (0, 0))
        item.attrs["MATLAB_int_decode"] = np.int32(2)
        matlab_class = "char"
    else:
        value = np.atleast_2d(value)
        item = _dataset(group, name, value.T, value.shape)
        matlab_class = CLASSES.get(value.dtype.name, value.dtype.name)
    item.attrs["MATLAB_class"] = np.bytes_(matlab_class)


def _dataset(group, name, stored, shape, dtype=None) -> h5py.Dataset:
    if stored.size:
        return group.create_dataset(name, data=stored, dtype=dtype)
    item = group.create_dataset(name, data=np.array(shape, np.uint64))
    item.attrs["MATLAB_empty"] = np.uint8(1)
    return item


def element(kind: int, content: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(matlab_class: int, dims: tuple[int, ...], *parts: bytes, name="", order="<") -> bytes:
    """A version 5 array: its class and dimensions are taken as they are, right or not."""
    return element(
        14,
        element(6, struct.pack(f"{order}II", matlab_class, 0), order)
        + element(5, struct.pack(f"{order}{len(dims)}i", *dims), order)
        + element(1, name.encode(), order)
        + b"".join(parts),
        order,
    )


def write_bytes(path: Path, *variables: bytes, order: str = "<") -> Path:
    version = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + version + b"".join(variables))
    return path
