"""Twenty users on one lab: all edit, chat with an endpoint and look on at once; nothing is lost or mixed up."""

from __future__ import annotations

import json
import os
import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.page import memory, server_of
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace
from tests.attacks.stranger import Stranger, running

USERS = 20
MINUTES = float(os.environ.get("QWENLAB_BENCH_MINUTES", "10"))
PAUSE_SECONDS = 2.0
"""Between two actions of one user."""
COMING_SECONDS = 20.0
"""Within which all of them come."""
Row = tuple[str, str, str]
Times = dict[str, list[float]]
T = Translator("en")


class Echo(BaseHTTPRequestHandler):
    """An endpoint that answers with what it was asked, so that an answer shows whose it is."""

    def do_POST(self) -> None:
        """Answer a chat, as a stream or whole."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = f"echo {asked['messages'][-1]['content']}"
        if asked.get("stream"):
            piece = {"choices": [{"delta": {"content": words}, "finish_reason": "stop"}]}
            body = f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n".encode()
            kind = "text/event-stream"
        else:
            body = json.dumps({"choices": [{"message": {"content": words}, "finish_reason": "stop"}]}).encode()
            kind = "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class User:
    """One of them: edits a sample of their own, asks with a word of their own."""

    def __init__(self, address: str, endpoint: str, number: int, times: Times) -> None:
        self.number, self.endpoint, self.times = number, endpoint, times
        self.page = Stranger(address)
        self.last, self.lost, self.mixed, self.seq = "", 0, 0, 0

    def work(self, until: float) -> None:
        """Act again and again."""
        moments = random.Random(self.number)
        time.sleep(moments.uniform(0, COMING_SECONDS))
        self._open()
        while time.monotonic() < until:
            action = moments.choice(
                [self._edit, self._edit, self._look, self._look, self._look, self._chat, self._open]
            )
            action()
            time.sleep(moments.uniform(0, 2 * PAUSE_SECONDS))

    def _timed(self, name: str, act: Any) -> Any:
        begun = time.monotonic()
        found = act()
        self.times[name].append(time.monotonic() - begun)
        return found

    def _open(self) -> None:
        self._timed("open or reload the page", self.page.open_page)

    def _edit(self) -> None:
        self.seq += 1
        words = f"user {self.number} wrote {self.seq}."
        (talk,) = self.page.calls("conversation", "submit")
        texts = [{"turn": 0, "text": words}]
        for data in ({"do": "open", "index": self.number, "at": -1, "texts": []},
                     {"do": "text", "at": self.number, "texts": texts}):  # fmt: skip
            event = {"seq": self.seq, **data}
            said = self._timed("edit", lambda event=event: self.page.call(talk, self.page.values(talk), event))
        self.lost += words not in said or T("stale") in said
        self.last = words

    def _look(self) -> None:
        ticks = self.page.timers()
        self._timed(
            "look for news", lambda: self.page.answers({self.page.join(c, self.page.values(c)) for c, _ in ticks})
        )

    def _chat(self) -> None:
        word = f"word-{self.number}-{self.seq}-"
        (send,) = [one for one in self.page.calls(event="click") if one["api_name"] == "answer"]
        typed = {T("compare_who"): [self.endpoint], T("compare_message"): word}
        labels = [self.page.component(number)["props"].get("label") for number in send["inputs"]]
        values = [typed.get(label, value) for label, value in zip(labels, self.page.values(send), strict=True)]
        said = self._timed("chat, waiting in line", lambda: self.page.call(send, values))
        others = [f"echo word-{other}-" for other in range(USERS) if other != self.number]
        self.mixed += f"echo {word}" not in said or any(one in said for one in others)


def rows() -> Iterator[Row]:
    """How long things take, what was lost or mixed up, and the memory."""
    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    os.environ["NO_PROXY"] = "127.0.0.1"
    with TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        samples = [Sample.make(f"s{at}", [("user", "q"), ("assistant", "a")]) for at in range(USERS)]
        new_data_set(Workspace(home), "shared", samples)
        with running(home) as address:
            yield from _measured(home, address, f"http://127.0.0.1:{endpoint.server_port}/v1#m")
    endpoint.shutdown()


def _measured(home: Path, address: str, endpoint: str) -> Iterator[Row]:
    times: Times = defaultdict(list)
    users = [User(address, endpoint, number, times) for number in range(USERS)]
    until = time.monotonic() + MINUTES * 60
    threads = [threading.Thread(target=user.work, args=[until]) for user in users]
    for one in threads:
        one.start()
    server, held = server_of(home), []
    while any(one.is_alive() for one in threads):
        time.sleep(5)
        held.append(memory(server))
    there = json.dumps(users[0].page.web.get("/download/data/json").json())
    lost = sum(user.lost for user in users) + sum(bool(user.last) and user.last not in there for user in users)
    for name, spent in sorted(times.items()):
        late = statistics.quantiles(spent, n=20)[-1] if len(spent) > 1 else spent[0]
        yield f"{USERS} users: {name}, 95 of 100 within", f"{late:.2f} s", f"{len(spent)} times in {MINUTES:g} min"
    yield f"{USERS} users: edits lost; answers mixed up", f"{lost}; {sum(user.mixed for user in users)}", ""
    early, last = held[len(held) // 4], held[-1]
    figure = f"{early / 2**20:.0f}, {last / 2**20:.0f} MiB"
    yield f"{USERS} users: memory after a quarter of the time, and at the end", figure, "PSS"
