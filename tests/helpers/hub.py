"""A server here that speaks as much of the Hugging Face hub's HTTP as reading data sets takes."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Hub(BaseHTTPRequestHandler):
    """Serves `repositories`: id -> commits, the newest last, each a pair of sha and folder."""

    repositories: dict[str, list[tuple[str, Path]]]
    asked: list[str]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        is_json = "json" in self.headers.get("Content-Type", "")
        wanted = json.loads(body)["paths"] if is_json else parse_qs(body)["paths"]
        self._route(wanted)

    def do_GET(self):
        self._route()

    def _route(self, wanted=()):
        path = unquote(urlsplit(self.path).path)
        self.asked.append(f"{self.command} {path}")
        for repository, commits in self.repositories.items():
            for start in (f"/api/datasets/{repository}", f"/datasets/{repository}"):
                if path == start or path.startswith(f"{start}/"):
                    kind, _, rest = path.removeprefix(start).strip("/").partition("/")
                    self._answer_of(repository, commits, kind, rest, wanted)
                    return
            alias = repository.rpartition("/")[2]  # as of data sets from before there were owners
            if path.startswith(f"/api/datasets/{alias}"):
                rest = path.removeprefix(f"/api/datasets/{alias}")
                self._bytes(b"", 307, {"Location": f"/api/datasets/{repository}{rest}"})
                return
        self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _answer_of(self, repository, commits, kind, rest, wanted):
        revision, _, file = rest.partition("/")
        found = next((c for c in commits if c[0] == revision), None)
        if revision in ("", "main"):
            found = commits[-1]
        if found is None:
            self._json({"error": "No such revision"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        sha, folder = found
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        if kind in ("", "revision"):
            names = [{"rfilename": p.relative_to(folder).as_posix()} for p in files]
            self._json({"id": repository, "sha": sha, "siblings": names, "tags": []})
        elif kind == "tree":
            inside = [p for p in files if p.is_relative_to(folder / file)]
            places = {q for p in inside for q in p.parents if q.is_relative_to(folder / file)}
            places -= {folder / file}
            self._json([*map(_folder(folder), sorted(places)), *map(_file(folder), inside)])
        elif kind == "paths-info":
            there = [folder / w for w in wanted if (folder / w).exists()]
            self._json([(_file if p.is_file() else _folder)(folder)(p) for p in there])
        elif kind == "resolve" and (folder / file).is_file():
            self._send((folder / file).read_bytes(), sha)
        else:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})

    def _json(self, value, status=200, headers=()):
        self._bytes(json.dumps(value).encode(), status, dict(headers))

    def _send(self, content, sha):
        self._bytes(
            content, 200, {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        )

    def _bytes(self, content, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _file(folder):
    def entry(path):
        oid = hashlib.sha1(path.read_bytes()).hexdigest()
        name = path.relative_to(folder).as_posix()
        return {"type": "file", "path": name, "size": path.stat().st_size, "oid": oid}

    return entry


def _folder(folder):
    return lambda path: {
        "type": "directory", "path": path.relative_to(folder).as_posix(), "oid": "0" * 40,
    }  # fmt: skip


@contextmanager
def served_hub(repositories: dict[str, list[tuple[str, Path]]]) -> Iterator[tuple[str, list[str]]]:
    """The address of such a server, and what it is asked, in its order."""
    kind = type("ThisHub", (Hub,), {"repositories": repositories, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kind.asked
        server.shutdown()
