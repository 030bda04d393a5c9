"""Files of features by other programs: every format, and every oddity that such a file may have."""

import hashlib
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from vggfeat.errors import DatasetError, OptionError, StoreError
from vggfeat.features.options import VectorOptions
from vggfeat.features.precomputed.files import array_source, open_features
from vggfeat.progress import no_progress

X = np.array([[3, 4], [0, 2], [5, 12], [0, 0]], dtype=np.float32)
UNIT = np.array([[0.6, 0.8], [0, 1], [5 / 13, 12 / 13], [0, 0]], dtype=np.float32)
IDS = ("a", "b", "c", "d")


def read(source, rows=None):
    rows = np.arange(source.num_rows) if rows is None else np.array(rows)
    return source.vectors(rows, [f"row {row}" for row in rows], no_progress)


def save(path: Path, array) -> Path:
    np.save(path, array)
    return path


# What is read


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "i1", "i8", "u2", ">i4", "f16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_npy_file_of_any_numbers_becomes_vectors_of_length_one(tmp_path, dtype, order):
    path = save(tmp_path / "x.npy", np.asarray(X.astype(dtype), order=order))
    source = open_features(path)
    assert source.ids is None and source.labels is None and source.num_rows == 4
    result = read(source)
    assert result.vectors.dtype == np.float32
    np.testing.assert_allclose(result.vectors, UNIT, rtol=1e-6)
    np.testing.assert_array_equal(np.load(path), X)  # which stays as it was


def test_the_digest_is_that_of_the_rows_whatever_their_byte_order_and_file(tmp_path):
    expected = hashlib.sha256(X[[2, 0]].tobytes()).hexdigest()
    np.savez(tmp_path / "x.npz", features=X)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["features"] = X
    paths = [save(tmp_path / f"{dtype[0]}.npy", X.astype(dtype)) for dtype in ("<f4", ">f4")]
    for path in (*paths, tmp_path / "x.npz", tmp_path / "x.h5"):
        assert read(open_features(path), [2, 0]).sha256 == expected


def test_rows_are_taken_in_the_order_asked_for(tmp_path):
    source = open_features(save(tmp_path / "x.npy", X))
    np.testing.assert_allclose(read(source, [2, 0, 1]).vectors, UNIT[[2, 0, 1]])


@pytest.mark.parametrize("factor", [1e-42, 1e-25, 1e25, 1e37])
def test_squares_that_float32_cannot_hold_do_not_matter(factor):
    scaled = (X.astype(np.float64) * factor).astype(np.float32)
    result = read(array_source("x", scaled)).vectors
    np.testing.assert_allclose(result, UNIT, rtol=2e-2 if factor < 1e-38 else 1e-6)


def test_equal_rows_have_equal_digests_and_zero_ones_none():
    digests = read(array_source("x", np.concatenate([X, X[:2]]))).row_digests
    assert digests[0] == digests[4] != digests[1] == digests[5]
    assert digests[3] == b""


def test_an_array_that_somebody_holds_is_not_written_to():
    array = X.copy()
    read(array_source("x", array))
    np.testing.assert_array_equal(array, X)


def test_ids_beside_a_npy_file_are_those_that_extract_wrote_there(tmp_path):
    path = save(tmp_path / "x.npy", X)
    (tmp_path / "x.csv").write_text('id\na\n"b,1"\nc\n"d ""2"""\n')
    assert open_features(path).ids == ["a", "b,1", "c", 'd "2"']
    for other in ("path,label\na,b\n", "id,label\n", "", "ids\na\n"):  # is none of its lists
        (tmp_path / "x.csv").write_text(other)
        assert open_features(path).ids is None
    (tmp_path / "x.csv").write_text("id\na\n")
    with pytest.raises(DatasetError, match="has 4 vectors, and 1 id"):
        open_features(path)
    for damaged in (b"id\na\xff\nb\nc\nd\n", b'id\na\nb\nc\n"d\n'):
        (tmp_path / "x.csv").write_bytes(damaged)
        with pytest.raises(DatasetError, match="x.csv: the ids of x.npy cannot be read"):
            open_features(path)


def test_npz_brings_ids_and_labels(tmp_path):
    np.savez(tmp_path / "x.npz", features=X, filenames=np.array(IDS), labels=np.array([0, 1, 0, 1]))
    source = open_features(tmp_path / "x.npz")
    assert list(source.ids) == list(IDS) and source.labels == ["0", "1", "0", "1"]


def test_bytes_are_texts_if_they_are_utf8_and_never_become_one_label(tmp_path):
    labels = np.array(["grün".encode(), b"rot"] * 2)
    np.savez(tmp_path / "x.npz", features=X, labels=labels)
    assert open_features(tmp_path / "x.npz").labels == ["grün", "rot"] * 2
    np.savez(tmp_path / "x.npz", features=X, labels=np.array([b"\xff", b"\xfe"] * 2))
    with pytest.raises(DatasetError, match="labels: holds bytes that are no text in UTF-8"):
        open_features(tmp_path / "x.npz")


def test_the_one_array_of_two_dimensions_needs_no_name(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", arr_0=X, targets=np.eye(4, dtype=np.int64))
    np.testing.assert_allclose(read(open_features(tmp_path / "x.npz")).vectors, UNIT)


def test_hdf5_as_thingsvision_writes_it_and_with_ids_of_either_kind(tmp_path):
    with h5py.File(tmp_path / "thingsvision.h5", "w") as file:
        file.create_dataset("features", data=X, maxshape=(None, 2), compression="gzip")
    assert open_features(tmp_path / "thingsvision.h5").ids is None
    for name, ids in (("variable", list(IDS)), ("fixed", np.array(IDS, dtype="S9"))):
        with h5py.File(tmp_path / f"{name}.hdf5", "w") as file:
            file["embeddings"], file["ids"] = X, ids
            file.create_group("meta")["other"] = X
        source = open_features(tmp_path / f"{name}.hdf5")
        assert list(source.ids) == list(IDS)
        np.testing.assert_allclose(read(source).vectors, UNIT)


# What is refused


ODD_ARRAYS = {
    "one dimension": (X[:, 0], r"shape \(4,\)"),
    "three dimensions": (X[:, :, None], r"shape \(4, 2, 1\).*Average over positions"),
    "no dimension": (np.float32(1), r"shape \(\)"),
    "no rows": (X[:0], "nothing in it"),
    "no columns": (X[:, :0], "nothing in it"),
    "complex": (X.astype(complex), "complex128; features are real"),
    "texts": (X.astype(str), "real numbers"),
    "dates": (X.astype("i8").astype("M8[s]"), "real numbers"),
    "records": (np.zeros(3, dtype=[("a", "f4"), ("b", "f4")]), "real numbers"),
}


@pytest.mark.parametrize("kind", ODD_ARRAYS)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_an_array_of_another_kind_is_refused(tmp_path, kind, suffix):
    array, message = ODD_ARRAYS[kind]
    path = tmp_path / f"x{suffix}"
    if suffix == ".h5":
        if array.dtype.kind in "UM":
            pytest.skip("HDF5 has none")
        with h5py.File(path, "w") as file:
            file["features"] = array
    else:
        np.save(path, array) if suffix == ".npy" else np.savez(path, features=array)
    with pytest.raises(DatasetError, match=message):
        open_features(path)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(tmp_path):
    objects = np.array([Trap(), Trap()], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", features=objects, allow_pickle=True)
    np.savez(tmp_path / "ids.npz", features=X, ids=np.array([*IDS], dtype=object))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("objects.npy", "objects.npz", "ids.npz"):
        with pytest.raises(DatasetError, match="Python objects, which could run code"):
            open_features(tmp_path / name)
    for name in ("pickle.npy", "pickle.npz"):
        with pytest.raises(DatasetError, match="cannot be read as a file of NumPy"):
            open_features(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize("damage", ["empty", "short", "header", "text"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, suffix, damage):
    path = tmp_path / f"x{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["features"] = np.ones((500, 8))
    else:
        array = np.ones((500, 8))
        np.save(path, array) if suffix == ".npy" else np.savez(path, features=array)
    content = path.read_bytes()
    path.write_bytes({
        "empty": b"", "short": content[:-1000], "header": content[:40] + b"\xff" * 60,
        "text": b"path,label\n",
    }[damage])  # fmt: skip
    with pytest.raises(DatasetError, match=rf"x\{suffix}: cannot be read as"):
        read(open_features(path))


def test_a_header_that_claims_more_than_there_is_is_refused_before_memory_is_taken(tmp_path):
    path = save(tmp_path / "x.npy", X)
    begin = path.read_bytes()[:10] + b"{'descr': '<f4', 'fortran_order': False, 'shape': "
    for shape in (b"(400000000000, 2), }", b"(-4, 2), }"):
        path.write_bytes(begin + (shape + b" " * 70)[:67] + b"\n" + X.tobytes())
        with pytest.raises(DatasetError, match="cannot be read as a file of NumPy"):
            open_features(path)


def test_several_arrays_that_might_be_meant_are_listed(tmp_path):
    np.savez(tmp_path / "x.npz", clip=X, dino=X)
    message = r"which array holds the features.*'features'.*clip \[4, 2\], dino \[4, 2\]"
    with pytest.raises(DatasetError, match=message):
        open_features(tmp_path / "x.npz")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("a")["features"] = X
    with pytest.raises(DatasetError, match="there are none"):
        open_features(tmp_path / "x.h5")


def test_hdf5_arrays_that_lie_elsewhere_are_not_read(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["features"] = X
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["features"] = h5py.ExternalLink("secret.h5", "/features")
    with pytest.raises(DatasetError, match="there are none"):
        open_features(tmp_path / "link.h5")
    layout = h5py.VirtualLayout((4, 2), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "features", (4, 2))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("features", layout)
    with pytest.raises(DatasetError, match="lies in another file"):
        open_features(tmp_path / "virtual.h5")


def test_a_npz_named_npy_and_a_file_that_is_not_there(tmp_path):
    np.savez(tmp_path / "x.npz", X)
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    assert zipfile.is_zipfile(tmp_path / "x.npy")
    with pytest.raises(DatasetError, match=r"Name it \.npz"):
        open_features(tmp_path / "x.npy")
    with pytest.raises(DatasetError, match="no such file of features"):
        open_features(tmp_path / "other.npy")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_name_the_first_row_and_how_many(tmp_path, value):
    array = X.copy()
    array[[1, 2], 0] = value
    source = open_features(save(tmp_path / "x.npy", array))
    with pytest.raises(DatasetError, match=r"x.npy: 2 of 4 vectors hold NaN.*'row 1' first"):
        read(source)
    np.testing.assert_allclose(read(source, [0, 3]).vectors, UNIT[[0, 3]])  # others may be used


def test_ids_must_be_as_many_as_vectors(tmp_path):
    np.savez(tmp_path / "x.npz", features=X, ids=np.array(["a", "b"]))
    with pytest.raises(DatasetError, match="has 4 vectors, and 2 ids"):
        open_features(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", features=X, labels=np.eye(4))
    with pytest.raises(DatasetError, match="x.npz, labels: has the type float64 and the shape"):
        open_features(tmp_path / "x.npz")


# Feature files of vggfeat


@pytest.fixture
def stored(tmp_path):
    """A feature file of schema version 1, which has no checksums, written by h5py alone."""
    path = tmp_path / "set-net-0123456789ab.h5"
    with h5py.File(path, "w") as file:
        file["ids"] = list(IDS)
        file["descriptors"] = np.stack([X, 2 * X[:, ::-1]], axis=1)
        file["done"] = np.array([True, True, True, False])
        file["image_size"] = np.ones((4, 2), dtype=np.int32)
        file["file_bytes"] = np.ones(4, dtype=np.int64)
        file.attrs.update(
            schema_version=1, dataset="set", network="net", weights="random:0", layer="fc7",
            scales=[256, 384], mirror=False, mean=[0.0] * 3, std=[1.0] * 3, decoder="Pillow",
            exif=False, resize_filter="bilinear", precision="fp32", dtype="float32",
            weights_name="w", created="now", versions="[]",
        )  # fmt: skip
    return path


def test_a_feature_file_is_combined_over_its_scales(stored):
    source = open_features(stored)
    assert source.ids == IDS and source.protocol["scales"] == [256, 384]
    mean = (X + 2 * X[:, ::-1])[:3]
    np.testing.assert_allclose(
        read(source, [0, 1, 2]).vectors, mean / np.linalg.norm(mean, axis=1)[:, None], rtol=1e-6
    )


def test_its_scales_can_be_chosen_and_stacked(stored):
    np.testing.assert_allclose(read(open_features(stored, [256]), [1, 0]).vectors, UNIT[[1, 0]])
    stacked = read(open_features(stored, options=VectorOptions(aggregate="stack")), [0]).vectors
    np.testing.assert_allclose(stacked[0] * np.sqrt(125), [3, 4, 8, 6], rtol=1e-6)


def test_rows_that_are_not_done_are_refused(stored):
    with pytest.raises(StoreError, match="1 descriptor is missing, 'd' among them"):
        read(open_features(stored), [0, 3])
    with pytest.raises(StoreError, match="has scales .*, not 512"):
        read(open_features(stored, [512]), [0])


def test_other_files_have_no_scales_to_combine(tmp_path):
    path = save(tmp_path / "x.npy", X)
    for chosen in ({"scales": [256]}, {"options": VectorOptions()}):
        with pytest.raises(OptionError, match="Leave out --scales"):
            open_features(path, **chosen)
