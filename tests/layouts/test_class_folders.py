"""The scanner of class folders: what counts as a class, what as a picture, what is stray."""

import os

import pytest

from vggfeat.errors import DatasetError
from vggfeat.layouts.class_folders import picture_names, scan_class_folders


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_pictures_are_sorted_paths_by_class(tmp_path):
    touch(tmp_path, "dog/b.jpg", "dog/a.PNG", "cat/10.jpeg", "cat/9.jpg")
    scanned = scan_class_folders(tmp_path)
    assert scanned.pictures == {
        "cat": ["cat/10.jpeg", "cat/9.jpg"],
        "dog": ["dog/a.PNG", "dog/b.jpg"],
    }
    assert list(scanned.pictures) == ["cat", "dog"] and scanned.stray == []


def test_what_is_neither_class_folder_nor_picture_is_stray(tmp_path):
    """As 056.dog/greg and 198.spider/RENAME2 in Caltech-256."""
    touch(tmp_path, "dog/a.jpg", "dog/greg/b.jpg", "dog/c.jpg/d.jpg", "spider/RENAME2", "list.txt")
    os.mkfifo(tmp_path / "spider" / "pipe.jpg")
    scanned = scan_class_folders(tmp_path)
    assert scanned.pictures == {"dog": ["dog/a.jpg"], "spider": []}
    assert scanned.stray == [
        "dog/c.jpg",
        "dog/greg",
        "list.txt",
        "spider/RENAME2",
        "spider/pipe.jpg",
    ]


def test_hidden_files_and_folders_are_neither(tmp_path):
    touch(tmp_path, ".cache/a.jpg", ".DS_Store", "dog/._a.jpg", "dog/.b.png", "dog/a.jpg")
    scanned = scan_class_folders(tmp_path)
    assert scanned.pictures == {"dog": ["dog/a.jpg"]} and scanned.stray == []


def test_a_link_that_leads_nowhere_counts_so_that_its_reader_names_it(tmp_path):
    touch(tmp_path, "dog/a.jpg")
    (tmp_path / "dog" / "b.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "dog" / "c.jpg").symlink_to(tmp_path / "dog" / "a.jpg")
    (tmp_path / "cat").symlink_to(tmp_path / "dog")
    assert picture_names(tmp_path / "dog") == ["a.jpg", "b.jpg", "c.jpg"]
    assert scan_class_folders(tmp_path).pictures["cat"] == ["cat/a.jpg", "cat/b.jpg", "cat/c.jpg"]


def test_an_inner_folder_is_entered_only_when_asked_for(tmp_path):
    """Tiny ImageNet has <class>/images/; in another folder it may be anything."""
    touch(tmp_path, "n01/images/a.JPEG", "n01/n01_boxes.txt", "n02/b.JPEG")
    inner = scan_class_folders(tmp_path, inner="images")
    assert inner.pictures == {"n01": ["n01/images/a.JPEG"], "n02": ["n02/b.JPEG"]}
    outer = scan_class_folders(tmp_path)
    assert outer.pictures == {"n01": [], "n02": ["n02/b.JPEG"]}
    assert outer.stray == ["n01/images", "n01/n01_boxes.txt"]


@pytest.mark.parametrize("path", [b"dog/caf\xe9.jpg", b"caf\xe9/a.jpg"])
def test_a_name_that_is_not_utf8_is_an_error(tmp_path, path):
    touch(tmp_path, os.fsdecode(path))
    with pytest.raises(DatasetError, match=r"caf.*is not UTF-8\. Rename it\."):
        scan_class_folders(tmp_path)
