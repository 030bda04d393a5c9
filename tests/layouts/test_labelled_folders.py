"""The user's class folders, with and without train/ above them, and what lies beside them."""

import os
import unicodedata

import pytest

from vggfeat.errors import DatasetError
from vggfeat.layouts.labelled_folders import read_folders
from vggfeat.layouts.own_pictures import feature_set_of, slug

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_folders_are_classes(tmp_path):
    touch(tmp_path, "dog/b.JPG", "dog/a.png", "cat/1.jpeg")
    pictures = read_folders(tmp_path)
    assert pictures.classes == ("cat", "dog") and pictures.parts is None
    assert pictures.labels == {"cat/1.jpeg": ("cat",), "dog/a.png": ("dog",), "dog/b.JPG": ("dog",)}
    assert list(pictures.labels) == sorted(pictures.labels)
    assert pictures.remarks == [] and pictures.warnings == []


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
def test_a_split_may_lie_above_the_classes(tmp_path, names):
    touch(tmp_path, *(f"{name}/{c}/1.jpg" for name in names for c in ("cat", "dog")))
    pictures = read_folders(tmp_path)
    assert pictures.classes == ("cat", "dog") and len(pictures.labels) == 6
    assert [pictures.parts[f"{name}/dog/1.jpg"] for name in names] == ["train", "val", "test"]
    assert list(pictures.parts) == list(pictures.labels)


def test_train_among_vehicles_is_a_class(tmp_path):
    """As in VOC; with folders in it, too, where neither val/ nor test/ is beside it."""
    touch(tmp_path, "bus/1.jpg", "train/1.jpg", "train/steam/2.jpg")
    pictures = read_folders(tmp_path)
    assert pictures.classes == ("bus", "train") and pictures.parts is None
    assert pictures.labels["train/steam/2.jpg"] == ("train",)


def test_test_pictures_without_labels_are_left_out(tmp_path):
    """As Kaggle gives them."""
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/3.jpg", "test/4.jpg")
    pictures = read_folders(tmp_path)
    assert set(pictures.parts.values()) == {"train"} and len(pictures.labels) == 2
    assert pictures.remarks == ["left out, no pictures of a class: test"]


def test_a_part_without_a_class_of_train_is_left_out_with_a_warning(tmp_path):
    """Tiny ImageNet has val/images/ with a list of labels beside it."""
    touch(tmp_path, "train/cat/images/1.jpg", "train/dog/2.jpg", "val/images/3.jpg", "val/list.txt")
    pictures = read_folders(tmp_path)
    assert pictures.classes == ("cat", "dog") and set(pictures.parts.values()) == {"train"}
    assert pictures.warnings == ["val left out, none of its folders is one of train: images"]


def test_two_folders_of_one_part_are_an_error(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "val/cat/1.jpg", "valid/cat/1.jpg")
    with pytest.raises(DatasetError, match="val/ and valid/ mean the same part"):
        read_folders(tmp_path)


def test_other_folders_beside_a_split_are_left_out(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg", "unlabelled/cat/3.jpg", "README.md")
    pictures = read_folders(tmp_path)
    assert list(pictures.labels) == ["test/cat/2.jpg", "train/cat/1.jpg"]
    assert pictures.remarks == ["left out, no pictures of a class: README.md, unlabelled"]


def test_what_is_no_picture_is_left_out_and_counted(tmp_path):
    touch(tmp_path, "dog/a.jpg", "cat/a.jpg", *(f"dog/{n}.txt" for n in range(7)), "empty/notes.md")
    assert read_folders(tmp_path).remarks == [
        "left out, no pictures of a class: dog/0.txt, dog/1.txt, dog/2.txt, dog/3.txt, dog/4.txt,"
        " ... (8 in all)",
        "left out, folders without a picture: empty",
    ]


def test_hidden_files_and_what_systems_leave_behind_are_not_worth_a_word(tmp_path):
    touch(tmp_path, "dog/a.jpg", "cat/a.jpg", ".git/x.jpg", "dog/._a.jpg", "dog/Thumbs.db",
          ".DS_Store", "__MACOSX/dog/._a.jpg", "cat/desktop.ini", "cat/@eaDir/a.jpg")  # fmt: skip
    pictures = read_folders(tmp_path)
    assert list(pictures.labels) == ["cat/a.jpg", "dog/a.jpg"] and pictures.remarks == []


def test_deeper_folders_belong_to_the_class(tmp_path):
    """As torchvision's ImageFolder has it."""
    touch(tmp_path, "dog/a.jpg", "dog/puppies/young/b.jpg", "cat/c.jpg")
    pictures = read_folders(tmp_path)
    assert pictures.labels["dog/puppies/young/b.jpg"] == ("dog",)
    assert pictures.remarks == [
        "pictures of deeper folders belong to the class above: dog/puppies, dog/puppies/young"
    ]


def test_a_folder_too_high_is_pointed_out(tmp_path):
    """An archive unpacked into a folder of its own name."""
    touch(tmp_path, "pictures/dog/a.jpg", "pictures/cat/c.jpg")
    with pytest.raises(DatasetError, match=f"name {tmp_path / 'pictures'} instead"):
        read_folders(tmp_path)


def test_links_are_followed_and_loops_are_not(tmp_path):
    touch(tmp_path, "root/dog/a.jpg", "root/cat/c.jpg", "elsewhere/deep/b.jpg", "lone.jpg")
    root = tmp_path / "root"
    (root / "dog" / "linked.jpg").symlink_to(tmp_path / "lone.jpg")
    (root / "dog" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "bird").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(root)
    (root / "dog" / "up").symlink_to(root)
    (root / "dog" / "round").symlink_to(root / "dog")
    (root / "cat" / "top").symlink_to("/")
    pictures = read_folders(root)
    assert list(pictures.labels) == [
        "bird/deep/b.jpg", "cat/c.jpg", "dog/a.jpg", "dog/gone.jpg", "dog/linked.jpg"
    ]  # fmt: skip
    assert (
        pictures.remarks[0] == "left out, links that lead back: again, cat/top, dog/round, dog/up"
    )


def test_a_link_that_leads_round_in_circles_is_no_folder(tmp_path):
    touch(tmp_path, "dog/a.jpg", "cat/c.jpg")
    (tmp_path / "cat" / "me.jpg").symlink_to(tmp_path / "cat" / "me.jpg")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    pictures = read_folders(tmp_path)
    assert "cat/me.jpg" in pictures.labels  # whoever reads it reports it
    assert pictures.remarks == ["left out, no pictures of a class: self"]


def test_names_that_differ_in_case_only_are_two_classes_with_a_warning(tmp_path):
    touch(tmp_path, "Dog/a.jpg", "cat/c.jpg")
    (tmp_path / "dog").mkdir()
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system takes them for one folder")
    touch(tmp_path, "dog/b.jpg")
    pictures = read_folders(tmp_path)
    assert pictures.classes == ("Dog", "cat", "dog")
    assert pictures.warnings == [
        "classes that differ in upper and lower case only, taken as 2: Dog, dog"
    ]


def test_one_name_in_two_forms_is_one_class(tmp_path):
    """macOS takes letters and accents apart; files stay as they are called on disk."""
    touch(tmp_path, f"train/{NFC}/1.jpg", f"test/{NFD}/2.jpg", "train/茶/1.jpg", "test/茶/2.jpg")
    pictures = read_folders(tmp_path)
    assert pictures.classes == (NFC, "茶")
    assert pictures.labels[f"test/{NFD}/2.jpg"] == (NFC,)


@pytest.mark.parametrize("name", [b"dog/caf\xe9.jpg", b"caf\xe9/a.jpg", b"dog/caf\xe9/a.jpg"])
def test_a_name_that_is_not_utf8_is_an_error(tmp_path, name):
    touch(tmp_path, os.fsdecode(name))
    with pytest.raises(DatasetError, match=r"caf.*is not UTF-8\. Rename it\."):
        read_folders(tmp_path)


def test_a_folder_without_class_folders_says_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match="no class folders with pictures in them"):
        read_folders(tmp_path)
    touch(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(DatasetError, match="its pictures lie in no class folder. Put them into"):
        read_folders(tmp_path)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("pictures", "pictures"),
        ("My photos (2026)", "My_photos_2026"),
        ("Ängstliche Möwen", "Angstliche_Mowen"),
        (NFD, "cafe"),
        ("..hidden", "hidden"),
    ],
)
def test_a_name_becomes_part_of_file_names(name, expected):
    assert slug(name) == expected


def test_names_that_would_lose_letters_stay_apart():
    names = ["犬の写真", "猫の写真", "straße", "", "x" * 300, "x" * 299]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(s.isascii() and len(s) < 64 for s in slugs) and slugs[0].startswith("pictures-")
    assert slug(NFC) == slug(NFD)


def test_feature_files_know_a_folder_by_where_it_is(tmp_path):
    touch(tmp_path, "a/pictures/x", "b/pictures/x")
    (tmp_path / "link").symlink_to(tmp_path / "a" / "pictures")
    a, b, link = (feature_set_of(tmp_path / p) for p in ("a/pictures", "b/pictures", "link"))
    assert a == link != b and a.startswith("pictures-") and len(a) == len("pictures-") + 12
