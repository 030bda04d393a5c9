"""Boxes that lie beside labelled pictures, in the layouts that people have them in."""

import numpy as np
import pytest
from helpers.boxed import line, write_boxed, xml
from helpers.pictures import write_picture

from vggfeat.errors import DatasetError
from vggfeat.layouts.boxes import with_boxes
from vggfeat.layouts.imagenet import Pictures, open_pictures

TRAIN = [
    (f"train/{name}/{name}_{i}.JPEG", k) for k, name in enumerate(("n01", "n02")) for i in (0, 1)
]
SORTED = [("val/n01/a.JPEG", 0), ("val/n02/b.JPEG", 1)]
FLAT = [("val/a.JPEG", 0), ("val/b.JPEG", 1)]
BOX, OTHER = (3, 4, 20, 30), (10, 10, 48, 36)


def pictures(root, validation=()) -> Pictures:
    """Lists of pictures; the boxes are read without them."""
    return Pictures(root, ("n01", "n02"), TRAIN, list(validation), ("a note",))


def annotate(folder, path, objects) -> None:
    """path is the picture's."""
    file = (folder / "Annotations/CLS-LOC" / path).with_suffix(".xml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(xml(objects) if isinstance(objects, list) else objects)


def boxes_of(found: Pictures) -> dict[str, list]:
    return {path: boxes.tolist() for path, boxes in found.boxes.items()}


@pytest.mark.parametrize("root", [".", "Data/CLS-LOC"])
@pytest.mark.parametrize("validation", [SORTED, FLAT])
def test_ilsvrcs_xml_at_the_root_and_two_folders_above(tmp_path, root, validation):
    (tmp_path / root).mkdir(parents=True, exist_ok=True)
    for path, number in [*TRAIN, *validation]:
        annotate(tmp_path, path, [(("n01", "n02")[number], BOX)])
    found = with_boxes(pictures(tmp_path / root, validation))
    assert boxes_of(found) == {path: [list(BOX)] for path, _ in [*TRAIN, *validation]}
    assert (found.train, found.validation, found.notes) == (TRAIN, validation, ("a note",))


def test_validation_pictures_sorted_into_classes_have_their_xml_in_one_folder(tmp_path):
    for path, number in [*TRAIN, *FLAT]:
        annotate(tmp_path, path, [(("n01", "n02")[number], BOX)])
    found = with_boxes(pictures(tmp_path, SORTED))
    assert found.boxes["val/n02/b.JPEG"].tolist() == [list(BOX)]


def test_a_link_to_the_pictures_leads_to_their_annotations(tmp_path):
    (tmp_path / "ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "ILSVRC/Data/CLS-LOC")
    for path, _ in TRAIN:
        annotate(tmp_path / "ILSVRC", path, [("n01", BOX), ("n02", BOX)])
    assert len(with_boxes(pictures(tmp_path / "link")).boxes) == 4


def test_several_boxes_and_objects_of_other_classes(tmp_path):
    annotate(tmp_path, TRAIN[0][0], [("n01", BOX), ("n02", (0, 0, 9, 9)), ("n01", OTHER)])
    annotate(tmp_path, TRAIN[2][0], [("n02", OTHER)])
    found = with_boxes(pictures(tmp_path))
    assert boxes_of(found) == {
        TRAIN[0][0]: [list(BOX), list(OTHER)], TRAIN[2][0]: [list(OTHER)],
    }  # fmt: skip


def test_an_object_of_a_name_that_is_no_class_counts(tmp_path):
    """ILSVRC's files call the dogs of many classes Scottish_deerhound."""
    annotate(tmp_path, TRAIN[0][0], [("Scottish_deerhound", BOX), ("n02", OTHER)])
    assert boxes_of(with_boxes(pictures(tmp_path))) == {TRAIN[0][0]: [list(BOX)]}


def test_boxes_are_of_the_picture_as_the_annotator_saw_it(tmp_path):
    """xml() states 48x36; the picture is twice as wide and three times as high."""
    write_picture(tmp_path / TRAIN[0][0], size=(96, 108))
    annotate(tmp_path, TRAIN[0][0], [("n01", (3, 4, 20, 30))])
    assert boxes_of(with_boxes(pictures(tmp_path))) == {TRAIN[0][0]: [[6, 12, 40, 90]]}


def test_pictures_without_a_box_are_left_out_and_counted(tmp_path):
    """Without XML, without an object, and with another class's object only."""
    for path, number in SORTED:
        annotate(tmp_path, path, [(("n01", "n02")[number], BOX)])
    annotate(tmp_path, TRAIN[0][0], [("n01", BOX)])
    annotate(tmp_path, TRAIN[1][0], [])
    annotate(tmp_path, TRAIN[2][0], [("n01", BOX)])
    found = with_boxes(pictures(tmp_path, SORTED))
    assert found.train == TRAIN[:1] and found.validation == SORTED
    assert found.notes == ("a note", "3 training pictures have no box and are left out")
    assert found.classes == ("n01", "n02")  # a class may be left without pictures


def test_a_set_without_any_box_is_told(tmp_path):
    with pytest.raises(DatasetError, match="no training picture has a box. Boxes are read from"):
        with_boxes(pictures(tmp_path))
    for path, _ in TRAIN:
        annotate(tmp_path, path, [("n01", BOX), ("n02", BOX)])
    with pytest.raises(DatasetError, match="no validation picture has a box"):
        with_boxes(pictures(tmp_path, SORTED))


def test_tiny_imagenets_lists(tmp_path):
    """Whole pixels from 0, the last column and row included: 0 0 63 63 is all of 64x64."""
    for name in ("n01", "n02"):
        for i in (0, 1):
            write_picture(tmp_path / f"train/{name}/images/{name}_{i}.JPEG")
        lines = f"{name}_0.JPEG\t0\t0\t63\t63\n{name}_1.JPEG\t5\t6\t5\t6\n"
        (tmp_path / f"train/{name}/{name}_boxes.txt").write_text(lines)
    write_picture(tmp_path / "val/images/val_0.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text("val_0.JPEG\tn02\t1\t2\t30\t40\n")
    found = with_boxes(open_pictures(tmp_path))
    assert boxes_of(found) == {
        "train/n01/images/n01_0.JPEG": [[0, 0, 64, 64]],
        "train/n01/images/n01_1.JPEG": [[5, 6, 6, 7]],
        "train/n02/images/n02_0.JPEG": [[0, 0, 64, 64]],
        "train/n02/images/n02_1.JPEG": [[5, 6, 6, 7]],
        "val/images/val_0.JPEG": [[1, 2, 31, 41]],
    }


@pytest.mark.parametrize("layout", ["both sets", "held out"])
def test_class_folders_of_ones_own(tmp_path, layout):
    """Lists of two boxes for one picture, none for another, one for a picture that is not there."""
    for part in ("train", "val") if layout == "both sets" else ("",):
        for name in ("ant", "bee"):
            folder = tmp_path / part / name
            for i in range(3):
                write_picture(folder / f"{i}.png")
            lines = line("0.png", [BOX, OTHER]) + line("1.png", [BOX]) + line("9.png", [BOX])
            (folder / f"{name}_boxes.txt").write_text(lines)
    found = with_boxes(open_pictures(tmp_path))
    assert {path.rpartition("/")[2] for path in found.boxes} == {"0.png", "1.png"}
    for path, boxes in boxes_of(found).items():
        assert boxes == ([list(BOX), list(OTHER)] if path.endswith("0.png") else [list(BOX)])
    if layout == "both sets":
        assert found.notes == tuple(
            f"2 {part} pictures have no box and are left out" for part in ("training", "validation")
        )


def test_the_digest_knows_the_boxes(tmp_path):
    write_boxed(tmp_path, {"ant": 4, "bee": 4})
    labelled = open_pictures(tmp_path)
    before = with_boxes(labelled).digest
    assert before != labelled.digest and before == with_boxes(labelled).digest
    file = tmp_path / "bee/bee_boxes.txt"
    first, _, rest = file.read_text().partition("\n")
    name, left, *others = first.split("\t")
    file.write_text("\t".join([name, str(int(left) + 1), *others]) + f"\n{rest}")
    assert with_boxes(labelled).digest != before
    assert open_pictures(tmp_path).digest == labelled.digest


@pytest.mark.parametrize(
    "content, message",
    [
        ("<annotation><object>", "n01_0.xml: not a devkit annotation"),
        ("", "n01_0.xml: not a devkit annotation"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "n01_0.xml: not a devkit"),
        ('<?xml version="1.0" encoding="utf-32"?><annotation/>', "n01_0.xml: not a devkit"),
        (xml([("n01", BOX)]).replace("<xmax>20</xmax>", ""), "n01_0.xml: not a devkit annotation"),
        (xml([("n01", BOX)]).replace(">20<", ">twenty<"), "n01_0.xml: .*'twenty'"),
        (xml([("n01", BOX)]).replace("bndbox", "box"), "n01_0.xml: not a devkit annotation"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "undefined entity"),
    ],
)
def test_damaged_xml_is_named(tmp_path, content, message):
    annotate(tmp_path, TRAIN[0][0], content)
    with pytest.raises(DatasetError, match=message):
        with_boxes(pictures(tmp_path))


@pytest.mark.parametrize(
    "old, new, message",
    [
        (">20<", ">inf<", "n01_0.xml: a box has an edge at inf, and no picture has"),
        (">20<", ">-Infinity<", "a box has an edge at -inf"),
        (">20<", ">nan<", "a box has an edge at nan"),
        (">20<", ">1e300<", "a box has an edge at 1e\\+300"),
        (">20<", f">{'9' * 5000}<", "a box has an edge at inf"),
        (">48<", f">{'9' * 4000}<", "n01_0.xml: states a picture of infx36 pixels"),
        (">48<", f">{'9' * 5000}<", "n01_0.xml: states a picture of infx36 pixels"),
        (">48<", ">0<", "n01_0.xml: states a picture of 0x36 pixels"),
        (">48<", ">nan<", "n01_0.xml: states a picture of nanx36 pixels"),
        (">48<", ">48.5<", "n01_0.xml: states a picture of 48.5x36 pixels"),
    ],
)
def test_numbers_that_no_picture_has_are_refused(tmp_path, old, new, message):
    annotate(tmp_path, TRAIN[0][0], xml([("n01", BOX)]).replace(old, new))
    write_picture(tmp_path / TRAIN[0][0], size=(48, 36))
    with pytest.raises(DatasetError, match=message):
        with_boxes(pictures(tmp_path))


@pytest.mark.parametrize(
    "size, on_disk, wanted",
    [
        ("<size><width>48.0</width><height>36.0</height></size>", (48, 36), BOX),
        ("<size><width> 48 </width><height>36</height></size>", (96, 72), [6, 8, 40, 60]),
        ("<size><width>36</width><height>48</height></size>", (48, 36), BOX),
        ("<size><width>36</width><height>48</height></size>", (96, 72), [6, 8, 40, 60]),
        ("", (48, 36), BOX),
        ("<size/>", (48, 36), BOX),
        ("<size><width>48</width></size>", (96, 72), BOX),
    ],
)
def test_sizes_as_tools_write_them(tmp_path, size, on_disk, wanted):
    """Whole numbers with a point, sides in the wrong order, none at all."""
    usual = "<size><width>48</width><height>36</height></size>"
    annotate(tmp_path, TRAIN[0][0], xml([("n01", BOX)]).replace(usual, size))
    write_picture(tmp_path / TRAIN[0][0], size=on_disk)
    assert boxes_of(with_boxes(pictures(tmp_path))) == {TRAIN[0][0]: [list(wanted)]}


def test_an_entity_bomb_is_refused(tmp_path):
    """A billion laughs: ten entities, each ten of the one before."""
    entities = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">' for n in range(10)
    )
    annotate(tmp_path, TRAIN[0][0], f"<!DOCTYPE a [{entities}]><annotation>&l9;</annotation>")
    with pytest.raises(DatasetError, match="n01_0.xml: not a devkit annotation"):
        with_boxes(pictures(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["n01_0.JPEG\t1\t2\t3", "n01_0.JPEG\t1\t2\t3\t4\t5", "n01_0.JPEG\t1\t2\tthree\t4",
     "n01_0.JPEG 1 2 3 4", "n01_0.JPEG"],
)  # fmt: skip
def test_a_line_that_is_no_box_is_told(tmp_path, text):
    file = tmp_path / "train/n01/n01_boxes.txt"
    file.parent.mkdir(parents=True)
    file.write_text(f"n01_1.JPEG\t0\t0\t9\t9\n{text}\n")
    with pytest.raises(DatasetError, match="n01_boxes.txt: .* is not a file name and a box") as e:
        with_boxes(pictures(tmp_path))
    assert repr(text) in str(e.value)


@pytest.mark.parametrize("edge", ["inf", "nan", "-1e999", "9" * 5000])
def test_a_line_whose_box_is_in_no_picture_is_told(tmp_path, edge):
    file = tmp_path / "train/n01/n01_boxes.txt"
    file.parent.mkdir(parents=True)
    file.write_text(f"n01_1.JPEG\t0\t0\t9\t9\nn01_0.JPEG\t0\t0\t{edge}\t9\n")
    with pytest.raises(DatasetError, match="n01_boxes.txt, line 2: a box has an edge at"):
        with_boxes(pictures(tmp_path))


def test_a_byte_order_mark_before_a_list_is_no_part_of_the_first_name(tmp_path):
    file = tmp_path / "train/n01/n01_boxes.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xef\xbb\xbfn01_0.JPEG\t0\t0\t9\t9\r\n")
    assert boxes_of(with_boxes(pictures(tmp_path))) == {TRAIN[0][0]: [[0, 0, 10, 10]]}


def test_a_list_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "train/n01/n01_boxes.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="n01_boxes.txt: cannot be read"):
        with_boxes(pictures(tmp_path))


@pytest.mark.real
@pytest.mark.slow
def test_every_picture_of_the_real_slice_of_tiny_imagenet_has_a_box_within_it(real_data, tmp_path):
    import tarfile

    with tarfile.open(real_data / "data" / "tiny-imagenet-40.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    found = with_boxes(open_pictures(tmp_path / "tiny-imagenet-200"))
    assert (len(found.train), len(found.validation), found.notes) == (12000, 2000, ())
    boxes = np.concatenate(list(found.boxes.values()))
    assert boxes.min() == 0 and boxes.max() == 64 and len(boxes) == 14000
    assert (boxes[:, 2:] > boxes[:, :2]).all()
