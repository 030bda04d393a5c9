"""Folders of labelled pictures in the layouts that people have them in."""

import shutil

import numpy as np
import pytest
from helpers.pictures import write_picture
from PIL import Image
from scipy.io import savemat

from vggfeat.errors import DatasetError
from vggfeat.images import decode
from vggfeat.layouts import ilsvrc_devkit
from vggfeat.layouts.imagenet import open_pictures, open_validation

# wnids in the order of ILSVRC2012_ID, which is not that of their names; the last is no leaf.
SYNSETS = [("n03", 0), ("n01", 0), ("n02", 0), ("n00", 3)]


def write_train(root, names=("n01", "n02", "n03"), count=3):
    for name in names:
        for i in range(count):
            write_picture(root / "train" / name / f"{name}_{i}.JPEG")


def write_flat(root, ids=(1, 3, 2, 2, 1), devkit=True):
    for i in range(1, 6):
        write_picture(root / "val" / f"ILSVRC2012_val_0000000{i}.JPEG")
    if devkit:
        folder = root / "ILSVRC2012_devkit_t12" / "data"
        folder.mkdir(parents=True)
        lines = "".join(f"{i}\n" for i in ids)
        (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)
        kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)]
        rows = [(n, wnid, children) for n, (wnid, children) in enumerate(SYNSETS, start=1)]
        savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kinds)[:, None]})


def test_class_folders_for_both_sets(tmp_path):
    write_train(tmp_path)
    write_picture(tmp_path / "val/n03/b.JPEG")
    write_picture(tmp_path / "val/n01/a.png")
    (tmp_path / "val/n01/list.txt").write_text("")
    pictures = open_pictures(tmp_path)
    assert pictures.classes == ("n01", "n02", "n03")
    assert pictures.train[:4] == [
        ("train/n01/n01_0.JPEG", 0), ("train/n01/n01_1.JPEG", 0), ("train/n01/n01_2.JPEG", 0),
        ("train/n02/n02_0.JPEG", 1),
    ]  # fmt: skip
    assert pictures.validation == [("val/n01/a.png", 0), ("val/n03/b.JPEG", 2)]
    assert pictures.notes == ("left out of val, being no pictures of a class: n01/list.txt",)


@pytest.mark.parametrize("suffix", ["webp", "bmp", "gif", "tif", "ppm", "jfif"])
def test_pictures_of_every_format_that_is_read_count(tmp_path, suffix):
    """A class of .webp alone was no class, without a word."""
    for name in ("ant", "bee"):
        for number in range(2):
            picture = write_picture(tmp_path / "made.png", seed=number)
            path = tmp_path / name / f"{number}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            Image.open(picture).save(path, format="JPEG" if suffix == "jfif" else None)
    pictures = open_validation(tmp_path)
    assert pictures.classes == ("ant", "bee") and len(pictures.validation) == 4
    assert decode(tmp_path / pictures.validation[0][0]).size == (48, 36)


def test_a_folder_inside_a_class_folder_hides_nothing(tmp_path):
    """An empty `images` dropped the class; one with a picture hid the others."""
    for path in ("ant/1.png", "ant/2.png", "bee/1.png", "bee/images/2.png", "cat/1.png"):
        write_picture(tmp_path / path)
    (tmp_path / "ant" / "images").mkdir()
    (tmp_path / "dog").mkdir()
    for number in range(7):
        (tmp_path / "cat" / f"{number}.heic").touch()
    pictures = open_validation(tmp_path)
    assert [path for path, _ in pictures.validation] == [
        "ant/1.png", "ant/2.png", "bee/1.png", "bee/images/2.png", "cat/1.png",
    ]  # fmt: skip
    named = "cat/0.heic, cat/1.heic, cat/2.heic, cat/3.heic, cat/4.heic, ... (7 in all)"
    assert pictures.notes == (
        f"left out of {tmp_path.name}, being no pictures of a class: {named}",
        f"folders of {tmp_path.name} without a picture, which are no classes: dog",
    )


def test_ilsvrcs_flat_validation_set_takes_its_classes_from_the_devkit(tmp_path):
    write_train(tmp_path)
    write_flat(tmp_path)
    names = [pictures for pictures in open_pictures(tmp_path).validation]
    classes = [("n01", "n02", "n03")[number] for _, number in names]
    assert classes == ["n03", "n02", "n01", "n01", "n03"]
    assert names[0][0] == "val/ILSVRC2012_val_00000001.JPEG"


def test_a_line_of_the_ground_truth_is_of_the_picture_with_its_number(tmp_path):
    """Not of the picture with the n-th name: without zeros val_10 comes before val_2."""
    write_flat(tmp_path, ids=(1, 3, 2, 2, 1, 3, 3, 3, 3, 2, 2))
    for i in range(1, 12):
        write_picture(tmp_path / "val" / f"ILSVRC2012_val_{i}.JPEG")
        (tmp_path / "val" / f"ILSVRC2012_val_0000000{i}.JPEG").unlink(missing_ok=True)
    tested = open_validation(tmp_path)
    of_number = {path: tested.classes[number] for path, number in tested.validation}
    assert of_number["val/ILSVRC2012_val_2.JPEG"] == "n02"  # line 2 is 3, the ID of n02
    assert of_number["val/ILSVRC2012_val_10.JPEG"] == "n01"  # line 10 is 2, the ID of n01


def test_the_class_behind_the_number_does_not_matter(tmp_path):
    write_flat(tmp_path)
    first = tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG"
    first.rename(first.with_name("ILSVRC2012_val_00000001_n01751748.JPEG"))
    assert open_validation(tmp_path).validation[0][0].endswith("00000001_n01751748.JPEG")


@pytest.mark.parametrize(
    "name, message",
    [
        ("holiday.JPEG", "holiday.JPEG: its name has no number"),
        ("ILSVRC2012_val_00000004_copy.JPEG", "no picture of its 5 has the number 3"),
        ("ILSVRC2012_val_000000033.JPEG", "000000033.JPEG: its name has no number"),
        ("ILSVRC2012_val_00000007.JPEG", "no picture of its 5 has the number 3"),
    ],
)
def test_pictures_without_the_number_of_a_line_are_refused(tmp_path, name, message):
    write_flat(tmp_path)
    third = tmp_path / "val" / "ILSVRC2012_val_00000003.JPEG"
    third.rename(third.with_name(name))
    with pytest.raises(DatasetError, match=message):
        open_validation(tmp_path)


def test_validation_pictures_of_other_classes_are_left_out_and_told(tmp_path):
    write_train(tmp_path, names=("n01", "n03"))
    write_flat(tmp_path)
    pictures = open_pictures(tmp_path)
    assert [number for _, number in pictures.validation] == [1, 0, 0, 1]
    assert pictures.notes == ("1 validation pictures of other classes left out",)
    sorted_too = tmp_path / "sorted"
    write_train(sorted_too, names=("n01", "n03"))
    for name in ("n01", "n02"):
        write_picture(sorted_too / "val" / name / "a.JPEG")
    assert open_pictures(sorted_too).validation == [("val/n01/a.JPEG", 0)]


@pytest.mark.parametrize(
    "damage, message",
    [
        (dict(devkit=False), "has no class folders. Put the devkit's folder at"),
        (dict(ids=(1, 2, 3)), "holds 5 pictures, .* has 3 lines"),
        (dict(ids=(1, 2, 3, 9, 1)), "'9' is no ILSVRC2012_ID"),
        (dict(ids=(1, 2, 3, 4, 1)), "'4' is no ILSVRC2012_ID"),
    ],
)
def test_a_flat_validation_set_that_does_not_fit_is_told(tmp_path, damage, message):
    write_train(tmp_path)
    write_flat(tmp_path, **damage)
    with pytest.raises(DatasetError, match=message):
        open_pictures(tmp_path)


def test_a_devkit_that_is_none_is_told(tmp_path):
    write_train(tmp_path)
    write_flat(tmp_path)
    (tmp_path / "ILSVRC2012_devkit_t12/data/meta.mat").write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match="meta.mat: not the devkit's table of synsets"):
        open_pictures(tmp_path)


def write_synsets(folder, rows, compressed=False):
    """The devkit's meta.mat with rows of ILSVRC2012_ID, WNID and number of children."""
    kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)]
    synsets = {"synsets": np.array(rows, dtype=kinds)[:, None]}
    savemat(folder / "ILSVRC2012_devkit_t12/data/meta.mat", synsets, do_compression=compressed)


@pytest.mark.parametrize(
    "rows, message",
    [
        ([(1, "n03", 0), (2, "n03", 0), (3, "n02", 0)], "a WNID of their own each"),
        ([(1, "n03", 0), (1, "n01", 0), (3, "n02", 0)], "do not have the ILSVRC2012_IDs 1 to 3"),
        ([(1, "n03", 0), (2, "n01", 0), (4, "n02", 0)], "not the devkit's table of synsets"),
        ([(1, "n03", 0), (2, "n01", 2), (3, "n02", 0)], "1 to 3, leaves first"),
        ([(1, "n03", 0), (2, "n01", -1), (3, "n02", 0)], "-1.0 is no number of a synset"),
        ([(1, "n03", 0), (2, "m01", 0), (3, "n02", 0)], "'m01' is no WNID, such as n01440764"),
        ([(1, "n03", 0), (2, 7.5, 0), (3, "n02", 0)], "is no WNID"),
        ([(1, "n03", 0), (2, "n01", 0), (2.5, "n02", 0)], "2.5 is no number of a synset"),
    ],
)
def test_synsets_that_cannot_be_ilsvrcs_are_refused(tmp_path, rows, message):
    write_flat(tmp_path)
    write_synsets(tmp_path, rows)
    with pytest.raises(DatasetError, match=message):
        open_validation(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_table_of_synsets_with_any_byte_inverted_is_refused_or_read_right(tmp_path, compressed):
    """scipy's reader ended the process at some of them, or gave a class less."""
    write_flat(tmp_path)
    rows = [(n, wnid, children) for n, (wnid, children) in enumerate(SYNSETS, start=1)]
    write_synsets(tmp_path, rows, compressed)
    path = tmp_path / "ILSVRC2012_devkit_t12/data/meta.mat"
    content, refused = path.read_bytes(), 0
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 255
        path.write_bytes(damaged)
        try:
            assert ilsvrc_devkit.classes_of(tmp_path) == ("n01", "n02", "n03"), position
        except DatasetError:
            refused += 1
    assert refused > len(content) / 2  # the rest is the header's text, padding, or never read


def test_a_devkit_that_was_unpacked_into_a_folder_of_its_name(tmp_path):
    write_flat(tmp_path)
    wanted = open_validation(tmp_path).validation
    folder = tmp_path / "ILSVRC2012_devkit_t12"
    folder.rename(tmp_path / "inner")
    folder.mkdir()
    (tmp_path / "inner").rename(folder / "ILSVRC2012_devkit_t12")
    assert open_validation(tmp_path).validation == wanted


def test_a_byte_order_mark_before_the_ground_truth(tmp_path):
    write_flat(tmp_path)
    wanted = open_validation(tmp_path).validation
    path = tmp_path / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert open_validation(tmp_path).validation == wanted


KAGGLE = """ImageId,PredictionString
ILSVRC2012_val_00000004,n01 85 1 499 272 n01 3 4 5 6
ILSVRC2012_val_00000001,n03 131 0 499 254
ILSVRC2012_val_00000002,n02 93 0 239 498
ILSVRC2012_val_00000003,n01 1 2 3 4
ILSVRC2012_val_00000005,n03 1 2 3 4
"""


def write_kaggle(folder, text=KAGGLE, mapping=None):
    """As Kaggle's archive has it: the lists lie beside ILSVRC/Data/CLS-LOC."""
    root = folder / "ILSVRC" / "Data" / "CLS-LOC"
    write_flat(root, devkit=False)
    (folder / "LOC_val_solution.csv").write_text(text)
    if mapping:
        (folder / "LOC_synset_mapping.txt").write_text(mapping)
    return root


@pytest.mark.parametrize("above", [True, False])
def test_kaggles_list_says_the_classes_of_validation_pictures(tmp_path, above):
    root = write_kaggle(tmp_path)
    if not above:
        (tmp_path / "LOC_val_solution.csv").rename(root / "LOC_val_solution.csv")
    tested = open_validation(root)
    assert tested.classes == ("n01", "n02", "n03")
    assert [number for _, number in tested.validation] == [2, 1, 0, 0, 2]
    write_train(root)
    assert open_pictures(root).validation == tested.validation


def test_kaggles_list_of_classes_has_those_without_a_picture(tmp_path):
    mapping = "n00 tench, Tinca tinca\nn01 goldfish\nn02 shark\nn03 ray\n"
    tested = open_validation(write_kaggle(tmp_path, mapping=mapping))
    assert tested.classes == ("n00", "n01", "n02", "n03")
    assert [number for _, number in tested.validation] == [3, 2, 1, 1, 3]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("ImageId,", "Id,", "does not begin with 'ImageId,PredictionString'"),
        (",n02 93", ",93", "line 4: .* is not a picture and boxes of one class"),
        ("n02 93 0", "n02 93", "line 4: .* is not a picture and boxes of one class"),
        (" n01 3 4 5 6", " n02 3 4 5 6", "line 2: .* is not a picture and boxes of one class"),
        ("00000002", "00000001", "line 4: lists 'ILSVRC2012_val_00000001' twice"),
        ("00000002", "00000009", "lacks 1 of the 5 pictures .* ILSVRC2012_val_00000002.JPEG"),
        ("ILSVRC2012_val_00000002,", '"x', "not a CSV file"),
    ],
)
def test_a_list_of_kaggles_that_does_not_fit_is_told(tmp_path, old, new, message):
    with pytest.raises(DatasetError, match=f"LOC_val_solution.csv.*{message}"):
        open_validation(write_kaggle(tmp_path, KAGGLE.replace(old, new)))


@pytest.mark.parametrize("inner", ["", "images/"])
@pytest.mark.parametrize("leftover", [True, False])
def test_tiny_imagenet_sorted_into_class_folders_with_its_list_left_behind(
    tmp_path, inner, leftover
):
    write_train(tmp_path, names=("n01", "n02"))
    write_picture(tmp_path / f"val/n02/{inner}val_0.JPEG")
    write_picture(tmp_path / f"val/n01/{inner}val_1.JPEG")
    if leftover:
        (tmp_path / "val/images").mkdir()
    path = tmp_path / "val/val_annotations.txt"
    path.write_text("val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n")
    wanted = [(f"val/n01/{inner}val_1.JPEG", 0), (f"val/n02/{inner}val_0.JPEG", 1)]
    assert open_pictures(tmp_path).validation == wanted
    shutil.rmtree(tmp_path / "train")
    assert open_validation(tmp_path).validation == wanted
    path.write_text("val_0.JPEG\tn01\t0\t0\t9\t9\n")
    with pytest.raises(DatasetError, match="lies in the folder of 'n02', and .* says 'n01'"):
        open_validation(tmp_path)


def test_tiny_imagenet_sorted_in_part_is_told(tmp_path):
    write_train(tmp_path, names=("n01", "n02"))
    write_picture(tmp_path / "val/n02/val_0.JPEG")
    write_picture(tmp_path / "val/images/val_1.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text("val_0.JPEG\tn02\t0\nval_1.JPEG\tn01\t0\n")
    with pytest.raises(DatasetError, match="lists 'val_0.JPEG', which is not in"):
        open_pictures(tmp_path)


def test_tiny_imagenets_layout(tmp_path):
    for name in ("n01", "n02"):
        for i in range(2):
            write_picture(tmp_path / "train" / name / "images" / f"{name}_{i}.JPEG")
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text("")
    write_picture(tmp_path / "val/images/val_0.JPEG")
    lines = "val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn77\t0\t0\t9\t9\n"
    (tmp_path / "val/val_annotations.txt").write_text(lines)
    pictures = open_pictures(tmp_path)
    assert pictures.train[0] == ("train/n01/images/n01_0.JPEG", 0)
    assert pictures.validation == [("val/images/val_0.JPEG", 1)]


@pytest.mark.parametrize("line", ["../../secret.JPEG\tn01", "val_0.JPEG", "a/b.JPEG\tn01\t0"])
def test_tiny_imagenets_list_cannot_lead_out_of_the_folder(tmp_path, line):
    write_train(tmp_path)
    (tmp_path / "val").mkdir()
    (tmp_path / "val/val_annotations.txt").write_text(line)
    with pytest.raises(DatasetError, match="is not a file name, a class and a box"):
        open_pictures(tmp_path)


def test_tiny_imagenets_list_must_be_of_pictures_that_are_there(tmp_path):
    write_train(tmp_path)
    write_picture(tmp_path / "val/images/val_0.JPEG")
    path = tmp_path / "val/val_annotations.txt"
    path.write_text("val_0.JPEG\tn01\nval_1.JPEG\tn02\n")
    with pytest.raises(DatasetError, match="lists 'val_1.JPEG', which is not in"):
        open_pictures(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="val_annotations.txt: cannot be read"):
        open_pictures(tmp_path)


def test_of_a_folder_of_class_folders_every_tenth_picture_validates(tmp_path):
    for name, count in (("ant", 40), ("bee", 5)):
        for i in range(count):
            write_picture(tmp_path / name / f"{i}.png", size=(8, 8))
    pictures = open_pictures(tmp_path)
    counts = [[n for _, n in part].count(k) for part in (pictures.train, pictures.validation)
              for k in (0, 1)]  # fmt: skip
    assert counts == [36, 4, 4, 1]
    assert not set(pictures.train) & set(pictures.validation)
    assert pictures.notes == ("5 of 45 pictures held out to validate",)
    # Which ones does not depend on what else is there.
    write_picture(tmp_path / "cat" / "1.png", size=(8, 8))
    write_picture(tmp_path / "cat" / "2.png", size=(8, 8))
    assert set(pictures.validation) < set(open_pictures(tmp_path).validation)


def test_without_a_validation_set_training_pictures_are_held_out(tmp_path):
    write_train(tmp_path)
    pictures = open_pictures(tmp_path)
    assert len(pictures.train) == 6 and len(pictures.validation) == 3
    assert pictures.notes[0] == "there is no folder val"


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda root: root.rmdir(), "no such folder. Name the folder of pictures with --data"),
        (lambda root: (root.rmdir(), root.write_text("")), "is a file. Name a folder"),
        (lambda root: None, "needs at least two class folders with pictures"),
        (lambda root: write_picture(root / "train/a/1.jpg"), "train: needs at least two class"),
        (lambda root: (write_train(root), (root / "val/n01").mkdir(parents=True)), "val: needs at"),
        (lambda root: (write_train(root), (root / "train/n01/\udcff.jpg").touch()), "not UTF-8"),
        (lambda root: (write_train(root), write_picture(root / "train/n\udcff/a.jpg")),
         "'n.*udcff' is not UTF-8. Rename it"),
        (lambda root: (write_train(root), write_picture(root / "val/n98/a.jpg"),
                       write_picture(root / "val/n99/a.jpg")), "no picture of the 3 classes"),
        (lambda root: [write_picture(root / f"{n}/a.jpg") for n in "ab"], "has one picture"),
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_is_told(tmp_path, write, message):
    root = tmp_path / "pictures"
    root.mkdir()
    write(root)
    with pytest.raises(DatasetError, match=message):
        open_pictures(root)


def test_the_digest_is_that_of_names_classes_and_sizes(tmp_path):
    write_train(tmp_path)
    before = open_pictures(tmp_path).digest
    assert open_pictures(tmp_path).digest == before
    path = tmp_path / "train/n01/n01_0.JPEG"
    path.write_bytes(path.read_bytes() + b" ")
    assert open_pictures(tmp_path).digest != before


# What nets are tested on.


def test_where_there_is_a_training_set_nets_are_tested_on_what_it_validates_on(tmp_path):
    write_train(tmp_path, names=("n01", "n03"))
    write_flat(tmp_path)
    trained, tested = open_pictures(tmp_path), open_validation(tmp_path)
    assert tested.validation == trained.validation and tested.classes == trained.classes
    assert not tested.train
    # Without val, pictures were held out.
    other = tmp_path / "other"
    write_train(other)
    assert open_validation(other).validation == open_pictures(other).validation


def test_a_validation_set_in_class_folders_is_enough_to_test_on(tmp_path):
    for name in ("n02", "n01", "n03"):
        write_picture(tmp_path / "val" / name / "a.JPEG")
    tested = open_validation(tmp_path)
    assert tested.classes == ("n01", "n02", "n03") and not tested.train
    assert tested.validation == [(f"val/n0{k + 1}/a.JPEG", k) for k in range(3)]


def test_a_flat_validation_set_and_the_devkit_are_enough_to_test_on(tmp_path):
    """The classes are the devkit's leaves in the order of their wnids, not of their IDs."""
    write_flat(tmp_path)
    tested = open_validation(tmp_path)
    assert tested.classes == ("n01", "n02", "n03")
    names = [tested.classes[number] for _, number in tested.validation]
    assert names == ["n03", "n02", "n01", "n01", "n03"]
    assert tested.notes == ()
    # A class that no picture is of remains one, or all numbers after it would be others.
    write_flat(tmp_path / "few", ids=(2, 2, 2, 2, 2))
    assert open_validation(tmp_path / "few").classes == ("n01", "n02", "n03")


@pytest.mark.parametrize(
    "damage, message",
    [
        (dict(devkit=False), "has no class folders. Put the devkit's folder at"),
        (dict(ids=(1, 2, 3)), "holds 5 pictures, .* has 3 lines"),
        (dict(ids=(1, 2, "x", 2, 1)), "'x' is no ILSVRC2012_ID"),
        (dict(ids=(1, 2, 4, 2, 1)), "'4' is no ILSVRC2012_ID"),
    ],
)
def test_a_validation_set_alone_that_does_not_fit_its_devkit_is_told(tmp_path, damage, message):
    write_flat(tmp_path, **damage)
    with pytest.raises(DatasetError, match=message):
        open_validation(tmp_path)


def test_a_devkit_without_its_ground_truth_is_told(tmp_path):
    write_flat(tmp_path)
    (tmp_path / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt").unlink()
    with pytest.raises(DatasetError, match="ILSVRC2012_validation_ground_truth.txt: cannot be r"):
        open_validation(tmp_path)


def test_tiny_imagenet_is_tested_on_with_and_without_its_training_set(tmp_path):
    for i in range(3):
        write_picture(tmp_path / f"val/images/val_{i}.JPEG")
    lines = "val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn07\t0\nval_2.JPEG\tn01\t0\n"
    (tmp_path / "val/val_annotations.txt").write_text(lines)
    alone = open_validation(tmp_path)
    assert alone.classes == ("n01", "n02", "n07") and alone.notes == ()
    assert [number for _, number in alone.validation] == [1, 2, 0]
    for name in ("n01", "n02"):
        write_picture(tmp_path / "train" / name / "images" / "0.JPEG")
    beside = open_validation(tmp_path)
    assert beside.classes == ("n01", "n02") and not beside.train
    assert [number for _, number in beside.validation] == [1, 0]
    assert beside.notes == ("1 validation pictures of other classes left out",)


def write_tree(root):
    for name, count in (("ant", 21), ("bee", 5)):
        for i in range(count):
            write_picture(root / name / f"{i}.png", size=(8, 8))


def test_of_a_folder_of_class_folders_all_pictures_are_tested_on(tmp_path):
    write_tree(tmp_path)
    tested = open_validation(tmp_path)
    assert len(tested.validation) == 26 and tested.notes == ()
    # A folder that was changed after training is not recognised: that is told.
    tested = open_validation(tmp_path, {"the digest of other pictures"})
    assert len(tested.validation) == 26
    assert tested.notes == (
        "all pictures are tested: no net was trained on this folder as it is now",
    )


def test_what_a_net_was_trained_on_it_is_not_tested_on(tmp_path):
    write_tree(tmp_path)
    trained = open_pictures(tmp_path)
    tested = open_validation(tmp_path, {"of other pictures", trained.digest})
    assert tested.validation == trained.validation and len(tested.validation) == 3
    assert tested.notes == ("3 of 26 pictures held out to validate",)
    # One of one picture cannot be held out of: no net was trained on this.
    write_picture(tmp_path / "cat" / "0.png", size=(8, 8))
    assert len(open_validation(tmp_path, {trained.digest}).validation) == 27


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda root: root.rmdir(), "no such folder. Name the folder of pictures with --data"),
        (lambda root: (root.rmdir(), root.write_text("")), "is a file. Name a folder"),
        (lambda root: None, "needs at least two class folders"),
        (lambda root: (root / "val").mkdir(), "val: needs at least two class folders"),
        (lambda root: ((root / "val").mkdir(),
                       (root / "val/val_annotations.txt").write_text("val_0.JPEG\tn01\n")),
         "lists 'val_0.JPEG', which is not in"),
    ],
)  # fmt: skip
def test_a_folder_that_there_is_nothing_to_test_on_in_is_told(tmp_path, write, message):
    root = tmp_path / "pictures"
    root.mkdir()
    write(root)
    with pytest.raises(DatasetError, match=message):
        open_validation(root)


@pytest.mark.real
def test_the_counts_of_the_real_slice_of_tiny_imagenet(real_data, tmp_path):
    """40 classes of 300 training and 50 validation pictures."""
    import tarfile

    with tarfile.open(real_data / "data" / "tiny-imagenet-40.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    pictures = open_pictures(tmp_path / "tiny-imagenet-200")
    assert len(pictures.classes) == 40 and pictures.notes == ()
    assert open_validation(pictures.root).validation == pictures.validation
    for part, count in ((pictures.train, 300), (pictures.validation, 50)):
        numbers = [number for _, number in part]
        assert [numbers.count(k) for k in range(40)] == [count] * 40
        assert all((pictures.root / path).is_file() for path, _ in part)
    shutil.rmtree(pictures.root / "train")
    alone = open_validation(pictures.root)
    assert (alone.classes, alone.validation) == (pictures.classes, pictures.validation)
