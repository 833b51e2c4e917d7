"""Many requests to an endpoint: retries, pauses that it asks for, a limit per minute, and an end that does not wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qwenlab.chat.endpoint_contestant import EndpointContestant
from qwenlab.chat.endpoint_pace import LONGEST_WISH, Pace, Turns, pause, wished_pause
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Generation, Message

PROMPTS = [[Message(role="user", content=str(number))] for number in range(12)]
Reply = Callable[[int], tuple[int, dict[str, str]]]
"""From the count of requests so far to a status and headers."""


class Server(ThreadingHTTPServer):
    """Answers "re: QUESTION", or as a test says.

    Attributes:
        times: when each request came. at_once: most requests that were here at the same time.
    """

    request_queue_size = 128

    def __init__(self, reply: Reply, seconds: float = 0.0) -> None:
        self.times: list[float] = []
        self.now = self.at_once = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.times.append(time.monotonic())
                    count = len(server.times)
                    server.now += 1
                    server.at_once = max(server.at_once, server.now)
                status, headers = reply(count)
                if status == 200:
                    time.sleep(seconds)
                with server.lock:
                    server.now -= 1
                text = f"re: {body['messages'][0]['content']}"
                said = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(json.dumps(said if status == 200 else {"error": {"message": "busy"}}).encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1#m"


Serve = Callable[..., Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[Server] = []

    def start(reply: Reply, seconds: float = 0.0) -> Server:
        servers.append(Server(reply, seconds))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fine(_: int) -> tuple[int, dict[str, str]]:
    return 200, {}


def answered(server: Server, pace: Pace, prompts: list[list[Message]] = PROMPTS) -> dict[int, Answer]:
    contestant = EndpointContestant("far", server.url, pace)
    found = dict(contestant.answer(prompts, Generation()))
    contestant.close()
    return found


def test_as_many_requests_are_on_their_way_as_allowed(serve: Serve) -> None:
    server = serve(fine, 0.1)
    found = answered(server, Pace(concurrent=6))
    assert [found[at].text for at in range(12)] == [f"re: {at}" for at in range(12)]
    assert server.at_once == 6


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_a_failure_that_may_pass_is_asked_again(serve: Serve, status: int) -> None:
    server = serve(lambda count: (status, {}) if count <= 2 else (200, {}))
    (answer,) = answered(server, Pace(retries=3), PROMPTS[:1]).values()
    assert (answer.text, answer.finish) == ("re: 0", "stop")
    assert len(server.times) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_failure_that_will_not_pass_is_asked_once(serve: Serve, status: int) -> None:
    server = serve(lambda _: (status, {}))
    (answer,) = answered(server, Pace(retries=3), PROMPTS[:1]).values()
    assert answer.finish == "error"
    assert len(server.times) == 1


def test_retries_end_and_the_last_failure_is_said(serve: Serve) -> None:
    server = serve(lambda _: (429, {}))
    (answer,) = answered(server, Pace(retries=2), PROMPTS[:1]).values()
    assert len(server.times) == 3
    assert "asked too often (429 busy)" in answer.error
    assert "过于频繁" in answer.error_zh


def test_a_pause_that_the_server_asks_for_is_kept_by_all(serve: Serve) -> None:
    server = serve(lambda count: (429, {"Retry-After": "1"}) if count == 1 else (200, {}), 0.4)
    found = answered(server, Pace(concurrent=2), PROMPTS[:5])
    assert all(answer.finish == "stop" for answer in found.values())
    first = server.times[0]
    after = [moment - first for moment in server.times[2:]]  # the second was on its way already
    assert min(after) > 0.9


def test_no_more_requests_begin_in_a_minute_than_allowed(serve: Serve) -> None:
    server, begun = serve(fine), time.monotonic()
    answered(server, Pace(concurrent=8, per_minute=600), PROMPTS[:6])
    early = [at for at, moment in enumerate(server.times) if moment - begun < at / 10 - 0.01]
    assert early == [], "a tenth of a second apart: a busy machine can only make them later"


def test_a_server_that_is_gone_is_not_waited_for_by_every_case(serve: Serve) -> None:
    server = serve(fine)
    server.shutdown()
    server.server_close()
    began = time.monotonic()
    found = answered(server, Pace(concurrent=4, retries=2), PROMPTS * 20)
    assert len(found) == 240
    assert all("cannot be reached" in answer.error for answer in found.values())
    assert time.monotonic() - began < 20


def test_leaving_early_begins_no_further_request_and_waits_for_none(serve: Serve) -> None:
    server = serve(fine, 0.5)
    contestant = EndpointContestant("far", server.url, Pace(concurrent=2))
    answers = contestant.answer(PROMPTS, Generation())
    next(answers)
    began = time.monotonic()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 0.3
    time.sleep(0.8)
    asked = len(server.times)
    time.sleep(0.6)
    assert len(server.times) == asked <= 5
    contestant.close()


def test_few_answers_are_held_while_nobody_takes_them(serve: Serve) -> None:
    server = serve(fine)
    contestant = EndpointContestant("far", server.url, Pace(concurrent=3))
    answers = contestant.answer(PROMPTS * 10, Generation())
    next(answers)
    time.sleep(1)
    assert len(server.times) <= 1 + 3 + 3, "one taken, three waiting in line, three in the hands of those who asked"
    assert sum(1 for _ in answers) == 119
    contestant.close()


def test_the_key_is_sent_and_never_described(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENLAB_API_KEY", "sk-secret")
    contestant = EndpointContestant("far", serve(fine).url)
    assert "sk-secret" not in json.dumps(contestant.describe())
    contestant.close()


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(QwenlabError, match="holds a password") as caught:
        EndpointContestant("far", "https://me:secret@host/v1#m")
    assert "secret" not in "".join((*caught.value.say("en"), *caught.value.say("zh")))


def test_enforced_endpoint_sends_the_schema(serve: Serve) -> None:
    free = EndpointContestant("far", serve(fine).url)
    forced = free.enforced({"type": "object"})
    assert (forced.name, forced.describe()["enforced_for"]) == ("far (enforced)", "far")
    assert {answer.text for _, answer in forced.answer(PROMPTS[:2], Generation())} == {"re: 0", "re: 1"}
    free.close()
    forced.close()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7), ("0", 0), ("-3", 0), ("1.5", 1.5), ("99999999", LONGEST_WISH), (None, None), ("", None),
        ("soon", None), ("nan", None), ("Wed, 25 Nov 2026 08:00:30 GMT", 30), ("Wed, 25 Nov 2026 07:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_retry_after_as_number_and_as_date(header: str | None, seconds: float | None) -> None:
    assert wished_pause(header, datetime(2026, 11, 25, 8, tzinfo=UTC)) == seconds


def test_pauses_grow_and_differ() -> None:
    assert 0.25 <= pause(0) <= 0.5
    assert 4 <= pause(4) <= 8
    assert pause(50) <= 30
    assert len({pause(3) for _ in range(10)}) > 1


def test_turns_are_given_one_after_the_other() -> None:
    now = [0.0]

    class Clocked(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0
            return self.is_set()

    turns, gone = Turns(Pace(per_minute=60), lambda: now[0]), Clocked()
    began = []
    for _ in range(3):
        assert turns.wait(gone)
        began.append(now[0])
    turns.hold(10)
    assert turns.wait(gone)
    assert [*began, now[0]] == [0, 1, 2, 12]
