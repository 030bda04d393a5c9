"""Feature files read back by others: DataFrames, arrays, .npy with .csv, Parquet, bare h5py."""

import csv
import logging
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.disks import files_of_at_most

import vggfeat
from vggfeat.errors import OptionError, StoreError
from vggfeat.features import store

SCALES, DIM = (32, 48), 3
IDS = ["a.jpg", "größe/b.jpg", "c,d.jpg"]
VALUES = np.arange(18, dtype=np.float32).reshape(3, 2, 3) + 0.5
CONDITIONS = store.Conditions(
    dataset="pictures", network="vgg11", weights="random:0", layer="fc7", scales=SCALES,
    mirror=True, mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0), decoder="Pillow", exif=False,
    resize_filter="bilinear", precision="fp32", dtype="float32",
)  # fmt: skip


def write(path, values=VALUES, num_done=3):
    """A feature file with a row for each id, the first of which are done."""
    with store.FeatureWriter(
        path, CONDITIONS, dim=DIM, file_bytes=dict.fromkeys(IDS, 9), weights_name="random:0",
        versions={"torch": "1"},
    ) as file:  # fmt: skip
        file.write(IDS[:num_done], values[:num_done], [(8, 6)] * num_done, [9] * num_done)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "anywhere" / "my features.h5")


def damage(path, value):
    """Change one stored value, as a failing disk would."""
    content, stored = path.read_bytes(), np.float32(value).tobytes()
    assert content.count(stored) == 1
    path.write_bytes(content.replace(stored, np.float32(99).tobytes()))


def test_a_frame_has_a_row_a_picture_and_a_column_for_each_scale_and_channel(path):
    frame = vggfeat.load_features(path)
    assert frame.index.name == "id" and frame.index.tolist() == IDS
    assert frame.columns.names == ["scale", "channel"]
    np.testing.assert_array_equal(frame.to_numpy(), VALUES.reshape(3, 6))
    np.testing.assert_array_equal(frame[48], VALUES[:, 1])
    assert frame.loc["größe/b.jpg", (32, 2)] == VALUES[1, 0, 2]


def test_ids_and_an_array_of_some_pictures_and_scales(path):
    ids, array = vggfeat.load_features(str(path), as_frame=False)
    assert ids == IDS and array.dtype == np.float32
    np.testing.assert_array_equal(array, VALUES)
    ids, array = vggfeat.load_features(path, ids=IDS[::-2], scales=[48], as_frame=False)
    assert ids == IDS[::-2]
    np.testing.assert_array_equal(array, VALUES[::-2, 1:])


def test_a_csv_file_that_is_no_list_of_ids_is_never_overwritten(path, tmp_path):
    """Beside pictures.npy the ids would be in pictures.csv, which may be the user's labels."""
    labels = tmp_path / "pictures.csv"
    for content in ("path,label\na.jpg,dog\n", "id,label\na.jpg,dog\n", ""):
        labels.write_text(content)
        with pytest.raises(OptionError, match="where another file lies"):
            vggfeat.export_features(path, tmp_path / "pictures.npy")
        assert labels.read_text() == content and not (tmp_path / "pictures.npy").exists()
    labels.unlink()
    for _ in range(2):  # its list is replaced
        vggfeat.export_features(path, tmp_path / "pictures.npy")


def test_three_lines_of_h5py_read_the_same(path):
    with h5py.File(path) as file:
        done = file["done"][:]
        ids, descriptors = file["ids"].asstr()[done], file["descriptors"][done]
    assert ids.tolist() == IDS
    np.testing.assert_array_equal(descriptors, VALUES)


def test_rows_that_cannot_be_used_are_left_out_and_named(tmp_path, caplog):
    values = VALUES.copy()
    values[0, 1, 1] = np.nan
    path = write(tmp_path / "f.h5", values, num_done=3)
    damage(path, values[1, 0, 0])
    ids, array = vggfeat.load_features(path, as_frame=False)
    assert ids == [IDS[2]]
    np.testing.assert_array_equal(array, VALUES[2:])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "1 not as written ('größe/b.jpg'), 1 NaN or infinite ('a.jpg')" in record.message
    assert len(vggfeat.load_features(write(tmp_path / "g.h5", num_done=2))) == 2
    assert "1 not extracted ('c,d.jpg')" in caplog.text


def test_ids_that_are_not_in_the_file_are_named(path, caplog):
    ids, _ = vggfeat.load_features(path, ids=["a.jpg", "z.jpg"], as_frame=False)
    assert ids == ["a.jpg"] and "1 not extracted ('z.jpg')" in caplog.text
    with pytest.raises(StoreError, match="no row can be used: 1 not extracted"):
        vggfeat.load_features(path, ids=["z.jpg"])


def test_what_is_no_feature_file_or_has_not_the_scale(path, tmp_path):
    with pytest.raises(StoreError, match="has scales .*not 64"):
        vggfeat.load_features(path, scales=[64])
    with pytest.raises(OptionError, match="ids must be a sequence"):
        vggfeat.load_features(path, ids="a.jpg")
    with pytest.raises(StoreError, match="none.h5: no such feature file"):
        vggfeat.load_features(tmp_path / "none.h5")
    with pytest.raises(StoreError, match="is a folder, no feature file. vggfeat.open_features"):
        vggfeat.load_features(tmp_path)
    (tmp_path / "odd.h5").write_bytes(b"odd")
    with pytest.raises(StoreError, match="odd.h5"):
        vggfeat.load_features(tmp_path / "odd.h5")


def test_npy_has_the_rows_of_the_csv_beside_it(path, tmp_path):
    written = vggfeat.export_features(path, tmp_path / "x.npy")
    assert written == [tmp_path / "x.npy", tmp_path / "x.csv"]
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy", allow_pickle=False), VALUES)
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["id"], *([i] for i in IDS)]
    vggfeat.export_features(path, tmp_path / "y.npy", scales=[32])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), VALUES[:, 0])
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_names_the_array(path, tmp_path):
    array = tmp_path / "x.npy"
    with files_of_at_most(130), pytest.raises(OSError, match=f"File too large: '{array}'"):
        vggfeat.export_features(path, array)
    assert not list(tmp_path.glob("*x.*"))


def test_other_suffixes_are_refused(path, tmp_path):
    with pytest.raises(OptionError, match="x.pkl: features are exported to .npy or .parquet"):
        vggfeat.export_features(path, tmp_path / "x.pkl")


def test_parquet_without_pyarrow_says_what_to_install(path, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OptionError, match="pip install pyarrow"):
        vggfeat.export_features(path, tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


def test_parquet_has_a_column_for_the_id_and_each_scale_and_channel(path, tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    assert vggfeat.export_features(path, tmp_path / "x.parquet") == [tmp_path / "x.parquet"]
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert frame.columns.tolist() == ["id", *(f"{q}_{d}" for q in SCALES for d in range(DIM))]
    assert frame["id"].tolist() == IDS
    np.testing.assert_array_equal(frame.iloc[:, 1:], VALUES.reshape(3, 6))


def test_the_lines_in_the_documents_run_word_for_word(tmp_path, monkeypatch):
    write(tmp_path / "features.h5")
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    with_h5py, with_vggfeat = re.findall("```python\n(.*?)```", text, re.S)
    names = {"h5py": h5py, "vggfeat": vggfeat}
    assert len(with_h5py.splitlines()) == 5
    exec(with_h5py, names)
    np.testing.assert_array_equal(names["descriptors"], VALUES)
    exec(with_vggfeat, names)
    np.testing.assert_array_equal(names["array"], VALUES)
    assert names["frame"].index.tolist() == names["ids"] == IDS
    assert (tmp_path / "features.csv").is_file()


def test_an_earlier_export_is_replaced_and_an_array_never_has_the_ids_of_another(path, tmp_path):
    vggfeat.export_features(path, tmp_path / "x.npy", ids=IDS[:1])
    (tmp_path / "x.npy").unlink()
    (tmp_path / "x.npy").mkdir()  # so that the array cannot be written
    with pytest.raises(OSError):
        vggfeat.export_features(path, tmp_path / "x.npy")
    assert not (tmp_path / "x.csv").exists()
    (tmp_path / "x.npy").rmdir()
    vggfeat.export_features(path, tmp_path / "x.npy")
    assert (tmp_path / "x.csv").read_text().splitlines()[1:] == [
        "a.jpg",
        "größe/b.jpg",
        '"c,d.jpg"',
    ]
