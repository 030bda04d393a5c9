"""What a source's parts are: tars by folder, glob, braces and list, and lines of a list."""

import tarfile
from pathlib import Path

import fsspec
import pytest
from helpers.pictures import write_picture

from vggfeat.errors import DatasetError
from vggfeat.layouts import open_parts as sources
from vggfeat.layouts.braces import expanded
from vggfeat.layouts.open_parts import names_tars


def open_parts(source, **options):
    return sources.open_parts(str(source), copies=Path("nothing is copied"), **options)


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
        open_parts(source, **options)
    assert "\n" not in str(caught.value)
    for text in texts:
        assert text in str(caught.value), caught.value


def test_tars_are_named_by_folder_glob_braces_and_list_and_are_the_same_parts(root):
    (root / "list.txt").write_text(f"\ufefftrain-00.tar\r\n\n{root}/train-{{01..02}}.tar\n")
    sources = [
        f"{root}",
        f"{root}/*.tar",
        f"{root}/train-{{00,*[12]}}.tar",
        f"{root}/train-{{00..02}}.tar",
        f"{root}/list.txt",
    ]
    (root / ".hidden.tar").write_bytes(b"")
    assert all(names_tars(source) for source in sources)
    opened = [open_parts(source) for source in sources]
    assert len({(parts.digest, parts.name, parts.num_parts) for parts in opened}) == 1
    assert all(ids_of(parts) == [["key0"], ["key1"], ["key2"]] for parts in opened)
    assert ids_of(open_parts(f"{root}/train-01.tar")) == [["key1"]]


def test_what_is_missing_or_no_tar_is_refused_before_anything_is_extracted(root):
    refused(root / "{train,test}-*.tar", "test-*.tar: no .tar that is called so")
    refused(root / "train-{00..09}.tar", "train-03.tar and 6 more of 10: no such file")
    refused(root / "none-*.tar", "no .tar that is called so")
    refused(root / "none.tar", "no such folder, list or tar")
    (root / "list.txt").write_text("train-00.tar\ntrain-00.tar\n")
    refused(root / "list.txt", "train-00.tar twice")
    (root / "list.txt").write_text("train-00.tar\n./train-00.tar\n")
    refused(root / "list.txt", "./train-00.tar twice")
    (root / "list.txt").write_text("")
    refused(root / "list.txt", "list.txt: is empty. Write a path a line.")
    (root / "list.txt").write_text("train-00.tar\na.jpg\n")
    refused(root / "list.txt", "a.jpg: is no .tar, as the shards")
    (root / "list.txt").write_bytes(b"train-00.tar\n\xff.tar\n")
    refused(root / "list.txt", "no list in UTF-8")
    (root / "b.tgz").write_bytes(b"")
    refused(root / "b.tgz", "b.tgz: is compressed", "Unpack it")
    refused(root, "b.tgz: is compressed")
    refused(write_picture(root / "p" / "a.jpg", (8, 8)), "is a picture. Name its folder")


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
    parts = open_parts(path, rows=4)
    assert not names_tars(str(path))
    assert ids_of(parts) == [names[:3], names[3:6], names[6:]]
    with parts.opened(1) as part:
        assert part.pictures[names[3]] == tmp_path / names[3]
    assert open_parts(path, rows=2).digest != parts.digest
    moved = tmp_path.rename(tmp_path.with_name("elsewhere")) / "list.txt"
    assert open_parts(moved, rows=4).digest == parts.digest


@pytest.mark.parametrize("num_lines, rows", [(1, 3), (3, 3), (4, 3), (6, 3), (7, 1)])
@pytest.mark.parametrize("end", ["", "\n"])
def test_every_line_is_in_one_part(tmp_path, monkeypatch, num_lines, rows, end):
    monkeypatch.setattr("vggfeat.layouts.long_list.CHUNK", 5)  # a line spans chunks
    names = [f"{n}.jpg" for n in range(num_lines)]
    path = tmp_path / "list.txt"
    path.write_text("\n".join(names) + end)
    parts = open_parts(path, rows=rows)
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
    with open_parts(path).opened(0) as part:
        assert list(part.pictures) == ["a.jpg"]
        reasons = {name.partition(", line ")[2]: reason for name, reason in part.broken.items()}
    assert reasons["2: none.jpg"] == f"no such picture below {tmp_path}"
    assert reasons["3: notes.txt"].startswith("is no picture by its name (.jpg,")
    assert reasons["4"].endswith(f"leaves the folder of the list, {tmp_path}, by '..'")
    assert "is no relative path" in reasons["5"] and reasons["6"] == "is no text in UTF-8"


def test_a_list_that_changes_meanwhile_or_holds_no_lines_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.jpg\nb.jpg\n")
    parts = open_parts(path, rows=1)
    path.write_text("a.jpg\nc.jpg\nd.jpg\n")
    with pytest.raises(DatasetError, match="was changed meanwhile"), parts.opened(0):
        pass
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(DatasetError, match="too long for a path"):
        with open_parts(path, rows=1).opened(0):
            pass


def test_urls_are_tars_and_are_refused_where_nothing_may_be_fetched(root):
    memory = fsspec.filesystem("memory")
    for n in range(2):
        memory.pipe(f"/b/{n}.tar", (root / f"train-{n:02}.tar").read_bytes())
    memory.pipe("/b/list.txt", b"")
    try:
        urls = ["memory:///b/0.tar", "memory:///b/1.tar"]
        assert open_parts("memory://b/*.tar").tars == urls
        assert open_parts("memory:///b/{0..1}.tar").tars == urls
        (root / "urls.txt").write_text("\n".join(urls))
        assert open_parts(root / "urls.txt").tars == urls and names_tars(str(root / "urls.txt"))
        assert names_tars("memory://b/*") and names_tars("https://u:pw@host/x.tar?t=1")
        refused("memory://b/none-*.tar", "memory://b/none-*.tar: no .tar that is called so")
    finally:
        memory.store.clear()
    refused("https://u:pw@host/*.tar?t=1", "https://host/*.tar: a web server cannot be searched")
    refused("https://u:pw@host/x.zip?t=1", "https://host/x.zip: is no .tar")
    refused("s3://bucket/x.tar.gz", "s3://bucket/x.tar.gz: is compressed")
    for source in (
        "s3://bucket/*.tar",
        f"https://u:pw@host/{{0..9}}.tar?t={'1' * 999}",
        root / "urls.txt",
    ):
        refused(source, ".tar: is elsewhere, and nothing may be fetched (--offline)", offline=True)


def test_folders_and_tables_of_pictures_are_cut_as_well(tmp_path, caplog):
    names = [f"sub/{n}.jpg" for n in range(5)]
    for name in names:
        write_picture(tmp_path / name, (8, 8))
    (tmp_path / "sub" / "notes.txt").write_text("no picture")
    (tmp_path / "sub" / "old.tar").write_bytes(b"")  # does not make it a folder of tars
    parts = open_parts(tmp_path / "sub", rows=2)
    assert not names_tars(str(tmp_path / "sub"))
    assert ids_of(parts) == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg"]]
    assert "left out, no pictures: notes.txt, old.tar" in caplog.text
    (tmp_path / "old.tar").write_bytes(b"")
    assert ids_of(open_parts(tmp_path, rows=9)) == [names]
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(names[:3]))
    assert ids_of(open_parts(tmp_path / "list.csv", rows=2)) == [names[:2], names[2:3]]
