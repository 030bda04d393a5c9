"""Archives that are damaged, that overlap, and that try to leave their folder."""

import gzip
import io
import logging
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from vggfeat.errors import DatasetError
from vggfeat.storage import archives
from vggfeat.storage.archives import find_archives, unpack


def tar(path, entries, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


ENTRIES = {"x/101/cat/1.jpg": b"one", "x/101/dog/2.jpg": b"two", "x/other.txt": b"no"}


@pytest.mark.parametrize("name, mode", [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_a_tar_is_unpacked_once(tmp_path, name, mode):
    archive = tar(tmp_path / name, ENTRIES, mode)
    folder = unpack([archive], "101", tmp_path / "cache")
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {"cat/1.jpg": b"one", "dog/2.jpg": b"two"}
    (folder / "cat/1.jpg").write_bytes(b"still here")
    assert (
        unpack([archive], "101", tmp_path / "cache") / "cat/1.jpg"
    ).read_bytes() == b"still here"


def test_a_zip_with_a_tar_in_it_is_unpacked(tmp_path):
    """The layout of CaltechDATA's caltech-101.zip."""
    inner = tar(tmp_path / "inner.tar.gz", {"101/cat/1.jpg": b"one"}, "w:gz")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("caltech-101/readme", "hello")
        archive.write(inner, "caltech-101/101.tar.gz")
        archive.writestr("__MACOSX/caltech-101/._101.tar.gz", b"\0\5resource fork")
    folder = unpack([tmp_path / "c.zip"], "101", tmp_path / "cache")
    assert (folder / "cat/1.jpg").read_bytes() == b"one"


def test_a_plain_zip_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("101/cat/1.jpg", b"one")
    folder = unpack([tmp_path / "c.zip"], "101", tmp_path / "cache")
    assert (folder / "cat/1.jpg").read_bytes() == b"one"


def test_entries_that_point_outside_are_not_written(tmp_path):
    archive = tar(
        tmp_path / "evil.tar",
        {
            "101/cat/1.jpg": b"one",
            "101/../../outside.txt": b"evil",
            "/101/absolute.txt": b"kept inside",
        },
    )
    with tarfile.open(archive, "a") as opened:
        link = tarfile.TarInfo("101/cat/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    cache = tmp_path / "deep" / "cache"
    folder = unpack([archive], "101", cache)
    assert {p.name for p in folder.rglob("*")} == {"cat", "1.jpg", "absolute.txt"}
    assert not list(tmp_path.rglob("outside.txt"))


@pytest.mark.parametrize("name, mode", [("a.tar", "w"), ("a.tar.gz", "w:gz")])
@pytest.mark.parametrize("keep", [0.3, 0.6, "between entries"])
def test_half_an_archive_is_an_error_and_leaves_nothing(tmp_path, name, mode, keep):
    entries = {f"101/cat/{i}.jpg": os.urandom(1024) for i in range(9)}
    archive = tar(tmp_path / name, entries, mode)
    content = archive.read_bytes()
    kept = 3 * (512 + 1024) if keep == "between entries" else int(keep * len(content))
    archive.write_bytes(content[:kept])
    with pytest.raises(DatasetError, match=f"{name}: damaged or cut short"):
        unpack([archive], "101", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("seed", range(30))
def test_a_changed_byte_in_a_gz_is_always_noticed(tmp_path, seed):
    entries = {f"101/cat/{i}.jpg": os.urandom(1024) for i in range(3)}
    archive = tar(tmp_path / "a.tar.gz", entries, "w:gz")
    content = bytearray(archive.read_bytes())
    content[np.random.default_rng(seed).integers(20, len(content))] ^= 255
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match="a.tar.gz"):
        unpack([archive], "101", tmp_path / "cache")
    assert find_archives(tmp_path, "102", []) == []  # passes it over


def test_the_folder_may_come_late_in_an_archive(tmp_path):
    entries = {f"Annotations/{i}.mat": b"" for i in range(300)} | ENTRIES
    wanted = tar(tmp_path / "a.tar.gz", entries, "w:gz")
    assert find_archives(tmp_path, "101", []) == [wanted]


def test_a_second_process_waits_for_the_first_and_takes_its_folder(tmp_path, monkeypatch):
    archive = tar(tmp_path / "a.tar", ENTRIES)
    write, begun, go_on = archives._write, threading.Event(), threading.Event()

    def slow_write(*arguments):
        begun.set()
        assert go_on.wait(10)
        write(*arguments)

    monkeypatch.setattr(archives, "_write", slow_write)
    folders = []
    workers = [
        threading.Thread(
            target=lambda: folders.append(unpack([archive], "101", tmp_path / "cache"))
        )
        for _ in range(2)
    ]
    workers[0].start()
    assert begun.wait(10)
    (unfinished,) = (tmp_path / "cache").glob(".101-*.part")
    inode = unfinished.stat().st_ino
    workers[1].start()
    workers[1].join(0.2)
    assert workers[1].is_alive() and list((tmp_path / "cache").glob(".101-*.part")) == [unfinished]
    go_on.set()
    for worker in workers:
        worker.join()
    assert folders[0] == folders[1] and folders[0].parent.stat().st_ino == inode
    assert list((tmp_path / "cache").iterdir()) == [folders[0].parent]


def test_what_a_killed_process_left_is_removed(tmp_path):
    archive = tar(tmp_path / "a.tar", ENTRIES)
    code = (
        "import os; import signal; from pathlib import Path; from vggfeat.storage import archives;"
        "archives._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        f"archives.unpack([Path({str(archive)!r})], '101', Path({str(tmp_path / 'cache')!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (stale,) = (tmp_path / "cache").glob(".101-*.part")
    (tmp_path / "cache" / ".101-000000000000.abcdefab.part").mkdir()  # of another archive
    folder = unpack([archive], "101", tmp_path / "cache")
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert names == {folder.parent.name, ".101-000000000000.abcdefab.part"}
    assert (folder / "cat/1.jpg").read_bytes() == b"one"


def test_an_archive_without_the_folder_says_so(tmp_path):
    archive = tar(tmp_path / "a.tar", {"other/1.jpg": b"one"})
    with pytest.raises(DatasetError, match="holds no folder '101'"):
        unpack([archive], "101", tmp_path / "cache")


def test_any_tar_that_holds_the_folder_is_found(tmp_path):
    (tmp_path / "broken.tar").write_bytes(b"not a tar" * 100)
    (tmp_path / "broken.zip").write_bytes(b"not a zip")
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"not an archive"))
    tar(tmp_path / "other.tar", {"elsewhere/1.jpg": b"one"})
    assert find_archives(tmp_path, "101", []) == []
    wanted = tar(tmp_path / "z.tar", ENTRIES)
    assert find_archives(tmp_path, "101", []) == [wanted]
    named = tar(tmp_path / "named.tar.gz", ENTRIES, "w:gz")
    assert find_archives(tmp_path, "101", [["named.tar.gz"]]) == [named]
    assert find_archives(tmp_path / "no such folder", "101", []) == []


def test_a_new_archive_under_an_old_name_is_unpacked_anew(tmp_path):
    unpack([tar(tmp_path / "a.tar", {"101/cat/1.jpg": b"one"})], "101", tmp_path / "cache")
    archive = tar(tmp_path / "a.tar", {"101/cat/1.jpg": b"another"})
    folder = unpack([archive], "101", tmp_path / "cache")
    assert (folder / "cat/1.jpg").read_bytes() == b"another"


# Several archives


TRAIN = {"kit/VOC/Images/1.jpg": b"one", "kit/VOC/Sets/train.txt": b"1", "kit/VOC/readme": b"hi"}
TEST = {"kit/VOC/Images/2.jpg": b"two", "kit/VOC/Sets/test.txt": b"2", "kit/VOC/readme": b"hi"}


def test_archives_that_share_a_folder_make_one(tmp_path):
    parts = [tar(tmp_path / "train.tar", TRAIN), tar(tmp_path / "test.tgz", TEST, "w:gz")]
    folder = unpack(parts, "VOC", tmp_path / "cache")
    files = {f"kit/VOC/{p.relative_to(folder)}": p for p in folder.rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in files.items()} == TRAIN | TEST
    assert unpack(parts[::-1], "VOC", tmp_path / "cache") == folder
    assert unpack(parts[:1], "VOC", tmp_path / "cache") != folder
    tar(parts[1], TEST | {"VOC/new": b"!"}, "w:gz")
    assert (unpack(parts, "VOC", tmp_path / "cache") / "new").is_file()


@pytest.mark.parametrize("other", [b"ho", b"h", b"hi!", b""])
def test_archives_that_contradict_each_other_are_an_error(tmp_path, other):
    train = tar(tmp_path / "train.tar", TRAIN)
    test = tar(tmp_path / "test.tar", TEST | {"kit/VOC/readme": other})
    message = f"{test} and {train} hold different files called 'kit/VOC/readme'"
    with pytest.raises(DatasetError, match=message):
        unpack([train, test], "VOC", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("names", [("VOC/a", "VOC/a/b"), ("VOC/a/b", "VOC/a")])
def test_a_file_that_is_a_folder_elsewhere_is_an_error(tmp_path, names):
    parts = [tar(tmp_path / f"{i}.tar", {name: b"x"}) for i, name in enumerate(names)]
    with pytest.raises(DatasetError, match=f"1.tar: '{names[1]}' is a file in one place"):
        unpack(parts, "VOC", tmp_path / "cache")


def test_one_damaged_archive_of_two_leaves_nothing(tmp_path):
    parts = [tar(tmp_path / "train.tar", TRAIN), tar(tmp_path / "test.tar", TEST)]
    parts[1].write_bytes(parts[1].read_bytes()[:1600])
    with pytest.raises(DatasetError, match="test.tar: damaged"):
        unpack(parts, "VOC", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    tar(parts[1], {"elsewhere/1.jpg": b""})
    with pytest.raises(DatasetError, match="test.tar: holds no folder 'VOC'"):
        unpack(parts, "VOC", tmp_path / "cache")


def test_no_archives_at_all(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        unpack([], "VOC", tmp_path)


def test_known_names_come_first_and_some_parts_may_be_missing(tmp_path):
    def names_of(*names):
        return [path.name for path in find_archives(tmp_path, "VOC", names)]

    choices = ["train.tar", "train.zip"], ["test.tar"]
    assert names_of(*choices) == []
    tar(tmp_path / "b.tar", TEST)
    tar(tmp_path / "a.tar", TRAIN)
    tar(tmp_path / "c.tar", ENTRIES)
    assert names_of(*choices) == names_of() == ["a.tar", "b.tar"]
    (tmp_path / "train.zip").write_bytes(b"damaged; unpack will say so")
    # Either of the others may hold what test.tar would.
    assert names_of(*choices) == ["train.zip", "a.tar", "b.tar"]
    tar(tmp_path / "test.tar", TEST)
    tar(tmp_path / "train.tar", TRAIN)
    assert names_of(*choices) == ["train.tar", "test.tar"]
    assert names_of(*choices[::-1]) == ["test.tar", "train.tar"]


# Odd contents


def test_a_folder_in_a_folder_of_its_name_stays_there(tmp_path):
    archive = tar(tmp_path / "a.tar", {"101/101/cat/1.jpg": b"one"})
    assert (unpack([archive], "101", tmp_path / "cache") / "101/cat/1.jpg").is_file()


def test_a_file_called_like_the_folder_is_not_the_folder(tmp_path):
    archive = tar(tmp_path / "a.tar", {"x/101": b"a file"})
    assert find_archives(tmp_path, "101", []) == []
    with pytest.raises(DatasetError, match="holds no folder '101'"):
        unpack([archive], "101", tmp_path / "cache")


def test_links_are_left_out_and_named(tmp_path, caplog):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind, target in [
            ("101/1.jpg", tarfile.REGTYPE, ""),
            ("101/hard", tarfile.LNKTYPE, "101/1.jpg"),
            ("101/soft", tarfile.SYMTYPE, "1.jpg"),
            ("101/folder", tarfile.DIRTYPE, ""),
            ("101/hard to folder", tarfile.LNKTYPE, "101/folder"),
            ("101/out", tarfile.SYMTYPE, "/etc"),
            ("101/out/passwd", tarfile.REGTYPE, ""),
            ("elsewhere", tarfile.SYMTYPE, "/etc"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    with caplog.at_level(logging.WARNING):
        folder = unpack([tmp_path / "a.tar"], "101", tmp_path / "cache")
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"1.jpg", "hard", "out/passwd"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    (message,) = caplog.messages
    assert message == (
        f"{tmp_path / 'a.tar'}: 3 links are left out: 101/soft, 101/hard to folder, 101/out"
    )


def test_a_link_in_a_zip_is_left_out(tmp_path, caplog):
    info = zipfile.ZipInfo("101/link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
        archive.writestr("101/1.jpg", b"one")
    folder = unpack([tmp_path / "a.zip"], "101", tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["1.jpg"]
    assert "1 link is left out: 101/link" in caplog.text


def test_a_full_disk_is_not_called_a_damaged_archive(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    archive = tar(tmp_path / "a.tar", ENTRIES)
    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        unpack([archive], "101", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("field, value", [("header_offset", -(2**40)), ("filename", "x" * 300)])
def test_places_and_names_that_no_file_has_are_the_archives_fault(tmp_path, field, value):
    """They end in errors of the operating system, which are no fault of the disk."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("101/" + ("x" * 300 if field == "filename" else "1.jpg"), b"one")
    if field == "header_offset":
        content = bytearray(path.read_bytes())
        place = content.rindex(b"PK\1\2") + 42  # of the local header, in the central directory
        content[place : place + 4] = b"\xf0\xff\xff\xff"
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="a.zip: damaged or cut short"):
        unpack([path], "101", tmp_path / "cache")
