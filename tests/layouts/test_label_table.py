"""CSV files of labels: columns, several labels a row, splits, and what is wrong in which row."""

import pytest

from vggfeat.errors import DatasetError
from vggfeat.layouts.label_table import LabelTable, read_label_table


@pytest.fixture
def read(tmp_path):
    def read(content: str | bytes):
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_label_table(path)

    return read


def test_ids_labels_and_parts_in_the_order_of_the_rows(read):
    table = read("label,path,split,note\ndog,./b//1.jpg,train,x\ncat,a/2.jpg,VALID,y\n\n")
    assert table.ids == ("b/1.jpg", "a/2.jpg")
    assert table.labels == (("dog",), ("cat",))
    assert table.parts == ("train", "val") and not table.is_multi_label


def test_as_spreadsheets_write_it(read):
    table = read(b'\xef\xbb\xbf"id";"Label"\r\n"x 1";"gr\xc3\xbcn;rot"\r\n./y;\r\n')
    assert table.ids == ("x 1", "./y")  # an id is a text, and no path
    assert table.labels == (("grün", "rot"), ()) and table.is_multi_label and table.parts is None
    assert read("id\tlabel\na\tx, y\n").labels == (("x, y",),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg,dog\nb.jpg,cat\n", "first line must name the columns: .*; it is 'a.jpg,dog'"),
        ("path,label,label\na,b,c\n", "each once"),
        ("path,class\na,b\n", "it is 'path,class'"),
        ("", "it is ''"),
        ("path,label\n", "no rows below its header"),
        ("path,label\na,x\nb,y,z\n", "line 3: has 3 values, and the header 2"),
        ("path,label\na,x\n,y\n", "row 2 has no path"),
        ("path,label\na,x\nb, \n", "row 2, 'b', has no label"),
        ("path,label\na,x\nb,y\n./a,y\n", "rows 1 and 3 have the same id, 'a'"),
        ("path,label,split\na,x,train\nb,y,\n", "row 2 has no split, and others have"),
        ("path,label,split\na,x,dev\n", "row 1: split 'dev' is none of train, val, test"),
        ('path,label\na,"x\n', "is no CSV .* Close every quote"),
        ("path,label\na,x\nb,y\0\n", "row 2: .* holds a NUL character"),
        (b"path,label\na,\xff\n", "not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(read, content, message):
    with pytest.raises(DatasetError, match=message):
        read(content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_label_table(tmp_path / "labels.csv")


def test_a_table_in_memory_is_checked_too():
    with pytest.raises(DatasetError, match="rows 1 and 2 have the same id"):
        LabelTable(ids=["a", "a"], labels=[("x",), ("y",)])


def test_texts_that_no_file_of_results_could_hold_are_refused():
    with pytest.raises(DatasetError, match="row 1: .* is no text in UTF-8"):
        LabelTable(ids=["a", "b"], labels=[("\ud800",), ("y",)])
    with pytest.raises(DatasetError, match="row 2: .* holds a NUL character"):
        LabelTable(ids=["a", "b\0"], labels=[("x",), ("y",)])
