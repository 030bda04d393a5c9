"""Downloads from a local server that misbehaves; archives that try to leave their folder."""

import gzip
import hashlib
import io
import os
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from vggfeat import fetch
from vggfeat.errors import DatasetError, DownloadError, WeightsError
from vggfeat.fetch import Source, download, find_archive, unpack
from vggfeat.weights import released

CONTENT = b"the real file" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        kind = self.path.split("/")[1]
        if kind == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = CONTENT[: len(CONTENT) // 2]
        self.wfile.write({"good": CONTENT, "cut": half, "wrong": CONTENT[::-1]}[kind])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def source(server, kind, digest=MD5):
    return Source(f"http://127.0.0.1:{server.server_port}/{kind}/file.bin", "md5", digest)


def test_a_download_arrives_whole_and_only_once(tmp_path, server):
    path = download([source(server, "good")], tmp_path / "new")
    assert path.read_bytes() == CONTENT
    download([source(server, "good")], tmp_path / "new")
    assert server.requests == ["/good/file.bin"]


@pytest.mark.parametrize(
    "kind, reason", [("missing", "404"), ("cut", "ended after"), ("wrong", "wrong content: md5")]
)
def test_a_bad_answer_leaves_nothing_and_says_why(tmp_path, server, kind, reason):
    with pytest.raises(DownloadError, match=reason) as error:
        download([source(server, kind)], tmp_path)
    assert f"by hand: file.bin (md5 {MD5})" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_next_source_is_tried(tmp_path, server):
    sources = [source(server, kind) for kind in ("missing", "cut", "wrong", "good")]
    assert download(sources, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 4


def test_no_server_at_all(tmp_path):
    with pytest.raises(DownloadError, match="127.0.0.1:9/x: .*refused"):
        download([Source("http://127.0.0.1:9/x", "md5", MD5)], tmp_path)


def test_offline_never_asks_and_says_what_to_put_where(tmp_path, server):
    with pytest.raises(DownloadError, match=f"{tmp_path} lacks the file.*file.bin"):
        download([source(server, "good")], tmp_path, offline=True)
    assert not server.requests


def test_torchvision_weights_are_fetched_once_and_verified(tmp_path, server, monkeypatch):
    sha = hashlib.sha256(CONTENT).hexdigest()[:8]
    monkeypatch.setattr(
        released, "TORCHVISION_ADDRESS", f"http://127.0.0.1:{server.server_port}/good/"
    )
    monkeypatch.setitem(released.TORCHVISION_FILES, "vgg16", f"vgg16-{sha}.pth")
    path = released.torchvision_file("vgg16", tmp_path)
    assert path.read_bytes() == CONTENT
    assert released.torchvision_file("vgg16", tmp_path, offline=True) == path
    with pytest.raises(DownloadError, match="wrong content: sha256"):
        released.torchvision_file("vgg19", tmp_path)
    with pytest.raises(WeightsError, match="no weights for 'vgg11_lrn'"):
        released.torchvision_file("vgg11_lrn", tmp_path)


def test_the_table_of_torchvisions_files_is_torchvisions_own():
    import torchvision

    for net, name in released.TORCHVISION_FILES.items():
        weights = torchvision.models.get_model_weights(net).IMAGENET1K_V1
        assert weights.url == released.TORCHVISION_ADDRESS + name


# Archives


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
    folder = unpack(archive, "101", tmp_path / "cache")
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {"cat/1.jpg": b"one", "dog/2.jpg": b"two"}
    (folder / "cat/1.jpg").write_bytes(b"still here")
    assert (unpack(archive, "101", tmp_path / "cache") / "cat/1.jpg").read_bytes() == b"still here"


def test_a_zip_with_a_tar_in_it_is_unpacked(tmp_path):
    """The layout of CaltechDATA's caltech-101.zip."""
    inner = tar(tmp_path / "inner.tar.gz", {"101/cat/1.jpg": b"one"}, "w:gz")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("caltech-101/readme", "hello")
        archive.write(inner, "caltech-101/101.tar.gz")
        archive.writestr("__MACOSX/caltech-101/._101.tar.gz", b"\0\5resource fork")
    folder = unpack(tmp_path / "c.zip", "101", tmp_path / "cache")
    assert (folder / "cat/1.jpg").read_bytes() == b"one"


def test_a_plain_zip_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("101/cat/1.jpg", b"one")
    folder = unpack(tmp_path / "c.zip", "101", tmp_path / "cache")
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
    folder = unpack(archive, "101", cache)
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
        unpack(archive, "101", tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").iterdir()]


@pytest.mark.parametrize("seed", range(30))
def test_a_changed_byte_in_a_gz_is_always_noticed(tmp_path, seed):
    entries = {f"101/cat/{i}.jpg": os.urandom(1024) for i in range(3)}
    archive = tar(tmp_path / "a.tar.gz", entries, "w:gz")
    content = bytearray(archive.read_bytes())
    content[np.random.default_rng(seed).integers(20, len(content))] ^= 255
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match="a.tar.gz"):
        unpack(archive, "101", tmp_path / "cache")
    find_archive(tmp_path, "102", ())  # passes it over


def test_the_folder_may_come_late_in_an_archive(tmp_path):
    entries = {f"Annotations/{i}.mat": b"" for i in range(300)} | ENTRIES
    wanted = tar(tmp_path / "a.tar.gz", entries, "w:gz")
    assert find_archive(tmp_path, "101", ()) == wanted


def test_two_processes_may_unpack_the_same_archive(tmp_path, monkeypatch):
    """The second to finish leaves the first one's folder alone."""
    archive = tar(tmp_path / "a.tar", ENTRIES)
    unpack_into = fetch._unpack_into

    def overtaken(*arguments):
        monkeypatch.setattr(fetch, "_unpack_into", unpack_into)
        unpack(archive, "101", tmp_path / "cache")
        (inode,) = (path.stat().st_ino for path in (tmp_path / "cache").glob("101-*"))
        inodes.append(inode)
        unpack_into(*arguments)

    inodes = []
    monkeypatch.setattr(fetch, "_unpack_into", overtaken)
    folder = unpack(archive, "101", tmp_path / "cache")
    assert folder.parent.stat().st_ino == inodes[0]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.parent.name]


def test_an_archive_without_the_folder_says_so(tmp_path):
    archive = tar(tmp_path / "a.tar", {"other/1.jpg": b"one"})
    with pytest.raises(DatasetError, match="holds no folder '101'"):
        unpack(archive, "101", tmp_path / "cache")


def test_any_tar_that_holds_the_folder_is_found(tmp_path):
    (tmp_path / "broken.tar").write_bytes(b"not a tar" * 100)
    (tmp_path / "broken.zip").write_bytes(b"not a zip")
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"not an archive"))
    tar(tmp_path / "other.tar", {"elsewhere/1.jpg": b"one"})
    assert find_archive(tmp_path, "101", ()) is None
    wanted = tar(tmp_path / "z.tar", ENTRIES)
    assert find_archive(tmp_path, "101", ()) == wanted
    named = tar(tmp_path / "named.tar.gz", ENTRIES, "w:gz")
    assert find_archive(tmp_path, "101", ("named.tar.gz",)) == named
    assert find_archive(tmp_path / "no such folder", "101", ()) is None


def test_a_new_archive_under_an_old_name_is_unpacked_anew(tmp_path):
    unpack(tar(tmp_path / "a.tar", {"101/cat/1.jpg": b"one"}), "101", tmp_path / "cache")
    archive = tar(tmp_path / "a.tar", {"101/cat/1.jpg": b"another"})
    folder = unpack(archive, "101", tmp_path / "cache")
    assert (folder / "cat/1.jpg").read_bytes() == b"another"
