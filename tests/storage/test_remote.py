"""Copies of remote files: from fsspec's memory, and from a local server that cuts and refuses."""

import hashlib
import logging
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from vggfeat.errors import DownloadError
from vggfeat.storage import remote
from vggfeat.storage.remote import NotThere, beginning, fetched, listed
from vggfeat.storage.urls import shown

CONTENT = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(1000))
SIZE = len(CONTENT)
SECRET = "s3cr3t"


class Handler(BaseHTTPRequestHandler):
    """Addresses are /KIND/x.tar; what a kind does is the method of that name."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.kind = self.path.split("/")[1]
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        self.span = (int(span[1]), int(span[2]) + 1) if span else None
        self.server.requests.append((self.command, self.kind, self.span))
        getattr(self, self.kind)()

    def answer(self, body, status=200, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def part(self, num_bytes=None):
        if self.span is None:
            self.answer(CONTENT, Accept_Ranges="bytes")
            return
        start, end = self.span[0], min(self.span[1], SIZE)
        body = CONTENT[start:end]
        cut = {} if num_bytes is None else {"length": len(body)}
        span = f"bytes {start}-{end - 1}/{SIZE}"
        self.answer(body[:num_bytes], 206, Content_Range=span, **cut)

    def good(self):
        self.part()

    def fails_once(self):
        gets = [r for r in self.server.requests if r[2] is not None]
        if self.span and len(gets) == 2:
            self.answer(b"", 503)
        else:
            self.part()

    def cuts_once(self):
        self.part(num_bytes=10 if len(self.server.requests) == 3 else None)

    def whole(self):  # as servers without ranges do
        self.answer(CONTENT)

    def whole_cut_once(self):
        gets = [r for r in self.server.requests if r[0] == "GET" and r[2] is None]
        cut = len(gets) == 1
        self.answer(CONTENT[: SIZE // 2] if cut else CONTENT, length=SIZE if cut else None)

    def broken(self):
        self.answer(b"", 500)

    def refused(self):
        self.answer(b"", 403)

    def unready(self):  # as a server that is asked by many at once
        busy = len(self.server.requests) < 4
        self.answer(b"", 503) if busy else self.part()

    def endless(self):
        self.answer(b"", 302, Location=self.path)

    def gone(self):
        self.answer(b"", 404)


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "PAUSE_S", 0.0)
    monkeypatch.setattr(remote, "CHUNK", 2**13)
    Handler.log_message = lambda *arguments: None
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def url_of(server):
    fsspec.filesystem("http").clear_instance_cache()
    host = f"127.0.0.1:{server.server_port}"
    return lambda kind: f"http://user:{SECRET}@{host}/{kind}/x.tar?token={SECRET}"


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def refused(url, folder):
    with pytest.raises(DownloadError) as caught, fetched(url, folder):
        pass
    text = str(caught.value)
    assert SECRET not in text and "\n" not in text and not list(folder.glob(".*"))
    assert SECRET not in repr(caught.value.__cause__)
    return caught


def test_a_copy_lasts_as_long_as_the_block(memory, tmp_path):
    memory.pipe("/bucket/x.tar", CONTENT)
    with fetched("memory://bucket/x.tar", tmp_path / "new") as copy:
        assert copy.read_bytes() == CONTENT and copy.parent == tmp_path / "new"
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(KeyError), fetched("memory://bucket/x.tar", tmp_path / "new"):
        raise KeyError
    assert not list((tmp_path / "new").iterdir())


def test_copies_that_killed_processes_left_are_removed_and_those_in_use_are_not(memory, tmp_path):
    memory.pipe("/bucket/x.tar", CONTENT)
    left = tmp_path / ".y.tar.0123abcd.part"
    left.write_bytes(b"left")
    with fetched("memory://bucket/x.tar", tmp_path) as copy:
        assert not left.exists()
        with fetched("memory://bucket/x.tar", tmp_path) as other:
            assert copy.exists() and other.exists() and copy != other


@pytest.mark.parametrize("kind", ["good", "fails_once", "cuts_once", "whole", "whole_cut_once"])
def test_what_comes_is_whole_whatever_breaks(url_of, server, tmp_path, kind):
    with fetched(url_of(kind), tmp_path) as copy:
        assert copy.read_bytes() == CONTENT
    spans = [span for _, _, span in server.requests if span]
    if kind in ("fails_once", "cuts_once"):  # and no byte of those that came is asked for again
        assert len(spans) == 5 and len(set(spans)) == 4


def test_what_cannot_be_fetched_is_said_in_a_line_without_secrets(url_of, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert refused(url_of("gone"), tmp_path).type is NotThere
    assert str(refused(url_of("broken"), tmp_path).value).endswith(
        "/broken/x.tar: HTTP status 500, 5 times one after the other. Try again; what is extracted"
        " stays so."
    )
    assert "access is refused" in str(refused(url_of("refused"), tmp_path).value)
    nobody = f"http://user:{SECRET}@127.0.0.1:1/x.tar?token={SECRET}"
    assert "5 times" in str(refused(nobody, tmp_path).value)
    unknown = refused("what://bucket/x.tar", tmp_path)
    assert "x.tar: is no address that can be fetched (Protocol not known" in str(unknown.value)
    endless = str(refused(url_of("endless"), tmp_path).value)
    assert endless.endswith("/endless/x.tar: leads from one address to another without end")
    assert SECRET not in caplog.text


def test_the_first_look_is_tried_again(url_of, server):
    assert beginning(url_of("unready"), 100) == CONTENT[:100]
    with pytest.raises(DownloadError, match="HTTP status 500, 3 times. Try again.") as caught:
        beginning(url_of("broken"), 100)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1/x.tar", "http:///x.tar", "http://h:99999/x.tar", f"http://me:{SECRET}/x"]
)
def test_what_is_no_address_is_told_without_secrets(url):
    with pytest.raises(DownloadError, match="http://...: has no host, or a port that is") as caught:
        shown(url)
    assert SECRET not in str(caught.value)


def test_a_long_name_is_no_longer_than_file_names_may_be(memory, tmp_path):
    memory.pipe(f"/bucket/{'ä' * 250}.tar", CONTENT)
    with fetched(f"memory://bucket/{'ä' * 250}.tar", tmp_path) as copy:
        assert copy.read_bytes() == CONTENT


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    assert "pip install 'vggfeat[remote]'" in str(refused("s3://b/x.tar", tmp_path).value)


def test_addresses_are_listed_by_a_pattern_and_shown_without_secrets(memory):
    for name in ("b.tar", "a.tar", "c.txt"):
        memory.pipe(f"/bucket/{name}", b"")
    assert listed("memory://bucket/*.tar") == ["memory:///bucket/a.tar", "memory:///bucket/b.tar"]
    assert shown("https://me:pw@host:80/a/b.tar?x=1#y") == "https://host:80/a/b.tar"
