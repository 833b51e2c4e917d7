"""Keys of endpoints stand nowhere: not in results, logs, conversations or reports, even when a server repeats them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qwenlab import files
from qwenlab.chat.endpoint_contestant import EndpointContestant
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace

KEY = "sk-CANARY-51c0"


class Repeating(BaseHTTPRequestHandler):
    """A server that refuses everything and repeats the key it was sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        words = json.dumps({"error": {"message": f"broken with {self.headers['Authorization']}"}}).encode()
        self.send_response(500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def repeating() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repeating)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1#m"
    server.shutdown()
    server.server_close()


def test_key_of_an_endpoint_is_written_nowhere(repeating: str, workspace: Workspace) -> None:
    files.write_json(workspace.suites / "s.json", {"name": "s", "cases": [{"id": "c", "prompt": "p", "expected": "x"}]})
    job, report = workspace.results / "r", workspace.root / "report.html"
    words = ["--job", str(job), "test", str(workspace.suites / "s.json"), "-c", f"far={repeating}"]
    ended = subprocess.run(
        [sys.executable, "-m", "qwenlab", *words, "--report", str(report)],
        env={**os.environ, "QWENLAB_API_KEY": KEY, "QWENLAB_DEBUG": "1", "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        check=False,
    )
    assert b"500" in ended.stdout + ended.stderr + report.read_bytes(), "the server was asked"
    written = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert len(written) > 4
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY.encode() not in ended.stdout + ended.stderr


def test_address_that_holds_a_password_is_refused() -> None:
    with pytest.raises(QwenlabError, match="QWENLAB_API_KEY") as caught:
        EndpointContestant("far", f"http://me:{KEY}@127.0.0.1:1/v1#m")
    assert KEY not in str(caught.value)
