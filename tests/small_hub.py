"""A hub on this computer: the two APIs, ranges, and every way in which a download goes wrong."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "Qwen/Tiny"


class SmallHub(ThreadingHTTPServer):
    """Serves `content` as the repository Qwen/Tiny of both hubs.

    Attributes:
        content: name to bytes.
        broken_after: how many answers of a file end after so many bytes, [] when none.
        status: for files: an HTTP status to refuse with; 0 for none.
        busy: how many answers are 503 before one works.
        ranges: whether Range is understood.
        serves: what a file really holds where that is not `content`.
        asked: (path, range, authorization) of each request.
        redirect: address of the store that files are fetched from; "" for here.
        token: what is wanted of who asks; "" for nothing.
        pause: seconds between pieces.
    """

    daemon_threads = True

    def __init__(self, content: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.content = content
        self.broken_after: list[int] = []
        self.status = 0
        self.busy = 0
        self.ranges = True
        self.serves: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.token = ""
        self.pause = 0.0
        self.redirect = ""

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def huggingface(self) -> bytes:
        """Its list of files, as Hugging Face tells it."""
        files = []
        for name, content in self.content.items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            lfs = {"lfs": large} if name.endswith((".safetensors", ".bin")) else {}
            files.append({"rfilename": name, "size": len(content), "blobId": git, **lfs})
        return json.dumps({"sha": COMMIT, "siblings": files, "cardData": {"license": "apache-2.0"}}).encode()

    def modelscope(self) -> bytes:
        """Its list of files, as ModelScope tells it."""
        files = [
            {"Path": name, "Type": "blob", "Size": len(content), "Sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.content.items()
        ]
        return json.dumps({"Code": 200, "Data": {"Files": files}}).encode()


class _Answers(BaseHTTPRequestHandler):
    server: SmallHub

    def do_GET(self) -> None:
        """Answer one request, well or badly as told."""
        hub, parts = self.server, urlsplit(self.path)
        path, name = parts.path, unquote(parts.path.rpartition("/")[2])
        hub.asked.append((self.path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._say(401, b"")
        elif hub.busy:
            hub.busy -= 1
            self._say(503, b"")
        elif path == f"/api/models/{REPOSITORY}":
            self._say(200, hub.huggingface())
        elif path == f"/api/v1/models/{REPOSITORY}":
            self._say(200, json.dumps({"Data": {"License": "Apache License 2.0"}}).encode())
        elif path == f"/api/v1/models/{REPOSITORY}/repo/files":
            self._say(200, hub.modelscope())
        elif path == f"/api/v1/models/{REPOSITORY}/repo":
            self._file(parse_qs(parts.query)["FilePath"][0])
        elif path.startswith("/store/") or (path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/") and not hub.redirect):
            self._file(name)
        elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            self._say(302, b"", Location=f"{hub.redirect}/store/{name}")
        else:
            self._say(404, b"")

    def _file(self, name: str) -> None:
        hub = self.server
        content = hub.serves.get(name, hub.content[name])
        wanted = self.headers.get("Range", "") if hub.ranges else ""
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if hub.status or (start and start >= len(content)):
            self._say(hub.status or 416, b"")
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + hub.broken_after.pop(0) if hub.broken_after else len(content)
        for at in range(start, min(end, len(content)), 1 << 16):
            self.wfile.write(content[at : min(at + (1 << 16), end)])
            time.sleep(hub.pause)
        self.close_connection = True

    def _say(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle(self) -> None:
        """Bear that whom it serves hangs up."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@contextmanager
def serving(content: dict[str, bytes]) -> Iterator[SmallHub]:
    """A hub that answers while the block runs."""
    hub = SmallHub(content)
    threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
