"""Pictures without labels: folders with all below them, and lists of paths."""

import unicodedata

import pytest
from helpers.pictures import write_picture

from vggfeat.errors import DatasetError
from vggfeat.layouts.unlabelled import read_pictures


@pytest.fixture
def root(tmp_path):
    """Three pictures, nested, one with letters beyond ASCII; and what is no picture."""
    root = tmp_path / "pictures"
    for name in ("b.JPG", "sub/größe/été 1.png", "sub/a.webp"):
        write_picture(root / name, (8, 8))
    (root / "notes.txt").write_text("no picture")
    return root


def refused(path, *parts):
    with pytest.raises(DatasetError) as caught:
        read_pictures(path)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_a_folder_is_read_with_all_below_it(root):
    pictures = read_pictures(root)
    assert list(pictures.ids) == ["b.JPG", "sub/a.webp", "sub/größe/été 1.png"]
    assert all(path.is_file() for path in pictures.files.values())
    assert pictures.notes == ["left out, no pictures: notes.txt"]


def test_hidden_items_and_what_servers_leave_behind_are_left_out_silently(root):
    write_picture(root / "@eaDir" / "b.JPG" / "thumb.jpg")
    write_picture(root / ".thumbnails" / "a.jpg")
    write_picture(root / ".hidden.jpg")
    assert len(read_pictures(root).ids) == 3


def test_links_are_followed_once_and_never_upwards(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write_picture(elsewhere / "c.jpg")
    (elsewhere / "back").symlink_to(root)
    (root / "0 first").symlink_to(root / "sub")
    (root / "sub" / "loop").symlink_to(root / "sub")
    (root / "sub" / "up").symlink_to(tmp_path)
    (root / "other").symlink_to(elsewhere)
    (root / "round").symlink_to("round")
    pictures = read_pictures(root)
    assert list(pictures.ids) == ["b.JPG", "other/c.jpg", "sub/a.webp", "sub/größe/été 1.png"]
    assert pictures.notes[0] == "left out, no pictures: notes.txt, round"
    assert pictures.notes[1].endswith("or above: 0 first, other/back, sub/loop, sub/up")


def test_a_folder_has_one_feature_set_whatever_leads_to_it(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    (root / "list.txt").write_text("b.JPG\n")
    names = {
        read_pictures(path).feature_set for path in (root, tmp_path / "link", root / "list.txt")
    }
    assert len(names) == 1
    write_picture(tmp_path / "other" / "pictures" / "b.JPG")
    assert read_pictures(tmp_path / "other" / "pictures").feature_set not in names


def test_nothing_to_read(tmp_path, root):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty: no picture in it or below it", ".jpg")
    refused(tmp_path / "nowhere", "no such folder or list")
    refused(root / "b.JPG", "is a picture. Name its folder")


def test_a_list_has_a_path_a_line(root):
    (root / "list.txt").write_text("\ufeffb.JPG\r\n\r\n sub/größe/été 1.png \nb.JPG\nnotes.txt\n")
    pictures = read_pictures(root / "list.txt")
    assert list(pictures.ids) == ["b.JPG", "sub/größe/été 1.png"]
    assert pictures.notes == [
        "left out, no pictures: notes.txt", "lines that repeat a path: 1; each counts once"
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_has_a_column_path_among_others(root, delimiter):
    lines = [("label", " Path"), ("x", "b.JPG"), ("y", "sub\\a.webp"), ("", ""), ("z", '"b.JPG"')]
    (root / "list.csv").write_text("\n".join(map(delimiter.join, lines)))
    assert list(read_pictures(root / "list.csv").ids) == ["b.JPG", "sub/a.webp"]


@pytest.mark.parametrize(
    "line, part",
    [("/etc/a.jpg", "'/etc/a.jpg' is no relative path"), ("C:\\a.jpg", "is no relative path"),
     ("sub/../../a.jpg", "leaves the folder of the list"), ("..\\a.jpg", "by '..'"),
     ("gone.jpg", "line 2: no such picture"), ("\0.jpg", "holds a NUL character")],
)  # fmt: skip
def test_a_path_that_is_not_there_or_leaves_the_folder_is_named_with_its_line(root, line, part):
    (root / "list.txt").write_text(f"b.JPG\n{line}\n")
    refused(root / "list.txt", f"{root / 'list.txt'}, line 2", part)


def test_lists_that_are_none(root):
    (root / "a.csv").write_text("file,label\nb.JPG,x\n")
    refused(root / "a.csv", "must name the column path; it is 'file,label'")
    (root / "b.csv").write_text("")
    refused(root / "b.csv", "must name the column path")
    (root / "c.txt").write_bytes(b"\xff\xfe\x00")
    refused(root / "c.txt", "is no list in UTF-8")
    (root / "d.txt").write_text("notes.txt\n")
    refused(root / "d.txt", "lists no pictures")
    (root / "e.txt").write_text("b.JPG\nx.jpg\ny.jpg\n")
    refused(root / "e.txt", "and 1 more of 3 lines")


def test_another_form_of_the_same_letters_is_the_same_picture(root):
    decomposed = unicodedata.normalize("NFD", "sub/größe/été 1.png")
    (root / "list.txt").write_text(decomposed)
    assert list(read_pictures(root / "list.txt").ids) == ["sub/größe/été 1.png"]


def test_a_name_that_is_not_utf8_is_refused_by_name(root):
    try:
        (root / b"\xff.jpg".decode(errors="surrogateescape")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    refused(root, "is not UTF-8. Rename it.")


def test_a_line_ends_where_files_end_lines_and_nowhere_else(tmp_path):
    for name in ("a\u2028b.jpg", "c\x0bd.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("a\u2028b.jpg\r\nc\x0bd.jpg\n", encoding="utf-8", newline="")
    assert list(read_pictures(tmp_path / "list.txt").ids) == ["a\u2028b.jpg", "c\x0bd.jpg"]


def test_a_quote_that_is_not_closed_swallows_no_pictures(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").touch()
    (tmp_path / "list.csv").write_text('path,note\na.jpg,x\nb.jpg,"x\nc.jpg,x\n')
    with pytest.raises(DatasetError, match="is no CSV .* Close every quote"):
        read_pictures(tmp_path / "list.csv")


def test_a_folder_of_nothing_but_tars_says_where_they_go(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"")
    refused(tmp_path, "no picture in it", "Its tars go into shards")
