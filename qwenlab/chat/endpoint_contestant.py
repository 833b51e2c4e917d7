"""An OpenAI-compatible endpoint (vLLM, SGLang, Ollama, llama.cpp) as contestant."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any
from urllib.parse import urlsplit

from qwenlab.chat import endpoint_errors, endpoint_reply
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Generation, Message
from qwenlab.models.resident import LOOK_SECONDS

CONCURRENT = 8
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 120.0
"""How long a server may say nothing: a long prompt takes time before the first word."""
KEY = "QWENLAB_API_KEY"
"""Environment variable that holds the endpoint's key; it is never written anywhere."""


class EndpointContestant:
    """Asks `URL/chat/completions`.

    Args:
        url: base URL such as http://127.0.0.1:8000/v1, with `#model` behind it where the server has several.
        silence_seconds: a server that says nothing for so long has failed.
    """

    def __init__(self, name: str, url: str, silence_seconds: float = SILENCE_SECONDS) -> None:
        import httpx

        self.name = name
        self.url, _, self.model = url.partition("#")
        if "@" in urlsplit(self.url).netloc:  # it would stand in results, logs and reports
            raise QwenlabError(
                "The endpoint's address holds a name or password.",
                f"Set {KEY} instead, and leave them out.",
                zh=("接口网址中含有用户名或密码。", f"请去掉它们，改为设置 {KEY}。"),
            )
        key = os.environ.get(KEY)
        self._silence = silence_seconds
        self._client = httpx.Client(
            timeout=httpx.Timeout(silence_seconds, connect=min(CONNECT_SECONDS, silence_seconds)),
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

    def describe(self) -> dict[str, str]:
        """Kind, URL and model; an endpoint shows no weights."""
        return {"kind": "endpoint", "url": self.url, "model": self.model}

    def answer(self, prompts: Sequence[list[Message]], settings: Generation) -> Iterator[tuple[int, Answer]]:
        """Ask with several requests at once; a request that fails yields an error, not a wrong answer."""
        with ThreadPoolExecutor(CONCURRENT) as pool:
            waiting = {
                pool.submit(self._ask, self._body(messages, settings)): at for at, messages in enumerate(prompts)
            }
            for done in as_completed(waiting):
                yield waiting[done], done.result()

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
        threading.Thread(target=lambda: pieces.put(self._ask(body, on_text)), daemon=True).start()
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

    def _ask(self, body: dict[str, Any], on_text: Callable[[str], bool] = lambda text: False) -> Answer:
        """Send one request; `on_text` hears each piece and ends it by returning True."""
        import httpx

        reply = endpoint_reply.Reply()
        start = time.perf_counter()
        try:
            with self._client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=body) as response:
                if response.is_error:
                    response.read()
                    return endpoint_errors.refused(self.url, response, "response_format" in body)
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
            return Answer.failed(endpoint_errors.broken(self.url, error.reason), reply.text)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError, TypeError) as error:
            return Answer.failed(
                endpoint_errors.no_answer(self.url, error, self._silence, bool(reply.text)), reply.text
            )
        return reply.answer(time.perf_counter() - start)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
