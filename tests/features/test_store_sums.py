"""Checksums of feature files: no flipped bit gives other numbers; only what it hit is redone."""

import hashlib
import shutil

import h5py
import numpy as np
import pytest
from helpers.pictures import write_classes

from vggfeat import Extraction, extract, load_network
from vggfeat.errors import StoreError
from vggfeat.features import store

NARROW = "vgg11:width=0.015625,input_size=32@random:0"


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A feature file of six pictures at two scales, the pictures, and what it was made with."""
    folder = tmp_path_factory.mktemp("sums")
    write_classes(folder / "pictures", {"a": 3, "b": 3})
    root = folder / "pictures"
    pictures = {p.relative_to(root).as_posix(): p for p in sorted(root.rglob("*.jpg"))}
    options = Extraction(scales=(32, 40), device="cpu", precision="fp32")

    def run(into):
        return extract("x", pictures, load_network(NARROW), options, folder=into)

    return run(folder / "features").path, pictures, run


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_no_flipped_bit_gives_other_numbers_in_silence(extracted, tmp_path):
    """Every 97th bit, which meets each part of the file and each place in its bytes."""
    path, pictures, _ = extracted
    ids, damaged = list(pictures), tmp_path / path.name
    whole, sizes = store.read(path, ids, (32, 40)), store.read_sizes(path, ids)
    refused = 0
    for bit in range(0, 8 * path.stat().st_size, 97):
        shutil.copy(path, damaged)
        flip(damaged, bit)
        try:
            assert np.array_equal(store.read(damaged, ids, (32, 40)), whole)
            assert np.array_equal(store.read_sizes(damaged, ids), sizes)
        except StoreError:
            refused += 1
    assert refused > 100


def test_only_damaged_rows_are_extracted_again(extracted, tmp_path, caplog):
    path, pictures, run = extracted
    damaged, ids = tmp_path / path.name, list(pictures)
    shutil.copy(path, damaged)
    with h5py.File(damaged, "r+") as file:
        file["descriptors"][4, 1, 7] += 1
    assert store.inspect(damaged).damaged == [ids[4]]
    with pytest.raises(StoreError, match=f"1 of its rows are damaged, '{ids[4]}' among them"):
        store.read(damaged, ids, (32,))
    again = run(tmp_path)
    assert (again.path, again.num_new) == (damaged, 1)
    assert "1 of its rows are damaged" in caplog.text
    assert np.array_equal(store.read(damaged, ids, (32, 40)), store.read(path, ids, (32, 40)))
    assert store.inspect(damaged).damaged == []


def test_conditions_changed_by_a_flip_are_refused(extracted, tmp_path):
    path, pictures, _ = extracted
    damaged = tmp_path / path.name
    shutil.copy(path, damaged)
    with h5py.File(damaged, "r+") as file:
        file.attrs["mirror"] = not file.attrs["mirror"]
    with pytest.raises(StoreError, match="what surrounds its rows is not as it was written"):
        store.read(damaged, list(pictures), (32,))


def test_a_name_that_a_flip_made_another_pictures_is_refused(extracted, tmp_path):
    path, pictures, _ = extracted
    damaged, (first, second, *_) = tmp_path / path.name, pictures
    content = path.read_bytes()
    assert content.count(second.encode()) == 1
    damaged.write_bytes(content.replace(second.encode(), first.encode()))
    with pytest.raises(StoreError, match="what surrounds its rows is not as it was written"):
        store.read(damaged, [first, second], (32,))


def test_the_digest_of_each_picture_is_kept(extracted):
    """So that a picture that changed, but not in size, can be told."""
    path, pictures, _ = extracted
    content = path.read_bytes()
    for row, picture in enumerate(pictures.values()):
        begin = 128 + 36 * row + 4
        assert content[begin : begin + 32] == hashlib.sha256(picture.read_bytes()).digest()


def test_a_file_of_version_1_is_read_and_gets_checksums_when_it_is_extended(extracted, tmp_path):
    path, pictures, run = extracted
    old, ids = tmp_path / path.name, list(pictures)
    with h5py.File(path) as new, h5py.File(old, "w") as file:
        for name, value in new.attrs.items():
            file.attrs[name] = value
        file.attrs["schema_version"] = 1
        for name in new:
            file[name] = new[name][:5]
    assert store.inspect(old).damaged is None
    assert np.array_equal(store.read(old, ids[:5], (32,)), store.read(path, ids[:5], (32,)))
    assert run(tmp_path).num_new == 1
    assert store.inspect(old).damaged == []
    assert np.array_equal(store.read(old, ids, (32, 40)), store.read(path, ids, (32, 40)))
