"""An OpenAI-compatible endpoint (vLLM, SGLang, Ollama, llama.cpp) as contestant."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Finish, Generation, Message

CONCURRENT = 8
TIMEOUT_SECONDS = 120.0
KEY = "QWENLAB_API_KEY"
"""Environment variable that holds the endpoint's key; it is never written anywhere."""


class EndpointContestant:
    """Asks `URL/chat/completions`.

    Args:
        url: base URL such as http://127.0.0.1:8000/v1, with `#model` behind it where the server has several.
    """

    def __init__(self, name: str, url: str) -> None:
        import httpx

        self.name = name
        self.url, _, self.model = url.partition("#")
        key = os.environ.get(KEY)
        self._client = httpx.Client(
            timeout=TIMEOUT_SECONDS, headers={"Authorization": f"Bearer {key}"} if key else {}, trust_env=True
        )
        if not self.model:
            self.model = self._first_model()

    def _first_model(self) -> str:
        import httpx

        try:
            answer = self._client.get(f"{self.url.rstrip('/')}/models")
            answer.raise_for_status()
            return str(answer.json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
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
            waiting = {pool.submit(self._ask, messages, settings): at for at, messages in enumerate(prompts)}
            for done in as_completed(waiting):
                yield waiting[done], done.result()

    def _ask(self, messages: list[Message], settings: Generation) -> Answer:
        import httpx

        start = time.perf_counter()
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
        }
        try:
            reply = self._client.post(f"{self.url.rstrip('/')}/chat/completions", json=body)
            reply.raise_for_status()
            value = reply.json()
            choice, usage = value["choices"][0], value.get("usage") or {}
            text = choice["message"]["content"] or ""
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            return Answer.failed(self._no_answer(error))
        finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
        spent = time.perf_counter() - start
        return Answer(
            str(text), finish, int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0), spent
        )

    def _no_answer(self, error: Exception) -> QwenlabError:
        said = " ".join(str(error).splitlines()[:1])
        why = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return QwenlabError(
            f"The endpoint {self.url} gave no answer that can be read ({why}).",
            "Check the server, then run it again.",
            zh=(f"接口 {self.url} 没有给出可读的回答（{why}）。", "请检查服务，然后重新运行。"),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
