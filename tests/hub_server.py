"""A real HTTP server on this machine that speaks the hub's protocol, for downloads and uploads."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One model.

    Attributes:
        model: Its id.
        files: Its files.
        stall: Bytes of a file after which nothing more comes until `released`, by name.
        cuts: Bytes of a file after which the connection ends, by name: one for each request to come.
        send_instead: What is sent as a file's content, by name; its hash is still the file's.
        refusal: Status and error code that every file gets.
        requests: What was asked: method, path, Range header.
        endpoint: The server's address.
        blobs: Large files that were uploaded, by their sha256, in a commit or not yet.
        commits: The header of each commit that was made.
        upload_cuts: Bytes of an upload after which the connection ends: one for each upload to come.
        stall_uploads: Whether uploads wait, their first bytes read, until `released`.
        uploads: The sha256 of each upload that began.
        uploads_refused: Status that every request to write gets.
    """

    model: str
    files: dict[str, bytes]
    stall: dict[str, int] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    send_instead: dict[str, bytes] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    endpoint: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, str]] = field(default_factory=list)
    upload_cuts: list[int] = field(default_factory=list)
    stall_uploads: bool = False
    uploads: list[str] = field(default_factory=list)
    uploads_refused: int | None = None

    def downloads(self, name: str) -> list[str | None]:
        """The Range headers with which a file was fetched."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith("/" + name)]

    def fetched(self) -> set[str]:
        prefix = f"/{self.model}/resolve/{COMMIT}/"
        return {path.removeprefix(prefix) for method, path, _ in self.requests if path.startswith(prefix)}


@contextmanager
def serve(model: str, folder: Path) -> Iterator[Hub]:
    """Serves a folder as a model whose main branch stands at COMMIT."""
    files = {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
    hub = Hub(model, files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_HEAD(self):
        self.answer()

    def do_POST(self):
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, None))
        body = b"".join(self.read_body())
        answer = next((how for end, how in _WRITES.items() if path.endswith(end)), None)
        if self.hub.uploads_refused is not None:
            self.refuse(self.hub.uploads_refused, "Unauthorized")
        elif answer is None:
            self.refuse(404, "EntryNotFound")
        else:
            self.send_json(answer(self.hub, body))

    def do_PUT(self):
        name = self.path.rpartition("/")[2]
        self.hub.uploads.append(name)
        cut = self.hub.upload_cuts.pop(0) if self.hub.upload_cuts else None
        arrived = bytearray()
        for block in self.read_body():
            arrived += block
            if self.hub.stall_uploads:
                self.hub.released.wait()
            if cut is not None and len(arrived) >= cut:
                self.close_connection = True
                return
        if sha256(arrived).hexdigest() == name:
            self.hub.blobs[name] = bytes(arrived)
            self.send(200, b"", {"ETag": name})
        else:
            self.close_connection = True

    def read_body(self) -> Iterator[bytes]:
        """Yields what arrives, with a Content-Length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers.get("Content-Length") or 0)
            while left and (block := self.rfile.read(min(left, 4096))):
                left -= len(block)
                yield block
            return
        while size := int(self.rfile.readline().strip() or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self):
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if path == f"/api/models/{self.hub.model}/tree/{COMMIT}":
            self.answer_tree()
        elif path.startswith("/api/models/"):
            self.answer_info(path.removeprefix("/api/models/"))
        else:
            self.answer_file(path.removeprefix(f"/{self.hub.model}/resolve/{COMMIT}/"))

    def answer_tree(self):
        self.send_json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": sha256(content).hexdigest()}
                for name, content in self.hub.files.items()
            ]
        )

    def answer_info(self, what: str):
        model, _, revision = what.partition("/revision/")
        if model != self.hub.model:
            self.refuse(404, "RepoNotFound")
        elif revision not in ("main", COMMIT):
            self.refuse(404, "RevisionNotFound")
        else:
            siblings = [{"rfilename": name} for name in self.hub.files]
            self.send_json({"_id": "1", "id": model, "modelId": model, "sha": COMMIT, "siblings": siblings})

    def answer_file(self, name: str):
        if self.hub.refusal is not None:
            self.refuse(*self.hub.refusal)
        elif name not in self.hub.files:
            self.refuse(404, "EntryNotFound")
        else:
            self.send_file(name, self.hub.files[name])

    def send_file(self, name: str, content: bytes):
        headers = {
            "ETag": f'"{sha256(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
            # An offer of the Xet protocol, which this server does not speak: it must not be taken.
            "X-Xet-Hash": sha256(content).hexdigest(),
            "X-Xet-Refresh-Route": f"{self.hub.endpoint}/xet",
        }
        content = self.hub.send_instead.get(name, content)
        cuts = self.hub.cuts.get(name) if self.command == "GET" else None
        cut = cuts.pop(0) if cuts else None
        span = self.headers.get("Range")
        if span is None:
            self.send(200, content, headers, stall=self.hub.stall.get(name), cut=cut)
            return
        start = int(span.removeprefix("bytes=").partition("-")[0])
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send(206, content[start:], headers, cut=cut)

    def send_json(self, values: object):
        self.send(200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str):
        self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        stall: int | None = None,
        cut: int | None = None,
    ):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut is not None:
            self.wfile.write(body[:cut])
            self.close_connection = True
            return
        self.wfile.write(body[:stall])
        if stall is not None:
            self.close_connection = True
            self.hub.released.wait()

    def log_message(self, *args):
        pass


def _preupload(_hub: Hub, body: bytes) -> object:
    small = (".json", ".md")
    paths = [file["path"] for file in json.loads(body)["files"]]
    return {
        "files": [
            {
                "path": path,
                "uploadMode": "regular" if path.endswith(small) else "lfs",
                "shouldIgnore": False,
            }
            for path in paths
        ]
    }


def _batch(hub: Hub, body: bytes) -> object:
    objects = json.loads(body)["objects"]
    for one in objects:
        if one["oid"] not in hub.blobs:
            one["actions"] = {"upload": {"href": f"{hub.endpoint}/large/{one['oid']}"}}
    return {"transfer": "basic", "objects": objects}


def _commit(hub: Hub, body: bytes) -> object:
    lines = [json.loads(line) for line in body.splitlines()]
    values = {kind: [line["value"] for line in lines if line["key"] == kind] for kind in _COMMITTED}
    hub.files |= {one["path"]: b64decode(one["content"]) for one in values["file"]}
    hub.files |= {one["path"]: hub.blobs[one["oid"]] for one in values["lfsFile"]}
    hub.commits += values["header"]
    return {"commitUrl": f"{hub.endpoint}/{hub.model}/commit/{COMMIT}", "commitOid": COMMIT}


_COMMITTED = ("header", "file", "lfsFile")
_WRITES: dict[str, Callable[[Hub, bytes], object]] = {
    "/api/repos/create": lambda hub, _: {"url": f"{hub.endpoint}/{hub.model}"},
    "/api/validate-yaml": lambda *_: {},
    "/preupload/main": _preupload,
    ".git/info/lfs/objects/batch": _batch,
    "/commit/main": _commit,
}
