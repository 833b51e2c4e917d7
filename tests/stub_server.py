"""An OpenAI-compatible server on loopback that answers from a function."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], str | None]


class StubServer(ThreadingHTTPServer):
    """Answers every request with what `reply` says to its body; None is refused with status 400.

    Attributes:
        bodies: what was asked, in order.
        url: what an endpoint is given.
    """

    request_queue_size = 64

    def __init__(self, reply: Reply) -> None:
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.reply = reply
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()


def number_of(body: dict[str, Any]) -> int:
    """The number with which the last question ends."""
    return int(body["messages"][-1]["content"].split()[-1])


class _Handler(BaseHTTPRequestHandler):
    server: StubServer

    def do_POST(self) -> None:
        try:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        except ValueError:
            return  # the client was killed while it asked
        self.server.bodies.append(body)
        text = self.server.reply(body)
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        content = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()
        try:
            self.send_response(400 if text is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            return  # the client was killed while it waited

    def log_message(self, *_: object) -> None:
        """Say nothing."""
