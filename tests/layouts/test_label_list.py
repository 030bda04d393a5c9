"""CSV lists of labelled pictures: what is understood, and each mistake in one line."""

import unicodedata

import pytest

from vggfeat.errors import DatasetError
from vggfeat.layouts.label_list import read_list

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture
def write(tmp_path):
    """Write a list of this text, or of these bytes, beside empty pictures."""
    for name in ("dog/1.jpg", "dog/2.jpg", "cat/1.PNG", "a;b.jpg", "notes.txt", f"{NFD}.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "outside.jpg").touch()

    def write(text):
        path = tmp_path / "in" / "labels.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


PLAIN = "path,label\ndog/2.jpg,dog\ncat/1.PNG,cat\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "Label, Path ,width\ndog,dog/2.jpg,640\n\ncat , cat/1.PNG,480\n,,\n",
        '"path","label"\n"./dog//2.jpg","dog"\n"cat\\1.PNG","cat;"\n',
    ],
)
def test_columns_by_name_in_any_order_and_form(write, text):
    path = write(text)
    pictures = read_list(path)
    assert pictures.root == path.parent and pictures.parts is None
    assert pictures.labels == {"cat/1.PNG": ("cat",), "dog/2.jpg": ("dog",)}
    assert list(pictures.labels) == ["cat/1.PNG", "dog/2.jpg"]
    assert not pictures.is_multi_label and pictures.remarks == []


def test_several_labels_on_any_line_make_the_list_multi_label(write):
    pictures = read_list(write("path,label\ndog/1.jpg,dog;cat\ndog/2.jpg,dog\ncat/1.PNG,\n"))
    assert pictures.is_multi_label and pictures.classes == ("cat", "dog")
    assert pictures.labels == {"cat/1.PNG": (), "dog/1.jpg": ("dog", "cat"), "dog/2.jpg": ("dog",)}


def test_labels_may_stand_in_quotes_where_semicolons_separate_columns(write):
    pictures = read_list(write('path;label\ndog/1.jpg;"dog;cat"\n"a;b.jpg";cat\n'))
    assert pictures.labels == {"a;b.jpg": ("cat",), "dog/1.jpg": ("dog", "cat")}


def test_a_split_of_every_line(write):
    lines = "path,label,split\ndog/1.jpg,dog,Train\ndog/2.jpg,dog,validation\ncat/1.PNG,cat,test\n"
    assert read_list(write(lines)).parts == {
        "cat/1.PNG": "test", "dog/1.jpg": "train", "dog/2.jpg": "val"
    }  # fmt: skip
    empty = "path,label,split\ndog/1.jpg,dog,\ncat/1.PNG,cat,\n"
    assert read_list(write(empty)).parts is None


def test_names_are_found_in_the_form_that_the_disk_has(write):
    pictures = read_list(write(f"path,label\n{NFC}.jpg,{NFD}\ndog/1.jpg,{NFC}\n"))
    assert list(pictures.labels) == [f"{NFD}.jpg", "dog/1.jpg"] and pictures.classes == (NFC,)


def test_what_is_no_picture_is_left_out_and_counted(write):
    pictures = read_list(write("path,label\ndog/1.jpg,dog\nnotes.txt,dog\ncat/1.PNG,cat\n"))
    assert len(pictures.labels) == 2
    assert pictures.remarks == ["left out, no pictures: notes.txt"]


def test_a_repeated_line_counts_once(write):
    pictures = read_list(write("path,label\ndog/1.jpg,dog\n./dog/1.jpg,dog\ncat/1.PNG,cat\n"))
    assert len(pictures.labels) == 2
    assert pictures.remarks == ["lines that repeat a picture: 1; each counts once"]


def test_lines_of_one_picture_are_put_together_where_there_are_several_labels(write):
    text = "path,label\ndog/1.jpg,dog\ndog/1.jpg,cat\ndog/2.jpg,dog;cat\n"
    pictures = read_list(write(text))
    assert pictures.labels["dog/1.jpg"] == ("dog", "cat")
    assert pictures.remarks == ["lines that repeat a picture: 1; their labels are put together"]


def test_links_to_pictures_elsewhere_are_fine_and_paths_to_them_are_not(write, tmp_path):
    (tmp_path / "in" / "linked.jpg").symlink_to(tmp_path / "outside.jpg")
    assert "linked.jpg" in read_list(write("path,label\nlinked.jpg,dog\n")).labels


H = "path,label\n"
WRONG = {
    "": "the first line must name the columns path and label",
    "dog/1.jpg,dog\n": r"first line must name .* it is 'dog/1.jpg,dog'",
    "path,label,path\n": "each once",
    "path,label,split,split\n": "each once",
    H: "lists no pictures",
    H + "notes.txt,dog\n": "lists no pictures",
    H + "dog/1.jpg,dog\ndog/9.jpg,dog\ndog/8.jpg,dog\n":
        r"line 3: no such picture, .*in/dog/9.jpg and 1 more of 3 lines. Paths are relative to",
    H + "dog,dog\n": "line 2: no such picture",
    H + "../outside.jpg,dog\n": r"line 2: '../outside.jpg' leaves the folder",
    H + "dog/../../outside.jpg,dog\n": "leaves the folder",
    H + "dog\\..\\..\\outside.jpg,dog\n": "leaves the folder",
    H + "/etc/x.jpg,dog\n": "'/etc/x.jpg' is no relative path. Write it as seen from",
    H + "C:\\x.jpg,dog\n": "is no relative path",
    H + "~/x.jpg,dog\n": "is no relative path",
    H + ",dog\n": "line 2: no path",
    H + "a\0b.jpg,dog\n": r"line 2: 'a\\x00b.jpg' holds a NUL character",
    H + "dog/1.jpg,\n": "line 2: 'dog/1.jpg' has no label",
    H + "dog/1.jpg,dog\ncat/1.PNG,cat\ndog/1.jpg,cat\n":
        r"line 4: 'dog/1.jpg' is 'cat', and in line 2 'dog'. .* 'dog;cat'",
    H + "dog/1.jpg\n": "line 2: has 1 value, and the header 2 columns",
    H + "dog/1,5.jpg,dog\n": "line 2: has 3 values, .* Put quotes around what holds a ','",
    "path;label\ndog/1.jpg;dog;cat\n": "line 2: has 3 values, .* Put quotes",
    "path,label,split\ndog/1.jpg,dog,train\ndog/2.jpg,dog,later\n":
        "line 3: split 'later' is none of train, val, test",
    "path,label,split\ndog/1.jpg,dog,train\ndog/2.jpg,dog,\n":
        "line 3: 'dog/2.jpg' has no split, and others have",
    "path,label,split\ndog/1.jpg,dog,train\ndog/1.jpg,dog,test\n":
        "line 3: 'dog/1.jpg' is of test, and of train before",
    H + '"' + "x" * 200_000: "is no CSV",
    H + 'dog/1.jpg,"dog\ndog/2.jpg,dog\ncat/1.PNG,cat\n':
        r"is no CSV \(unexpected end of data\). Close every quote",
    H + "dog/1.jpg,d\0g\ncat/1.PNG,cat\n": r"line 2: 'd\\x00g' holds a NUL character",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_mistakes_are_named_with_their_line(write, text):
    path = write(text)
    with pytest.raises(DatasetError, match=WRONG[text]) as error:
        read_list(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_list_in_another_encoding_is_an_error(write, encoding):
    path = write("path,label\ndog/1.jpg,café\n".encode(encoding))
    with pytest.raises(DatasetError, match="is not UTF-8. Save it as CSV in UTF-8."):
        read_list(path)
