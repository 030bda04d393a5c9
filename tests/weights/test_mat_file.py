"""Reading .mat files: all three kinds give the same values; code, links and false claims do not."""

import struct
import zlib

import h5py
import numpy as np
import pytest
from helpers import mat_files as matlab_files
from helpers.mat_files import element, matrix
from scipy.io import savemat
from scipy.io.matlab import MatlabObject

from vggfeat.errors import WeightsError
from vggfeat.weights.matconvnet import mat_file, mat_values

VERSIONS = ["5", "7", "7.3"]
VALUES = {
    "text": "conv1_1",
    "foreign": "Bär, 熊",
    "nothing": "",
    "number": np.array([[2.5]]),
    "single": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "whole": np.array([[1, 2], [3, 4]], np.uint8),
    "empty": np.empty((0, 0)),
    "cells": ["a", [np.array([[1.0, 2.0]]), "b"], {"x": "y"}],
    "no_cells": [],
    "struct": {"a": {"b": "c"}},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_values_are_read_as_they_were_written(tmp_path, version):
    path = matlab_files.write(tmp_path / "a.mat", VALUES, version)
    assert set(mat_file.variables(path)) == set(VALUES)
    found = mat_file.read(path, VALUES)
    for name in ("single", "whole"):
        assert found[name].dtype == VALUES[name].dtype
    np.testing.assert_equal(found, VALUES)


@pytest.mark.parametrize("version", VERSIONS)
def test_only_what_is_asked_for_is_read(tmp_path, version):
    path = matlab_files.write(tmp_path / "a.mat", VALUES, version)
    assert mat_file.read(path, ["text", "not there"]) == {"text": "conv1_1"}


@pytest.mark.parametrize("version", VERSIONS)
def test_large_arrays_can_be_left_where_they_are(tmp_path, version):
    values = {"a": [np.ones((50, 40)), np.ones((2, 3)), "text"]}
    path = matlab_files.write(tmp_path / "a.mat", values, version)
    large, small, text = mat_file.read(path, ["a"], skip_above=100)["a"]
    assert large.shape == (50, 40) and not large.any() and large.strides == (0, 0)
    assert small.all() and text == "text"


def test_an_array_of_structs_is_a_list_of_them(tmp_path):
    structs = np.zeros((1, 2), dtype=[("type", object), ("pad", object)])
    structs["type"], structs["pad"] = [["conv", "relu"]], [[1.0, 2.0]]
    savemat(tmp_path / "a.mat", {"layers": structs})
    first, second = mat_file.read(tmp_path / "a.mat", ["layers"])["layers"]
    assert (first["type"], second["type"]) == ("conv", "relu") and second["pad"] == [[2.0]]

    path = matlab_files.write(tmp_path / "b.mat", {"layers": {"type": ["conv", "relu"]}}, "7.3")
    with h5py.File(path, "r+") as file:  # an array's fields are cells without a class
        del file["layers/type"].attrs["MATLAB_class"]
    assert mat_file.read(path, ["layers"]) == {"layers": [{"type": "conv"}, {"type": "relu"}]}


def test_numbers_of_the_other_byte_order_and_in_fewer_bytes(tmp_path):
    """MATLAB stores doubles that are small whole numbers as bytes."""
    values = struct.pack(">2h", 258, -3)
    path = matlab_files.write_bytes(
        tmp_path / "a.mat", matrix(6, (2, 1), element(3, values, ">"), name="x", order=">"),
        order=">",
    )  # fmt: skip
    found = mat_file.read(path, ["x"])["x"]
    assert found.dtype == np.float64 and found.tolist() == [[258], [-3]]


FUNCTION = matrix(16, (1, 1), matrix(1, (0, 0)))
OPAQUE = element(14, element(6, struct.pack("<II", 17, 0)) + element(1, b"x") + element(1, b"MCOS"))
FIELDS = element(5, struct.pack("<i", 8)) + element(1, b"forward\0")


@pytest.mark.parametrize(
    "variable",
    [
        matrix(16, (1, 1), matrix(1, (0, 0)), name="layers"),
        matrix(1, (1, 1), FUNCTION, name="layers"),
        matrix(2, (1, 1), FIELDS, FUNCTION, name="layers"),
        matrix(1, (1, 1), OPAQUE, name="layers"),
        matrix(1, (1, 1), matrix(3, (1, 1), element(1, b"inline")), name="layers"),
    ],
    ids=["handle", "handle in cell", "handle in struct", "opaque", "object"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_code_and_objects_are_refused(tmp_path, variable, compressed):
    if compressed:
        packed = zlib.compress(variable)
        variable = struct.pack("<II", 15, len(packed)) + packed
    path = matlab_files.write_bytes(tmp_path / "a.mat", variable)
    with pytest.raises(WeightsError, match="a.mat: refused: it holds code or objects.*run"):
        mat_file.read(path, ["layers"])


def test_an_object_that_scipy_writes_is_refused_and_left_alone_elsewhere(tmp_path):
    fields = np.zeros((1, 1), dtype=[("a", object)])
    path = tmp_path / "a.mat"
    savemat(path, {"info": MatlabObject(fields, "inline"), "layers": "text"})
    with pytest.raises(WeightsError, match="holds code or objects"):
        mat_file.read(path, ["info"])
    assert mat_file.read(path, ["layers"]) == {"layers": "text"}


@pytest.mark.parametrize("matlab_class", ["function_handle", "string", "containers.Map"])
@pytest.mark.parametrize("place", ["layers", "layers/inside"])
def test_code_and_objects_in_hdf5_are_refused(tmp_path, matlab_class, place):
    path = matlab_files.write(tmp_path / "a.mat", {"layers": {"inside": np.ones((1, 6))}}, "7.3")
    with h5py.File(path, "r+") as file:
        file[place].attrs["MATLAB_class"] = np.bytes_(matlab_class)
        if matlab_class == "function_handle":
            file[place].attrs["MATLAB_object_decode"] = np.int32(1)
    with pytest.raises(WeightsError, match="a.mat: refused: it holds code or objects"):
        mat_file.read(path, ["layers"])


def nested(depth: int) -> bytes:
    """A cell in a cell in a cell, made from the outside."""
    inner = matrix(1, (1, 1), name="")[8:]
    sizes = [(depth - i) * (len(inner) + 8) - 8 for i in range(depth)]
    return b"".join(struct.pack("<II", 14, size) + inner for size in sizes)


HUGE = 2**31 - 1


@pytest.mark.parametrize(
    "variable, message",
    [
        (matrix(1, (1, 1), nested(50), name="x"), "more than 16 deep"),
        (matrix(1, (1, 1), nested(100_000), name="x"), "more than 16 deep"),
        (matrix(1, (HUGE, HUGE), name="x"), "more than 100000 values"),
        (matrix(2, (HUGE, HUGE), FIELDS, name="x"), "more than 100000 values"),
        (matrix(2, (HUGE, 1), FIELDS[:16] + element(1, b""), name="x"), "more than 100000 values"),
        (matrix(6, (HUGE, HUGE), element(9, b"\0" * 8), name="x"), "has 8 bytes"),
        (matrix(6, (HUGE, 1), struct.pack("<II", 9, HUGE), name="x"), "larger than what it is"),
        (matrix(6, (-1, 1), element(9, b""), name="x"), "the shape"),
        (matrix(6, (1, 1), element(14, b""), name="x"), "unknown kind 14"),
        (matrix(5, (1, 1), element(9, b""), name="x"), "sparse"),
        (matrix(99, (1, 1), element(9, b""), name="x"), "unknown"),
        (matrix(2, (1, 1), element(5, b"\0\0\0\0"), element(1, b""), name="x"), "fields are"),
        (struct.pack("<II", 14, HUGE), "ends too early"),
        (struct.pack("<II", 99, 0), "unknown kind 99"),
        (struct.pack("<II", 15, 8) + b"nonsense", "error"),
        (matrix(6, (1, 1), element(9, b"\0" * 8), name="x") * 2, "twice"),
    ],
)
def test_false_claims_are_seen_before_they_cost_anything(tmp_path, variable, message):
    path = matlab_files.write_bytes(tmp_path / "a.mat", variable)
    with pytest.raises(WeightsError, match=f"a.mat: cannot be read as a MATLAB file.*{message}"):
        mat_file.read(path, ["x"])


def test_a_small_file_cannot_unpack_to_a_large_array(tmp_path, monkeypatch):
    monkeypatch.setattr(mat_values, "MAX_UNPACKED_BYTES", 2**16)
    for version in ("5", "7"):
        path = matlab_files.write(tmp_path / f"{version}.mat", {"x": np.zeros((300, 300))}, version)
        if version == "5":
            assert mat_file.read(path, ["x"])["x"].shape == (300, 300)
            continue
        with pytest.raises(WeightsError, match="claims more than its [0-9]+ bytes can mean"):
            mat_file.read(path, ["x"])


def broken_hdf5(path, change):
    matlab_files.write(path, {"x": ["a", np.ones((2, 2))], "y": {"z": np.ones((3, 3))}}, "7.3")
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replaced(name, make):
    def change(file):
        del file[name]
        make(file)
        if name in file and isinstance(file.get(name, getlink=True), h5py.HardLink):
            file[name].attrs["MATLAB_class"] = np.bytes_("double")

    return change


def linked(link):
    def change(file):
        del file["y/z"]
        file["y/z"] = link

    return change


def into_a_circle(file):
    file["x"][1, 0] = file["x"].ref


def without_end(file):
    """Ten cells of a hundred references each to the next: 100 ** 10 values."""
    for i in range(10):
        cell = file.create_dataset(f"#refs#/n{i}", (100, 1), dtype=h5py.ref_dtype)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
    for i in range(9):
        file[f"#refs#/n{i}"][...] = file[f"#refs#/n{i + 1}"].ref
    file["#refs#/n9"][...] = file["x"][0, 0]
    file["x"][1, 0] = file["#refs#/n0"].ref


def test_cells_that_multiply_come_to_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(mat_values, "MAX_NODES", 2000)
    path = broken_hdf5(tmp_path / "a.mat", without_end)
    with pytest.raises(WeightsError, match="more than 2000 values"):
        mat_file.read(path, ["x"])


def virtual(file):
    source = h5py.VirtualSource("elsewhere.h5", "data", shape=(3, 3))
    plan = h5py.VirtualLayout(shape=(3, 3), dtype="f8")
    plan[:] = source
    file.create_virtual_dataset("y/z", plan)


@pytest.mark.parametrize(
    "change, message",
    [
        (linked(h5py.SoftLink("/x")), "refused: 'z' is a link"),
        (linked(h5py.ExternalLink("/etc/passwd", "/x")), "refused: 'z' is a link"),
        (replaced("y", lambda f: f.update(y=h5py.ExternalLink("a", "/b"))), "refused: 'y' is a l"),
        (replaced("y/z", virtual), "refused: 'z' lies in another file"),
        (
            replaced(
                "y/z",
                lambda f: f.create_dataset("y/z", (3, 3), "f8", external=[("/etc/passwd", 0, 72)]),
            ),
            "refused: 'z' lies in another file",
        ),
        (into_a_circle, "more than 16 deep"),
        (
            replaced("y/z", lambda f: f.create_dataset("y/z", (10**6, 10**6), "f8")),
            "claims more than",
        ),
        (
            replaced(
                "y/z",
                lambda f: f.create_dataset(
                    "y/z", (1, 1), "f8", chunks=(20000, 20000), maxshape=(None, None)
                ),
            ),
            "claims more than",
        ),
        (replaced("y/z", lambda f: f.create_dataset("y/z", (2,), "S4")), "'z' is of"),
        (lambda f: f["y/z"].attrs.pop("MATLAB_class"), "references"),
        (lambda f: f["y"].attrs.pop("MATLAB_class"), "not by MATLAB's rules"),
        (lambda f: f["x"].attrs.pop("MATLAB_class"), "not by MATLAB's rules"),
        (lambda f: f["y"].attrs.update(MATLAB_sparse=np.uint64(3)), "sparse"),
        (lambda f: f["x"].__setitem__((0, 0), h5py.Reference()), "is nowhere"),
    ],
)
def test_hdf5_that_leads_elsewhere_or_nowhere_is_refused(tmp_path, change, message):
    path = broken_hdf5(tmp_path / "a.mat", change)
    with pytest.raises(WeightsError, match=f"a.mat: .*{message}") as error:
        mat_file.read(path, ["x", "y"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04" + b"\0" * 200, b"\0" * 400, b"# Created by Octave\n" * 20,
     b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", b"\x89HDF\r\n\x1a\n" + b"\0" * 99],
    ids=["empty", "text", "zip", "zeros", "octave's text", "no HDF5", "HDF5's magic alone"],
)  # fmt: skip
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    for head in (mat_file.variables, lambda path: mat_file.read(path, ["layers"])):
        with pytest.raises(WeightsError, match="a.mat: cannot be read as a MATLAB file"):
            head(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(WeightsError, match="no such weights file"):
        mat_file.read(tmp_path / "a.mat", ["layers"])


@pytest.mark.parametrize("version", VERSIONS)
def test_truncated_files_are_refused_wherever_they_end(tmp_path, version):
    values = {"layers": [{"w": np.random.default_rng(0).random((20, 30))}, "text"]}
    whole = matlab_files.write(tmp_path / "whole.mat", values, version).read_bytes()
    path = tmp_path / "cut.mat"
    step = max(1, len(whole) // 150)
    for keep in [*range(129, len(whole), step), len(whole) - 1]:
        path.write_bytes(whole[:keep])
        with pytest.raises(WeightsError, match="cut.mat"):
            mat_file.read(path, ["layers"])


@pytest.mark.parametrize("version", VERSIONS)
def test_changed_bytes_never_get_further_than_one_line(tmp_path, version):
    """Whatever a damaged file does, it is read, or refused by name."""
    values = {"layers": [{"w": np.ones((4, 4)), "name": "conv"}] * 3}
    whole = matlab_files.write(tmp_path / "whole.mat", values, version).read_bytes()
    random, path = np.random.default_rng(0), tmp_path / "odd.mat"
    for _ in range(150):
        odd = bytearray(whole)
        for place in random.integers(0, len(whole), 4):
            odd[place] = random.integers(256)
        path.write_bytes(odd)
        try:
            mat_file.read(path, ["layers"])
        except WeightsError as error:
            assert "odd.mat" in str(error) and "\n" not in str(error)
