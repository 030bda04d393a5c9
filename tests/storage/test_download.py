"""Downloads from a local server that cuts, lies, stalls and redirects."""

import errno
import hashlib
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vggfeat.errors import DownloadError
from vggfeat.storage import connection
from vggfeat.storage import download as downloads
from vggfeat.storage.download import download
from vggfeat.storage.sources import Source

CONTENT = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(400))  # no period to hide in
SIZE = len(CONTENT)
MD5 = hashlib.md5(CONTENT).hexdigest()
PARTIAL = f".file.bin.{MD5[:8]}.part"
HALF = SIZE // 2
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"


class Handler(BaseHTTPRequestHandler):
    """Addresses are /KIND/file.bin; what a kind does is the method of that name."""

    def do_GET(self):
        asked = self.headers["Range"]
        self.start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.server.requests.append((self.path.split("/")[1], self.start))
        try:
            getattr(self, self.path.split("/")[1])()
        except ConnectionError:
            pass  # the client has had enough

    def answer(self, body, length=None, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def rest(self, content=CONTENT, num_bytes=None):
        """All of what is asked for, or its first bytes."""
        if self.start >= len(content):
            self.answer(b"", status=416, Content_Range=f"bytes */{len(content)}")
            return
        body = content[self.start :]
        head = {}
        if self.start:
            span = f"bytes {self.start}-{len(content) - 1}/{len(content)}"
            head = {"status": 206, "Content_Range": span}
        self.answer(body[:num_bytes], length=len(body), **head)

    def good(self):
        self.rest()

    def thirds(self):
        self.rest(num_bytes=SIZE // 3 + 1)

    def drops(self):
        self.rest(num_bytes=100)

    def nothing_more(self):
        self.rest(num_bytes=0 if self.start else HALF)

    def whole(self):  # as a server without ranges does
        self.answer(CONTENT)

    def cut(self):
        self.answer(CONTENT[:HALF], length=SIZE)

    def whole_after_a_cut(self):
        self.answer(CONTENT if len(self.server.requests) > 1 else CONTENT[:HALF], length=SIZE)

    def stalls(self):
        if self.start:
            self.rest()
            return
        self.answer(CONTENT[:HALF], length=SIZE)
        self.wfile.flush()
        self.server.go_on.wait(10)
        self.wfile.write(CONTENT[HALF:])

    def mute(self):
        self.server.go_on.wait(10)

    def hangs_up(self):
        pass

    def babbles(self):
        self.wfile.write(b"220 smtp ready\r\n")

    def wrong(self):
        self.rest(CONTENT[::-1])

    def page(self):
        self.answer(PAGE)

    def empty(self):
        self.answer(b"")

    def missing(self):
        self.send_error(404)

    def fails(self):
        self.send_error(500)

    def never_in_range(self):
        if self.start:
            self.answer(b"", status=416)
        else:
            self.rest()

    def another_range(self):
        if self.start:
            span = f"bytes 0-{SIZE - 1}/{SIZE}"
            self.answer(CONTENT, status=206, Content_Range=span)
        else:
            self.rest()

    def no_range_named(self):
        if self.start:
            self.answer(CONTENT[self.start :], status=206)
        else:
            self.rest()

    def only_ranges(self):
        self.answer(CONTENT[5:], status=206, Content_Range=f"bytes 5-{SIZE - 1}/{SIZE}")

    def promises_more(self):
        self.answer(CONTENT, length=SIZE + 100)

    def promises_less(self):
        self.answer(CONTENT, length=SIZE - 100)

    def another_file(self):
        self.rest(CONTENT + b"and more")

    def unmeasured(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        while not self.server.go_on.is_set():
            self.wfile.write(CONTENT)

    def chunks_cut(self):
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b" % (SIZE, CONTENT[:HALF]))
        self.close_connection = True

    def chunks(self):  # with a length beside them, which then means nothing
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Content-Length", "5")
        self.end_headers()
        for half in (CONTENT[:HALF], CONTENT[HALF:], b""):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(half), half))
        self.close_connection = True

    def head_only(self):
        self.answer(b"", length=SIZE)

    def moved(self):
        self.answer(b"", status=302, Location="/thirds/file.bin")

    def to_a_file(self):
        self.answer(b"", status=302, Location="file:///etc/passwd")

    def to_ftp(self):
        self.answer(b"", status=301, Location=f"ftp://127.0.0.1:{self.server.server_port}/x")

    def to_nobody(self):
        self.answer(b"", status=302, Location="http://127.0.0.1:9/x")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.go_on = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_S", 0)
    monkeypatch.setattr(connection, "TIMEOUT_S", 5)


def source(server, kind, digest=MD5, size=None):
    return Source(f"http://127.0.0.1:{server.server_port}/{kind}/file.bin", "md5", digest, size)


def refusal(sources, folder):
    with pytest.raises(DownloadError) as error:
        download(sources, folder)
    assert not (folder / "file.bin").exists()
    # In a user's words, not in those of Python's objects.
    assert not any(word in str(error.value) for word in ("Errno", "<", "\n", "Error("))
    return str(error.value)


def files_in(folder):
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_download_arrives_whole_and_only_once(tmp_path, server):
    path = download([source(server, "good")], tmp_path / "new")
    assert path.read_bytes() == CONTENT
    download([source(server, "good")], tmp_path / "new")
    assert server.requests == [("good", 0)]
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_progress_is_reported_in_bytes(tmp_path, server):
    (tmp_path / PARTIAL).write_bytes(CONTENT[:HALF])
    reports = []
    download([source(server, "good")], tmp_path, progress=lambda *now: reports.append(now))
    assert reports[0] == ("fetching file.bin", HALF, SIZE)
    assert reports[-1] == ("fetching file.bin", SIZE, SIZE)
    (tmp_path / "file.bin").unlink()
    reports.clear()
    download([source(server, "unmeasured")], tmp_path, progress=lambda *now: reports.append(now))
    assert reports[-1] == ("fetching file.bin", SIZE, 0)


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("missing", "HTTP Error 404: Not Found"),
        ("fails", "HTTP Error 500: Internal Server Error"),
        ("wrong", "wrong content: md5 .*, not " + MD5),
        ("page", "wrong content: a web page instead of the file"),
        ("empty", "wrong content: md5 .*, not " + MD5),
        ("only_ranges", "sends a part of the file without being asked to"),
        ("to_a_file", "HTTP Error 302: .*'file:///etc/passwd' is not allowed"),
        ("to_ftp", "HTTP Error 301: .*'ftp://.*' is not allowed"),
        ("to_nobody", r"127.0.0.1:9 does not answer \(connection refused\)"),
        ("hangs_up", r"127.0.0.1:\d+ does not answer \(the connection was closed\)"),
        ("babbles", r"127.0.0.1:\d+ does not answer \(what came is not what a web server says\)"),
        ("promises_less", f"sends more than the {SIZE - 100:,} bytes that it promises"),
    ],
)
def test_a_bad_answer_leaves_nothing_and_says_why(tmp_path, server, kind, reason):
    message = refusal([source(server, kind)], tmp_path)
    assert re.search(reason, message)
    assert f"by hand: file.bin (md5 {MD5})" in message
    assert not files_in(tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "kind, reason, num_requests",
    [
        ("cut", f"after {HALF:,} of {SIZE:,} bytes each time: more is promised than sent", 2),
        ("nothing_more", f"after {HALF:,} of {SIZE:,} bytes each time", 2),
        ("drops", f"the connection ended after 500 of {SIZE:,} bytes)", 5),
        ("promises_more", f"after {SIZE:,} of {SIZE + 100:,} bytes each time: more is promised", 2),
        ("chunks_cut", f"the connection ended after {HALF:,} bytes each time", 2),
    ],
)
def test_what_came_before_a_cut_is_kept(tmp_path, server, kind, reason, num_requests):
    message = refusal([source(server, kind)], tmp_path)
    assert reason in message and len(server.requests) == num_requests
    kept = (tmp_path / PARTIAL).read_bytes()
    assert CONTENT.startswith(kept) and f"({len(kept):,} bytes came and are kept)" in message


@pytest.mark.parametrize(
    "kind, size, reason",
    [
        ("another_file", SIZE, f"promises {SIZE + 8:,} bytes, but the file has {SIZE:,}"),
        ("promises_more", SIZE, f"promises {SIZE + 100:,} bytes, but the file has {SIZE:,}"),
        ("promises_less", SIZE, f"promises {SIZE - 100:,} bytes, but the file has {SIZE:,}"),
        ("good", SIZE + 1, f"promises {SIZE:,} bytes, but the file has {SIZE + 1:,}"),
        ("page", SIZE, "a web page instead of the file"),
    ],
)
@pytest.mark.parametrize("have", [b"", CONTENT[:HALF]])
def test_a_false_promise_is_refused_before_anything_is_written(
    tmp_path, server, kind, size, reason, have
):
    (tmp_path / PARTIAL).write_bytes(have)
    assert reason in refusal([source(server, kind, size=size)], tmp_path)
    assert (tmp_path / PARTIAL).read_bytes() == have


def test_a_body_without_end_is_not_read_on(tmp_path, server, monkeypatch):
    monkeypatch.setattr(connection, "CHUNK", 1000)
    most = 0

    def progress(label, done, total):
        nonlocal most
        most = max(most, done)

    with pytest.raises(DownloadError, match=f"sends more than the {SIZE:,} bytes of the file"):
        download([source(server, "endless", size=SIZE)], tmp_path, progress=progress)
    assert SIZE < most <= SIZE + 1000
    assert not files_in(tmp_path)


def test_without_any_length_the_digest_decides(tmp_path, server):
    assert download([source(server, "unmeasured")], tmp_path).read_bytes() == CONTENT
    assert download([source(server, "unmeasured", size=SIZE)], tmp_path / "2").is_file()
    message = refusal([source(server, "unmeasured", size=SIZE + 1)], tmp_path / "3")
    assert f"after {SIZE:,} of {SIZE + 1:,} bytes" in message


def test_a_body_in_chunks(tmp_path, server):
    assert download([source(server, "chunks")], tmp_path).read_bytes() == CONTENT


def test_a_server_that_brings_nothing_is_not_asked_again(tmp_path, server):
    message = refusal([source(server, "head_only")], tmp_path)
    assert f"the connection ended after 0 of {SIZE:,} bytes)" in message and "kept" not in message
    assert server.requests == [("head_only", 0)]


def test_the_partial_files_of_other_mirrors_are_removed_when_one_file_is_there(tmp_path, server):
    other = Source(f"http://127.0.0.1:{server.server_port}/cut/other.bin", "md5", MD5)
    path = download([other, source(server, "good")], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] == ["file.bin"]


def test_the_next_source_is_tried(tmp_path, server):
    kinds = ["missing", "fails", "hangs_up", "cut", "wrong", "page", "good"]
    assert download([source(server, kind) for kind in kinds], tmp_path).read_bytes() == CONTENT
    assert list(dict.fromkeys(kind for kind, _ in server.requests)) == kinds
    assert files_in(tmp_path) == {"file.bin"}


# Resuming


def test_a_cut_connection_is_resumed(tmp_path, server):
    assert download([source(server, "thirds")], tmp_path).read_bytes() == CONTENT
    third = SIZE // 3 + 1
    assert server.requests == [("thirds", 0), ("thirds", third), ("thirds", 2 * third)]


def test_redirects_keep_what_is_asked_for(tmp_path, server):
    assert download([source(server, "moved")], tmp_path).read_bytes() == CONTENT
    third = SIZE // 3 + 1
    asked = [start for start in (0, third, 2 * third) for _ in range(2)]
    assert [start for _, start in server.requests] == asked


def test_a_second_mirror_resumes_the_partial_file_of_the_first(tmp_path, server):
    sources = [source(server, "nothing_more"), source(server, "good")]
    assert download(sources, tmp_path).read_bytes() == CONTENT
    assert server.requests == [("nothing_more", 0), ("nothing_more", HALF), ("good", HALF)]


def test_a_server_without_ranges_starts_again(tmp_path, server):
    assert download([source(server, "whole_after_a_cut")], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("whole_after_a_cut", 0), ("whole_after_a_cut", HALF)]


@pytest.mark.parametrize("kind", ["never_in_range", "another_range", "no_range_named"])
def test_an_answer_for_another_range_starts_again(tmp_path, server, kind):
    (tmp_path / PARTIAL).write_bytes(CONTENT[:HALF])
    assert download([source(server, kind)], tmp_path).read_bytes() == CONTENT
    assert server.requests == [(kind, HALF), (kind, 0)]


def test_a_partial_file_that_is_whole_already_is_taken(tmp_path, server):
    (tmp_path / PARTIAL).write_bytes(CONTENT)
    assert download([source(server, "good")], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("good", SIZE)]


def test_a_partial_file_is_whole_only_if_the_server_says_so(tmp_path, server):
    (tmp_path / PARTIAL).write_bytes(CONTENT)
    assert download([source(server, "never_in_range")], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("never_in_range", SIZE), ("never_in_range", 0)]


@pytest.mark.parametrize("content", [b"?" * HALF, b"?" * SIZE, b"?" * (SIZE + 1)])
def test_a_damaged_partial_file_is_fetched_again(tmp_path, server, content):
    (tmp_path / PARTIAL).write_bytes(content)
    assert download([source(server, "good")], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("good", len(content)), ("good", 0)]


def test_a_page_that_asks_for_a_login_does_not_replace_a_partial_file(tmp_path, server):
    (tmp_path / PARTIAL).write_bytes(CONTENT[:HALF])
    assert "a web page" in refusal([source(server, "page")], tmp_path)
    assert (tmp_path / PARTIAL).read_bytes() == CONTENT[:HALF]


def test_another_version_of_a_file_has_another_partial_file(tmp_path, server):
    (tmp_path / ".file.bin.00000000.part").write_bytes(b"of another file")
    download([source(server, "good")], tmp_path)
    assert server.requests == [("good", 0)]


# Two processes


def fetching_process(server, folder):
    """A process that fetches from `stalls`, once half of the file has come."""
    code = (
        "from pathlib import Path; from vggfeat.storage.download import download;"
        "from vggfeat.storage.sources import Source;"
        f"download([{source(server, 'stalls')!r}], Path({str(folder)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (folder / PARTIAL).is_file() or (folder / PARTIAL).stat().st_size < HALF:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_killed_download_is_resumed(tmp_path, server):
    process = fetching_process(server, tmp_path)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert download([source(server, "stalls")], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("stalls", 0), ("stalls", HALF)]


def test_a_second_process_waits_for_the_first_and_takes_its_file(tmp_path, server):
    process = fetching_process(server, tmp_path)
    paths = []
    second = threading.Thread(
        target=lambda: paths.append(download([source(server, "good")], tmp_path))
    )
    second.start()
    second.join(0.2)
    assert second.is_alive() and server.requests == [("stalls", 0)]
    server.go_on.set()
    second.join()
    assert process.wait() == 0
    assert paths[0].read_bytes() == CONTENT and server.requests == [("stalls", 0)]


# No answer


def test_no_server_at_all(tmp_path):
    message = refusal([Source("http://127.0.0.1:9/x", "md5", MD5)], tmp_path)
    assert "http://127.0.0.1:9/x: 127.0.0.1:9 does not answer (connection refused)" in message


@pytest.mark.parametrize("kind", ["mute", "stalls"])
def test_a_server_that_falls_silent(tmp_path, server, monkeypatch, kind):
    monkeypatch.setattr(connection, "TIMEOUT_S", 0.1)
    if kind == "mute":
        message = refusal([source(server, kind)], tmp_path)
        assert f"127.0.0.1:{server.server_port} does not answer (nothing came for 0.1 s)" in message
    else:  # it is asked again for the rest, and gives it
        assert download([source(server, kind)], tmp_path).read_bytes() == CONTENT
        assert server.requests == [("stalls", 0), ("stalls", HALF)]


def test_an_unknown_host(tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = refusal([Source("http://nowhere.invalid/x", "md5", MD5)], tmp_path)
    assert "nowhere.invalid does not answer (unknown host, or no network)" in message


def test_no_secure_connection(tmp_path, server):
    url = f"https://127.0.0.1:{server.server_port}/good/file.bin"
    assert "no secure connection could be made" in refusal([Source(url, "md5", MD5)], tmp_path)


def test_offline_never_asks_and_says_what_to_put_where(tmp_path, server):
    with pytest.raises(DownloadError, match=f"{tmp_path} lacks the file.*file.bin"):
        download([source(server, "good")], tmp_path, offline=True)
    assert not server.requests


# The disk


@pytest.mark.parametrize("size", [None, SIZE])
def test_no_room_is_said_before_anything_is_fetched(tmp_path, server, monkeypatch, size):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 6399))
    sources = [source(server, kind, size=size) for kind in ("good", "whole")]
    message = refusal(sources, tmp_path)
    assert f"{tmp_path}: the download needs {SIZE:,} bytes, and 6,399 are free." in message
    assert server.requests == [("good", 0)] and not files_in(tmp_path)
    (tmp_path / PARTIAL).write_bytes(CONTENT[: SIZE - 6399])  # it is only the rest that needs room
    download(sources, tmp_path)


class FullDisk(io.FileIO):
    def write(self, data):
        super().write(data[: HALF - self.tell()])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up(tmp_path, server, monkeypatch):
    sources = [source(server, "good"), source(server, "whole")]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode: FullDisk(path, mode))
        message = refusal(sources, tmp_path)
    assert f"{tmp_path}: the disk is full." in message and server.requests == [("good", 0)]
    download(sources, tmp_path)
    assert server.requests == [("good", 0), ("good", HALF)]


def test_a_folder_that_cannot_be_made(tmp_path, server):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError, match="cannot be written to .*Choose another folder"):
        download([source(server, "good")], tmp_path / "file" / "below")
    assert not server.requests


# Sources


@pytest.mark.parametrize(
    "url, digest, reason",
    [
        ("file:///etc/passwd", MD5, "starts with http:// or https://"),
        ("ftp://host/file", MD5, "starts with http:// or https://"),
        ("http://host/folder/", MD5, "ends with the name of a file"),
        ("http://host/folder/..", MD5, "ends with the name of a file"),
        ("http://host", MD5, "ends with the name of a file"),
        ("http://host/file", "", "digits 0 to 9 and a to f"),
        ("http://host/file", MD5.upper(), "digits 0 to 9 and a to f"),
    ],
)
def test_a_source_that_makes_no_sense(url, digest, reason):
    with pytest.raises(ValueError, match=reason):
        Source(url, "md5", digest)


def test_the_query_of_an_address_is_not_part_of_the_name():
    assert Source("https://host/records/1/files/a.zip?download=1", "md5", MD5).name == "a.zip"
