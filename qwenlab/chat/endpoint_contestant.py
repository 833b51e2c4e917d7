"""An OpenAI-compatible endpoint (vLLM, SGLang, Ollama, llama.cpp, transformers serve) as contestant."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from qwenlab import failures
from qwenlab.chat import endpoint_errors, endpoint_reply
from qwenlab.chat.endpoint_pace import PASSING, Pace, Turns, pause, wished_pause
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Generation, Message, about_enforced, enforced_name
from qwenlab.models.resident import LOOK_SECONDS

CONNECT_SECONDS = 10.0
PLAIN = Pace()
KEY = "QWENLAB_API_KEY"
"""Environment variable that holds the endpoint's key; it is never written anywhere."""


class EndpointContestant:
    """Asks `URL/chat/completions`.

    Args:
        url: base URL such as http://127.0.0.1:8000/v1, with `#model` behind it where the server has several.
        pace: how fast it is asked, and how patiently.
        schema: a JSON Schema that the server is asked to force every answer into, for `answer`.

    Raises:
        QwenlabError: when the URL holds a password, or does not list its models and names none.
    """

    def __init__(self, name: str, url: str, pace: Pace = PLAIN, schema: dict[str, Any] | None = None) -> None:
        import httpx

        endpoint_errors.check_no_password(url)
        self.name = self.free = name
        self.url, _, self.model = url.partition("#")
        self.pace, self.schema = pace, schema
        self._turns = Turns(pace)
        key = os.environ.get(KEY)
        self._client = httpx.Client(
            timeout=httpx.Timeout(pace.silence_seconds, connect=min(CONNECT_SECONDS, pace.silence_seconds), pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=pace.concurrent),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=True,
        )
        if not self.model:
            self.model = self._first_model()

    def _first_model(self) -> str:
        import httpx

        try:
            answer = self._client.get(f"{self.url.rstrip('/')}/models")
            answer.raise_for_status()
            return str(answer.json()["data"][0]["id"])
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError, TypeError) as error:
            raise QwenlabError(
                f"The endpoint {self.url} does not list its models ({type(error).__name__}).",
                "Check that the server runs, or name the model: URL#model.",
                zh=(
                    f"接口 {self.url} 没有列出它的模型（{type(error).__name__}）。",
                    "请确认服务正在运行，或写明模型：URL#模型名。",
                ),
            ) from error

    def enforced(self, schema: dict[str, Any]) -> EndpointContestant:
        """The same, asked to force every answer into the schema; close it like the first."""
        made = EndpointContestant(enforced_name(self.name), f"{self.url}#{self.model}", self.pace, schema)
        made.free = self.name
        return made

    def describe(self) -> dict[str, str]:
        """Kind, URL and model; an endpoint shows no weights."""
        about = {"kind": "endpoint", "url": self.url, "model": self.model}
        return about if self.schema is None else about | about_enforced(self.free, self.schema)

    def answer(
        self, prompts: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Answer]]:
        """Ask with several requests at once; a request that fails yields an error, not a wrong answer.

        Few answers are held in memory, however many prompts there are. Once it is to stop, or the generator is closed,
        no further request is begun and those on their way are not waited for.
        """
        ready: queue.Queue[tuple[int, Answer]] = queue.Queue(self.pace.concurrent)
        gone, numbers, lock = threading.Event(), iter(range(len(prompts))), threading.Lock()

        def work() -> None:
            while not gone.is_set():
                with lock:
                    at = next(numbers, None)
                if at is None:
                    return
                answer = self._patiently(prompts[at], settings, gone)
                while not gone.is_set():
                    try:
                        ready.put((at, answer), timeout=LOOK_SECONDS)
                        break
                    except queue.Full:
                        continue

        for _ in range(min(self.pace.concurrent, len(prompts))):
            threading.Thread(target=work, daemon=True).start()
        try:
            given = 0
            while given < len(prompts) and not should_stop():
                try:
                    item = ready.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    continue
                given += 1
                yield item
        finally:
            gone.set()

    def _patiently(self, messages: list[Message], settings: Generation, gone: threading.Event) -> Answer:
        """Ask until there is an answer, an error that will not pass, or no patience left."""
        body = self._body(messages, settings, self.schema)
        for attempt in range(self.pace.retries + 1):
            if not self._turns.wait(gone):
                break
            answer, wished = self._ask(body)
            if wished is None or answer.finish != "error":  # answered, or refused for good
                self._turns.ended(well=True)
                return answer
            if attempt == self.pace.retries or self._turns.server_is_gone:
                self._turns.ended(well=False)
                return answer
            if wished:
                self._turns.hold(wished)
            elif gone.wait(pause(attempt)):
                break
        return Answer("", "stopped")

    def stream(
        self,
        messages: list[Message],
        settings: Generation,
        should_stop: Callable[[], bool] = lambda: False,
        schema: dict[str, Any] | None = None,
    ) -> Generator[str, None, Answer]:
        """Yield the reply in pieces as the server sends them; the generator's return value is the whole answer.

        Once `should_stop()` is true or the generator is closed, the connection is given up, which ends a server's work.

        Args:
            schema: a JSON Schema that the server is asked to force the answer into; it may refuse, which is said.
        """
        pieces: queue.SimpleQueue[str | Answer] = queue.SimpleQueue()
        gone = threading.Event()

        def on_text(text: str) -> bool:
            pieces.put(text)
            return gone.is_set() or should_stop()

        body = self._body(messages, settings, schema) | {"stream": True, "stream_options": {"include_usage": True}}
        threading.Thread(target=lambda: pieces.put(self._ask(body, on_text)[0]), daemon=True).start()
        began = time.perf_counter()
        said: list[str] = []
        try:
            while True:
                try:
                    piece = pieces.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    if should_stop():  # the server is silent: do not wait for its next word
                        spent = time.perf_counter() - began
                        return Answer("".join(said), "stopped", tokens=len(said), seconds=spent)
                    continue
                if isinstance(piece, Answer):
                    return piece
                said.append(piece)
                yield piece
        finally:
            gone.set()

    def _body(
        self, messages: list[Message], settings: Generation, schema: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
        }
        if settings.top_k:  # not part of OpenAI's interface, so only sent where it is asked for
            body["top_k"] = settings.top_k
        if settings.repetition_penalty != 1.0:
            body["repetition_penalty"] = body["repeat_penalty"] = settings.repetition_penalty
        if schema is not None:
            form = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    def _ask(
        self, body: dict[str, Any], on_text: Callable[[str], bool] = lambda text: False
    ) -> tuple[Answer, float | None]:
        """Send one request; `on_text` hears each piece and ends it by returning True.

        Returns:
            The answer; and where it failed for a reason that may pass, the seconds the server asks to wait, or 0.
        """
        import httpx

        reply = endpoint_reply.Reply()
        start = time.perf_counter()
        try:
            with self._client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=body) as response:
                if response.is_error:
                    response.read()
                    refused = endpoint_errors.refused(self.url, response, "response_format" in body)
                    wished = wished_pause(response.headers.get("Retry-After")) or 0.0
                    return refused, wished if response.status_code in PASSING else None
                if "text/event-stream" not in response.headers.get("Content-Type", ""):
                    response.read()
                    reply.take_whole(response.json())
                    on_text(reply.text)
                else:
                    for line in response.iter_lines():
                        piece = reply.take_line(line)
                        if piece and on_text(piece):
                            break
                        if reply.done:
                            break
                    else:
                        reply.check_whole()
        except endpoint_reply.BrokenError as error:
            return Answer.failed(endpoint_errors.broken(self.url, error.reason), reply.text), 0.0
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError, TypeError) as error:
            said = endpoint_errors.no_answer(self.url, error, self.pace.silence_seconds, bool(reply.text))
            may_pass = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
            return Answer.failed(said, reply.text), 0.0 if may_pass else None
        except RuntimeError as error:  # the client was closed while this request was on its way
            return Answer.failed(failures.explain(error), reply.text, "stopped"), None
        return reply.answer(time.perf_counter() - start), None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
