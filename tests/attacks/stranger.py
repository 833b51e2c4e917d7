"""One who sends a running lab whatever HTTP can carry: the page's calls with any values, and raw requests."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from qwenlab.workspace import SHIPPED

PASSWORD = "a long enough one"


@contextmanager
def running(home: Path, *options: str) -> Iterator[str]:
    """The address of a lab of this workspace, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", home / "lab.log"
    home.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        command = [sys.executable, str(SHIPPED / "app.py"), "--port", str(port), "--workspace", str(home), *options]
        server = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        while True:
            assert server.poll() is None, log.read_text()
            try:
                httpx.get(address, timeout=30, trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def raw(address: str, sent: bytes, seconds: float = 30.0) -> bytes:
    """Send bytes as they stand and read the answer until the other side ends it."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as line:
        line.sendall(sent)
        found = b""
        while part := line.recv(65536):
            found += part
            head, _, body = found.partition(b"\r\n\r\n")
            length = [one for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")]
            if length and len(body) >= int(length[0].partition(b":")[2]):
                break
        return found


class Stranger:
    """A browser without a page: knows the page's calls and makes them with any values.

    Attributes:
        web: the HTTP client, with its cookies.
        config: Gradio's description of the page.
    """

    def __init__(self, address: str, user: str = "", language: str = "en", source: str = "127.0.0.1") -> None:
        transport = httpx.HTTPTransport(local_address=source)
        self.web = httpx.Client(base_url=address, transport=transport, timeout=60, trust_env=False)
        self.page = f"/{language}"
        self.session = f"s{time.monotonic_ns()}"
        if user:
            self.log_in(user)
        answer = self.web.get(f"{self.page}/config")
        self.config = answer.json() if answer.status_code == 200 else {}
        self._components = {one["id"]: one for one in self.config.get("components", [])}

    def log_in(self, user: str, password: str = PASSWORD) -> httpx.Response:
        """The answer to the login form."""
        return self.web.post("/login", data={"name": user, "password": password})

    def component(self, number: int) -> dict[str, Any]:
        """One component of the page, by its number."""
        return self._components[number]

    def calls(self, elem_id: str = "", event: str = "") -> list[dict[str, Any]]:
        """The page's calls to the server; of one component, by its elem_id, and of one event."""
        found = []
        for call in self.config["dependencies"]:
            targets = [
                (number, name)
                for number, name in call["targets"]
                if (not event or name == event)
                and (not elem_id or (number and self.component(number)["props"].get("elem_id") == elem_id))
            ]
            if targets and call.get("backend_fn"):
                found.append(call)
        return found

    def join(self, call: dict[str, Any], values: list[Any], data: Any = None) -> str:
        """Begin a call; its id, or the words of who refused it."""
        body = {"fn_index": call["id"], "data": values, "event_data": data, "session_hash": self.session}
        answer = self.web.post(f"{self.page}/gradio_api/queue/join", json=body)
        return answer.json()["event_id"] if answer.status_code == 200 else f"refused: {answer.text}"

    def answers(self, events: set[str]) -> dict[str, str]:
        """What comes back for these ids, as text, once all have ended."""
        found = dict.fromkeys(events, "")
        waiting = {event for event in events if not event.startswith("refused")}
        if not waiting:
            return found
        with self.web.stream("GET", f"{self.page}/gradio_api/queue/data?session_hash={self.session}") as lines:
            for line in lines.iter_lines():
                if not line.startswith("data: "):
                    continue
                told = json.loads(line[6:])
                event = told.get("event_id")
                if event in found:
                    found[event] += line
                    if told["msg"] == "process_completed":
                        waiting.discard(event)
                if not waiting:
                    break
        return found

    def call(self, call: dict[str, Any], values: list[Any], data: Any = None) -> str:
        """Make one call and wait for what comes back."""
        event = self.join(call, values, data)
        return event if event.startswith("refused") else self.answers({event})[event]

    def open_page(self) -> None:
        """What a browser does first: the calls that fill the page."""
        calls = self.calls(event="load")
        self.answers({self.join(one, [None] * len(one["inputs"])) for one in calls})

    def upload(self, name: str, content: bytes) -> httpx.Response:
        """Send a file."""
        return self.web.post(f"{self.page}/gradio_api/upload", files={"files": (name, content)})


@dataclass(frozen=True)
class Attacked:
    """A running lab.

    Attributes:
        address: where it answers. home: its workspace.
    """

    address: str
    home: Path

    def stranger(self, user: str = "", source: str = "127.0.0.1") -> Stranger:
        """One who speaks to it, logged in or not."""
        return Stranger(self.address, user, source=source)
