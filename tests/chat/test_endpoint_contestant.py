"""Endpoints stream into their column, and every way to fail is said plainly: against real servers on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qwenlab.chat import arena
from qwenlab.chat.endpoint_contestant import EndpointContestant
from qwenlab.chat.endpoint_pace import Pace
from qwenlab.models.contestant import Answer, Generation, Message

QUESTION = [Message(role="user", content="hello")]
PLAIN = Generation()
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}


class Server:
    """A server whose replies are written by a test.

    Attributes:
        url: its base URL.
        bodies: the requests so far.
        left: set when a client has gone away in the middle of an answer.
    """

    def __init__(self, reply: Callable[[Server, BaseHTTPRequestHandler], None]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.left = threading.Event()
        self.asked_by: dict[int, dict[str, Any]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.bodies.append(body)
                server.asked_by[id(self)] = body
                try:
                    reply(server, self)
                except OSError:
                    server.left.set()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def newest(self, handler: BaseHTTPRequestHandler) -> dict[str, Any]:
        """The request that this handler answers."""
        return self.asked_by[id(handler)]

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()


Serve = Callable[[Callable[[Server, BaseHTTPRequestHandler], None]], Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[Server] = []

    def start(reply: Callable[[Server, BaseHTTPRequestHandler], None]) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def send(handler: BaseHTTPRequestHandler, status: int, body: str, kind: str = "application/json") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.end_headers()
    handler.wfile.write(body.encode())


def begin(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, ": hello\n\n", "text/event-stream; charset=utf-8")


def event(handler: BaseHTTPRequestHandler, **value: Any) -> None:
    handler.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
    handler.wfile.flush()


def word(handler: BaseHTTPRequestHandler, text: str, finish: str | None = None) -> None:
    event(handler, choices=[{"delta": {"content": text}, "finish_reason": finish}])


def asked(
    server: Server, settings: Generation = PLAIN, schema: dict[str, Any] | None = None, **options: Any
) -> arena.Column:
    """The column of an endpoint after its answer."""
    contestant = EndpointContestant("far", f"{server.url}#m", Pace(**options))
    *_, columns = arena.stream([contestant], [QUESTION], settings, threading.Event(), schema)
    contestant.close()
    return columns[0]


def failure(column: arena.Column) -> Answer:
    assert column.answer is not None
    assert column.answer.error
    assert column.answer.error_zh
    return column.answer


def test_words_come_as_the_server_sends_them(serve: Serve) -> None:
    seen = threading.Event()

    def reply(_: Server, handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        word(handler, "你")
        assert seen.wait(10), "the first word is shown before the second exists"
        word(handler, "好")
        word(handler, "", "stop")
        event(handler, choices=[], usage={"prompt_tokens": 7, "completion_tokens": 2})
        handler.wfile.write(b"data: [DONE]\n\n")

    contestant = EndpointContestant("far", f"{serve(reply).url}#m")
    for columns in arena.stream([contestant], [QUESTION], Generation(), threading.Event()):
        if columns[0].text == "你":
            seen.set()
    (column,) = columns
    assert column.answer is not None
    assert (column.text, column.answer.finish, column.answer.tokens, column.answer.prompt_tokens) == (
        "你好",
        "stop",
        2,
        7,
    )
    assert column.first_token_seconds is not None
    assert 0 < column.first_token_seconds <= column.seconds
    assert column.tokens_per_s == 2 / column.seconds
    contestant.close()


def test_settings_are_passed_on_and_what_openai_does_not_know_only_where_asked_for(serve: Serve) -> None:
    def reply(_: Server, handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}))

    server = serve(reply)
    column = asked(server, Generation(5, 0.5, 0.9, 3))
    assert column.answer is not None
    assert (column.text, column.answer.finish) == ("x", "length"), "a server that cannot stream is read as a whole"
    asked(server, Generation(top_k=20, repetition_penalty=1.1), SCHEMA)
    plain, special = server.bodies
    assert (plain["max_tokens"], plain["temperature"], plain["top_p"], plain["seed"]) == (5, 0.5, 0.9, 3)
    assert not {"top_k", "repetition_penalty", "response_format"} & set(plain)
    assert (special["top_k"], special["repetition_penalty"]) == (20, 1.1)
    assert special["response_format"]["json_schema"]["schema"] == SCHEMA


def test_stop_ends_within_a_word_and_leaves_the_server(serve: Serve) -> None:
    def reply(server: Server, handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        for number in range(2000):
            word(handler, f"{number} ")
            time.sleep(0.02)

    server, stop = serve(reply), threading.Event()
    contestant = EndpointContestant("far", f"{server.url}#m")
    for columns in arena.stream([contestant], [QUESTION], Generation(), stop):
        if columns[0].text and not stop.is_set():
            at_stop = len(columns[0].text.split())
            stop.set()
    answer = columns[0].answer
    assert answer is not None
    assert answer.finish == "stopped"
    assert answer.text
    assert answer.tokens - at_stop <= 3
    assert server.left.wait(10), "the server can stop writing"
    contestant.close()


def test_stop_does_not_wait_for_a_silent_server(serve: Serve) -> None:
    silent, reached, stop = threading.Event(), threading.Event(), threading.Event()

    def reply(_: Server, handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        reached.set()
        silent.wait(20)

    contestant = EndpointContestant("far", f"{serve(reply).url}#m")
    threading.Thread(target=lambda: (reached.wait(10), stop.set()), daemon=True).start()
    began = time.monotonic()
    *_, columns = arena.stream([contestant], [QUESTION], Generation(), stop)
    assert time.monotonic() - began < 10
    assert columns[0].answer is not None
    assert columns[0].answer.finish == "stopped"
    silent.set()


def test_hanging_server_is_given_up(serve: Serve) -> None:
    silent = threading.Event()
    server = serve(lambda _, __: (silent.wait(20), None)[1])
    answer = failure(asked(server, silence_seconds=0.3))
    assert "has said nothing for 0.3 seconds" in answer.error
    silent.set()


def test_half_a_reply_is_kept_and_said(serve: Serve) -> None:
    def reply(_: Server, handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        word(handler, '{"a": ')

    answer = failure(asked(serve(reply)))
    assert answer.text == '{"a": '
    assert "broke off in the middle" in answer.error


def test_server_that_fails_in_its_stream_is_quoted(serve: Serve) -> None:
    def reply(_: Server, handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        word(handler, "x")
        event(handler, error={"message": "GPU on fire"})

    answer = failure(asked(serve(reply)))
    assert "GPU on fire" in answer.error
    assert "GPU on fire" in answer.error_zh


@pytest.mark.parametrize(
    ("status", "body", "finish", "words"),
    [
        (404, "<html>", "error", "usually ends in /v1"),
        (404, '{"error": {"message": "The model m does not exist"}}', "error", "404 The model m does not exist"),
        (401, "{}", "error", "QWENLAB_API_KEY"),
        (400, '{"error": {"message": "This model\'s maximum context length is 8 tokens"}}', "context", "does not fit"),
        (500, "", "error", "500 Internal Server Error"),
    ],
)
def test_refusal_is_explained(serve: Serve, status: int, body: str, finish: str, words: str) -> None:
    answer = failure(asked(serve(lambda _, handler: send(handler, status, body))))
    assert answer.finish == finish
    assert words in answer.error


def test_server_that_cannot_enforce_a_schema_is_named(serve: Serve) -> None:
    def reply(server: Server, handler: BaseHTTPRequestHandler) -> None:
        send(handler, 400, '{"error": {"message": "response_format is not supported"}}')

    answer = failure(asked(serve(reply), schema=SCHEMA))
    assert "refuses to enforce the JSON Schema (400 response_format is not supported)" in answer.error
    assert "拒绝强制执行 JSON Schema" in answer.error_zh


@pytest.mark.parametrize("body", ["not json", "[]", '{"choices": []}', '{"choices": [{"message": 5}]}'])
def test_reply_that_is_no_chat_is_an_error(serve: Serve, body: str) -> None:
    assert "no answer that can be read" in failure(asked(serve(lambda _, handler: send(handler, 200, body)))).error


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
def test_unreachable_server_is_said_and_the_other_column_goes_on(
    monkeypatch: pytest.MonkeyPatch, url: str, serve: Serve
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")

    def reply(_: Server, handler: BaseHTTPRequestHandler) -> None:
        begin(handler)
        word(handler, "fine", "stop")
        handler.wfile.write(b"data: [DONE]\n\n")

    both = [EndpointContestant("gone", f"{url}#m"), EndpointContestant("far", f"{serve(reply).url}#m")]
    *_, columns = arena.stream(both, [QUESTION] * 2, Generation(), threading.Event())
    assert f"The endpoint {url} cannot be reached" in failure(columns[0]).error
    assert columns[1].text == "fine"
    assert columns[1].answer is not None
    assert columns[1].answer.finish == "stop"


def test_ten_questions_at_once_get_each_its_own_answer(serve: Serve) -> None:
    def echo(server: Server, handler: BaseHTTPRequestHandler) -> None:
        text = server.newest(handler)["messages"][0]["content"]
        send(handler, 200, json.dumps({"choices": [{"message": {"content": f"re: {text}"}, "finish_reason": "stop"}]}))

    contestant = EndpointContestant("far", f"{serve(echo).url}#m")
    prompts = [[Message(role="user", content=str(number))] for number in range(10)]
    answers = dict(contestant.answer(prompts, Generation()))
    assert [answers[number].text for number in range(10)] == [f"re: {number}" for number in range(10)]
    contestant.close()
