"""Test pictures that are training pictures under another name."""

import shutil

import numpy as np

from vggfeat.benchmarks.leaks import Leak, contents_of, copies_of, find_leaks
from vggfeat.benchmarks.splits import Split
from vggfeat.dataset_rows import DatasetRow, as_file

SPLITS = (
    Split(train=np.array([0, 1]), validation=np.array([2]), test=np.array([3, 4])),
    Split(train=np.array([3, 4]), validation=np.array([1]), test=np.array([0])),
)


def files(folder, *contents):
    paths = {}
    for number, content in enumerate(contents):
        paths[f"id{number}"] = folder / f"{number}.jpg"
        paths[f"id{number}"].write_bytes(content)
    return paths


def test_different_pictures_do_not_leak_even_at_equal_sizes(tmp_path):
    assert find_leaks(files(tmp_path, b"aa", b"bb", b"cc", b"dd", b"ee"), SPLITS) == []


def test_equal_content_is_found_in_training_and_validation(tmp_path):
    leaks = find_leaks(files(tmp_path, b"aa", b"bb", b"cc", b"cc", b"aa"), SPLITS)
    assert leaks == [Leak(0, "id3", "id2"), Leak(0, "id4", "id0"), Leak(1, "id0", "id4")]


def test_files_count_as_equal_only_if_they_are_equal_throughout(tmp_path):
    """Equal in size, in the middle, in both, in all; long enough to be compared step by step."""
    middle, other = bytes(8192), bytes(8191) + b"x"
    paths = files(
        tmp_path,
        *(b"a" + middle + b"b", b"c" + middle + b"d", b"a" + other + b"b", b"ab" + middle + b"bb"),
        *(b"cc" + other + b"dd", b"a" + middle + b"b", b"short"),
    )
    assert copies_of(paths) == {"id5": "id0"}
    contents = contents_of(paths)
    assert contents["id0"] == contents["id5"] and len(set(contents.values())) == 6


def test_a_link_to_a_training_picture_leaks_too(tmp_path):
    paths = files(tmp_path, b"aa", b"bb", b"cc", b"dd", b"ee")
    paths["id4"].unlink()
    paths["id4"].symlink_to(paths["id1"])
    assert Leak(0, "id4", "id1") in find_leaks(paths, SPLITS)


def test_the_same_file_for_two_examples_leaks(tmp_path):
    paths = files(tmp_path, b"a", b"bb", b"ccc", b"dddd", b"eeeee")
    assert find_leaks(paths | {"id3": paths["id0"]}, SPLITS[:1]) == [Leak(0, "id3", "id0")]


def test_a_picture_of_several_people_leaks_once(tmp_path):
    paths = files(tmp_path, b"aa", b"bb", b"cc", b"aa", b"ee")
    leaks = find_leaks(paths | {"id4": paths["id3"]}, SPLITS[:1])
    assert leaks == [Leak(0, "id3", "id0")]


def test_a_missing_picture_has_no_equal(tmp_path):
    paths = files(tmp_path, b"aa", b"bb", b"cc", b"dd", b"ee")
    shutil.move(paths["id3"], tmp_path / "away")
    assert find_leaks(paths, SPLITS) == []


def test_pictures_that_cannot_be_read_are_not_equal(tmp_path):
    paths = files(tmp_path, b"aa", b"bb", b"cc", b"dd", b"ee")
    for name in ("id0", "id3"):  # of equal size, and neither has content
        paths[name].unlink()
        paths[name].mkdir()
    assert find_leaks(paths, SPLITS) == []


def test_rows_of_an_array_leak_as_files_do():
    pixels = np.zeros((5, 4, 4, 3), dtype=np.uint8)
    pixels[:4] = np.arange(4)[:, None, None, None]
    pixels[4] = pixels[0]
    rows = {
        f"id{n}": DatasetRow(lambda number: as_file(pixels[number]), n, f"row {n}")
        for n in range(5)
    }
    assert find_leaks(rows, SPLITS[:1]) == [Leak(0, "id4", "id0")]
    assert copies_of(rows) == {"id4": "id0"}
