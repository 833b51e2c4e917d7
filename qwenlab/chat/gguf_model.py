"""One .gguf file in llama.cpp: prompts rendered and decoded in groups, by whoever shares it."""

from __future__ import annotations

import functools
import json
import secrets
import time
import unicodedata
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.chat import constraint
from qwenlab.errors import QwenlabError
from qwenlab.models import gguf_header, llama_cpp
from qwenlab.models.contestant import Answer, Finish, Generation, Message
from qwenlab.models.rendering import SWITCH
from qwenlab.models.resident import Resident, StoppedError

CONTEXT = 2048
"""Tokens a slot holds at first (prompt and reply); it grows when a prompt needs more."""
CACHE_BYTES = 2
"""llama.cpp keeps keys and values in 16 bits."""


class GgufModel(Resident):
    """A file and the llama.cpp that runs it; started on first use.

    One request at a time: a second one would change the groups of the first, and with them its rounding.

    Args:
        path: the .gguf file.
        slots: how many prompts decode together.
        threads: CPU threads; the number of physical cores when None.

    Raises:
        QwenlabError: when there is no such file.
    """

    def __init__(self, path: Path, slots: int = 8, threads: int | None = None) -> None:
        super().__init__()
        if not path.is_file():
            raise QwenlabError(
                f"There is no GGUF file {path}.",
                "Check the path, or export the model again.",
                zh=(f"没有 GGUF 文件 {path}。", "请检查路径，或重新导出模型。"),
            )
        self.path = path
        self.slots = slots
        self._threads = threads
        self._room = CONTEXT
        self._key = secrets.token_hex(16)
        self._server: Any = None

    @property
    def bytes(self) -> int:
        """The file, and the keys and values of all slots; 0 while it is not loaded."""
        if self._server is None:
            return 0
        layers, shared, heads, width = (
            int(self._fact(key) or 1)
            for key in ("block_count", "attention.head_count_kv", "attention.head_count", "embedding_length")
        )
        token = 2 * layers * shared * (width // heads) * CACHE_BYTES
        return self.path.stat().st_size + token * self._room * self.slots

    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        stat = self.path.stat()
        return _fingerprint(self.path, stat.st_size, stat.st_mtime_ns)

    @property
    def context(self) -> int:
        """Tokens the model can hold, prompt and answer together."""
        return int(self._fact("context_length") or CONTEXT)

    def close(self) -> None:
        """Stop llama.cpp and free its memory; a later answer starts it again."""
        with self.lock:
            self._server = None

    def prompt_tokens(self, messages: list[Message], thinking: bool = False) -> list[int]:
        """The token ids of the rendered chat, ending where the assistant begins.

        Args:
            thinking: let it think first, where the template knows that; llama.cpp's own default is to let it.

        Raises:
            QwenlabError: when the file's template refuses the chat, or llama.cpp cannot load the file.
        """
        if self.metadata.get("tokenizer.ggml.pre") == "qwen2":
            # Qwen's tokenizer composes letters and accents first; llama.cpp leaves that out.
            messages = [Message(role=m["role"], content=unicodedata.normalize("NFC", m["content"])) for m in messages]
        asked = {"messages": messages, "chat_template_kwargs": {SWITCH: thinking}}
        prompt = self._ask("/apply-template", asked)["prompt"]
        question = {"content": prompt, "add_special": False, "parse_special": True}
        return list(self._ask("/tokenize", question)["tokens"])

    @functools.cached_property
    def metadata(self) -> dict[str, Any]:
        """What the file says about itself.

        Raises:
            QwenlabError: when it is no GGUF file.
        """
        import libgguf

        gguf_header.check(self.path)
        try:
            header = libgguf.read_gguf_header(self.path, max_array_values=0)
        except (libgguf.GGUFFormatError, OSError) as error:
            raise self._unreadable() from error
        return {key: entry.value for key, entry in header.metadata.items()}

    def decode(
        self,
        prompts: list[list[int]],
        settings: Generation,
        on_text: Callable[[str], bool] = lambda text: False,
        schema: dict[str, Any] | None = None,
    ) -> list[Answer]:
        """Decode at most `slots` prompts together.

        Args:
            on_text: hears every piece and stops all by returning True.
            schema: a JSON Schema that every answer is forced into.
        """
        begun = time.perf_counter()
        answers = [Answer.without_room(len(prompt), settings, self.context) for prompt in prompts]
        fitting = [i for i, answer in enumerate(answers) if answer is None]
        replies = {i: _Reply(len(prompts[i])) for i in fitting}
        if fitting:
            try:
                with self.turn(lambda: on_text("")):
                    self._load(max(len(prompts[i]) for i in fitting) + settings.max_new_tokens)
                    body = _body([prompts[i] for i in fitting], settings, schema)
                    self._complete(body, list(replies.values()), on_text)
            except StoppedError:
                pass
        seconds = time.perf_counter() - begun
        return [answer or replies[i].answer(seconds) for i, answer in enumerate(answers)]

    def _complete(self, body: dict[str, Any], replies: list[_Reply], on_text: Callable[[str], bool]) -> None:
        """One request for the whole group: posted at once, so its prompts always meet in the same batches."""

        def on_chunk(chunk: dict[str, Any] | None) -> bool:
            text = ""
            if chunk and "error" in chunk:
                said = str(chunk["error"].get("message", "no details"))
                for reply in replies:
                    reply.error = reply.error or QwenlabError(
                        f"llama.cpp failed: {said}", zh=(f"llama.cpp 出错：{said}", "")
                    )
            elif chunk:
                for choice in chunk["choices"]:
                    replies[choice["index"]].add(choice, chunk.get("usage"))
                    text += choice["text"]
            return on_text(text)

        self._server.handle_completions(body, on_chunk)

    def _fact(self, key: str) -> Any:
        return self.metadata.get(f"{self.metadata.get('general.architecture', '')}.{key}")

    def _load(self, need: int) -> None:
        """Start llama.cpp, or start it again with room for `need` tokens a slot."""
        if self._server is not None and need <= self._room:
            return
        self._server = None
        self._room = max(self._room, -(-need // 256) * 256)
        # Its local port is for this process alone, hence the key.
        self._server = llama_cpp.start(self.path, self.slots, self._room, key=self._key, threads=self._threads)

    def _ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        with self.turn():
            self._load(1)
            request = urllib.request.Request(
                self._server.listening_address + path,
                json.dumps(question).encode("utf-8"),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
            )
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with direct.open(request, timeout=60) as reply:
                    found: dict[str, Any] = json.load(reply)
            except OSError as error:
                raise QwenlabError(
                    f"llama.cpp cannot render this chat with the template of {self.path}: {error}.",
                    "Check that the roles take turns and that the file carries a chat template.",
                    zh=(
                        f"llama.cpp 无法用 {self.path} 的模板渲染这段对话：{error}。",
                        "请检查角色是否交替，以及文件是否带有聊天模板。",
                    ),
                ) from error
            return found

    def _unreadable(self) -> QwenlabError:
        return QwenlabError(
            f"llama.cpp cannot load {self.path}.",
            "The file may be cut short or too big: export it again.",
            zh=(f"llama.cpp 无法加载 {self.path}。", "文件可能不完整或太大，请重新导出。"),
        )


def _body(prompts: list[list[int]], settings: Generation, schema: dict[str, Any] | None) -> dict[str, Any]:
    """The request as llama.cpp takes it."""
    body: dict[str, Any] = {
        "prompt": prompts,
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_p": 0.0,  # llama.cpp's own default would cut the tail as well
        "repeat_penalty": settings.repetition_penalty,
        "repeat_last_n": max(map(len, prompts)) + settings.max_new_tokens,  # over everything, as transformers does
        "samplers": ["penalties", "temperature", "top_k", "top_p"],  # in the order of transformers
        "seed": settings.seed,
        "cache_prompt": False,  # reused states were rounded in other batches
        "stream": True,
        "return_progress": True,  # a chance to stop while a long prompt is read
    }
    return body if schema is None else body | {"json_schema": constraint.for_llama_cpp(schema)}


class _Reply:
    """One reply as it grows."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.text = ""
        self.error: QwenlabError | None = None
        self.finish: Finish = "stopped"  # unless llama.cpp says otherwise
        self.tokens = 0

    def add(self, choice: dict[str, Any], usage: dict[str, Any] | None) -> None:
        """Take over one piece of llama.cpp's stream."""
        self.text += choice["text"]
        if choice["finish_reason"] is None:
            self.tokens += bool(choice["text"])  # progress of the prompt has none
            return
        self.finish = "length" if choice["finish_reason"] == "length" else "stop"
        if usage:  # exact: a piece may hold several tokens of one character; the end-of-turn token counts there
            self.tokens = usage["completion_tokens"] - (self.finish == "stop")

    def answer(self, seconds: float) -> Answer:
        answer = Answer.failed(self.error, self.text) if self.error else Answer(self.text, self.finish)
        return replace(answer, prompt_tokens=self.prompt_tokens, tokens=self.tokens, seconds=seconds)


@functools.lru_cache(maxsize=64)
def _fingerprint(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, remembered while its size (bytes) and change time (ns) stay."""
    return files.sha256(path)
