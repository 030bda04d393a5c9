"""What a source's parts are: tars by folder, glob, braces and list, and lines of a list."""

import tarfile

import pytest
from helpers.pictures import write_picture

from vggfeat.errors import DatasetError
from vggfeat.layouts.braces import expanded
from vggfeat.layouts.open_parts import names_tars, open_parts


@pytest.fixture
def root(tmp_path):
    """Three tars of a picture each."""
    for n in range(3):
        write_picture(tmp_path / f"{n}.jpg", (8, 8))
        with tarfile.open(tmp_path / f"train-{n:02}.tar", "w") as tar:
            tar.add(tmp_path / f"{n}.jpg", f"key{n}.jpg")
        (tmp_path / f"{n}.jpg").unlink()
    return tmp_path


def ids_of(parts):
    ids = []
    for number in range(parts.num_parts):
        with parts.opened(number) as part:
            assert not part.broken
            ids.append(list(part.pictures))
    return ids


def refused(source, *texts, **options):
    with pytest.raises(DatasetError) as caught:
        open_parts(str(source), **options)
    assert "\n" not in str(caught.value)
    for text in texts:
        assert text in str(caught.value), caught.value


def test_tars_are_named_by_folder_glob_braces_and_list_and_are_the_same_parts(root):
    (root / "list.txt").write_text(f"\ufefftrain-00.tar\r\n\n{root}/train-{{01..02}}.tar\n")
    sources = [f"{root}", f"{root}/*.tar", f"{root}/train-{{00..02}}.tar", f"{root}/list.txt"]
    (root / ".hidden.tar").write_bytes(b"")
    assert all(names_tars(source) for source in sources)
    opened = [open_parts(source) for source in sources]
    assert len({(parts.digest, parts.name, parts.num_parts) for parts in opened}) == 1
    assert all(ids_of(parts) == [["key0"], ["key1"], ["key2"]] for parts in opened)
    assert ids_of(open_parts(f"{root}/train-01.tar")) == [["key1"]]


def test_what_is_missing_or_no_tar_is_refused_before_anything_is_extracted(root):
    refused(root / "train-{00..09}.tar", "train-03.tar and 6 more of 10: no such file")
    refused(root / "none-*.tar", "no .tar that is called so")
    refused(root / "none.tar", "no such folder, tar or list")
    (root / "list.txt").write_text("train-00.tar\ntrain-00.tar\n")
    refused(root / "list.txt", "train-00.tar twice")
    (root / "list.txt").write_text("train-00.tar\na.jpg\n")
    refused(root / "list.txt", "a.jpg: is no .tar, as the other shards")
    (root / "list.txt").write_bytes(b"train-00.tar\n\xff.tar\n")
    refused(root / "list.txt", "no list in UTF-8")
    (root / "b.tgz").write_bytes(b"")
    refused(root / "b.tgz", "b.tgz: is compressed", "Unpack it")
    refused(root, "b.tgz: is compressed")
    write_picture(root / "p" / "a.jpg", (8, 8))
    assert not names_tars(str(root / "p"))
    refused(root / "p", "no .tar shards, and no text list")
    refused(root / "p" / "a.jpg", "no .tar shards, and no text list")


def test_braces_are_those_of_a_shell():
    assert expanded("a{08..10}b{x,,y}") == [f"a{n}b{x}" for n in ("08", "09", "10")
                                            for x in ("x", "", "y")]  # fmt: skip
    assert expanded("{3..1}") == ["3", "2", "1"]
    assert expanded("{0..10..5}") == ["0", "5", "10"]
    assert expanded("{a}-{}-{1..") == ["{a}-{}-{1.."]
    for text in ("{0..9999999}", "{0..99999}{0..99}"):
        with pytest.raises(DatasetError, match="stands for more than 1,000,000 names"):
            expanded(text)
    with pytest.raises(DatasetError, match="braces inside of braces"):
        expanded("{{0..1},a}")


def test_a_list_is_cut_into_parts_of_so_many_lines(tmp_path):
    names = [f"sub/{n}.jpg" for n in range(7)]
    for name in names:
        write_picture(tmp_path / name, (8, 8))
    path = tmp_path / "list.txt"
    path.write_text("\ufeff" + "\r\n".join(names[:3]) + "\n\n\n" + "\n".join(names[3:]))
    parts = open_parts(str(path), rows=4)
    assert not names_tars(str(path))
    assert ids_of(parts) == [names[:3], names[3:6], names[6:]]
    with parts.opened(1) as part:
        assert part.pictures[names[3]] == tmp_path / names[3]
    assert open_parts(str(path), rows=2).digest != parts.digest
    moved = tmp_path.rename(tmp_path.with_name("elsewhere")) / "list.txt"
    assert open_parts(str(moved), rows=4).digest == parts.digest


@pytest.mark.parametrize("num_lines, rows", [(0, 3), (1, 3), (3, 3), (4, 3), (6, 3), (7, 1)])
@pytest.mark.parametrize("end", ["", "\n"])
def test_every_line_is_in_one_part(tmp_path, monkeypatch, num_lines, rows, end):
    monkeypatch.setattr("vggfeat.layouts.long_list.CHUNK", 5)  # a line spans chunks
    names = [f"{n}.jpg" for n in range(num_lines)]
    path = tmp_path / "list.txt"
    path.write_text("\n".join(names) + (end if names else ""))
    parts = open_parts(str(path), rows=rows)
    assert parts.num_parts == -(-num_lines // rows)
    missing = []
    for number in range(parts.num_parts):
        with parts.opened(number) as part:
            missing += part.broken
    assert missing == [f"{path}, line {n + 1}: {name}" for n, name in enumerate(names)]


def test_lines_that_are_no_pictures_are_broken_and_stop_nothing(tmp_path):
    write_picture(tmp_path / "a.jpg", (8, 8))
    path = tmp_path / "list.txt"
    lines = [b"a.jpg", b"none.jpg", b"notes.txt", b"../up.jpg", b"/etc/a.jpg", b"\xff.jpg"]
    path.write_bytes(b"\n".join([*lines, b"a.jpg"]))
    with open_parts(str(path)).opened(0) as part:
        assert list(part.pictures) == ["a.jpg"]
        reasons = {name.partition(", line ")[2]: reason for name, reason in part.broken.items()}
    assert reasons["2: none.jpg"] == f"no such picture below {tmp_path}"
    assert reasons["3: notes.txt"].startswith("is no picture by its name (.jpg,")
    assert reasons["4"].endswith(f"leaves the folder of the list, {tmp_path}, by '..'")
    assert "is no relative path" in reasons["5"] and reasons["6"] == "is no text in UTF-8"


def test_a_list_that_changes_meanwhile_or_holds_no_lines_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.jpg\nb.jpg\n")
    parts = open_parts(str(path), rows=1)
    path.write_text("a.jpg\nc.jpg\nd.jpg\n")
    with pytest.raises(DatasetError, match="was changed meanwhile"), parts.opened(0):
        pass
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(DatasetError, match="too long for a path"):
        with open_parts(str(path), rows=1).opened(0):
            pass
