"""A GGUF file that answers: llama.cpp in this process, several prompts decoding together.

The chat template and the tokenizer are those inside the file, so what is tested here is what Ollama or
llama-server will do with it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import queue
import secrets
import threading
import time
import unicodedata
import urllib.request
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import llama_cpp
from qwenlab.models.contestant import Answer, Finish, Generation, Message

CONTEXT = 2048
"""Tokens a slot holds at first (prompt and reply); it grows when a prompt needs more."""


class GgufContestant:
    """Answers of one .gguf file.

    Prompts are decoded in groups of `slots`. llama.cpp rounds activations to 8 bits, so a reply can differ
    with the size of the group it is decoded in; the same list of prompts always gives the same replies at
    temperature 0. With `slots=1` a reply does not depend on its neighbours at all, at a third of the speed.

    Args:
        name: the name the person gave it.
        path: the .gguf file.
        slots: how many prompts decode together.
        threads: CPU threads; the number of physical cores when None.

    Raises:
        QwenlabError: when there is no such file, or llama.cpp cannot load it (at the first answer).
    """

    def __init__(self, name: str, path: Path, slots: int = 8, threads: int | None = None) -> None:
        if not path.is_file():
            raise QwenlabError(
                f"There is no GGUF file {path}.",
                "Check the path, or export the model again.",
                zh=(f"没有 GGUF 文件 {path}。", "请检查路径，或重新导出模型。"),
            )
        self._name = name
        self._path = path
        self._slots = slots
        self._threads = threads
        self._context = CONTEXT
        self._key = secrets.token_hex(16)
        self._server: Any = None
        self._turn = threading.Lock()  # one request at a time: a second one would change the first one's groups

    @property
    def name(self) -> str:
        """The name the person gave it."""
        return self._name

    def describe(self) -> dict[str, str]:
        """Kind, path, fingerprints of the file and its template, and the engine."""
        stat = self._path.stat()
        template = str(self._metadata.get("tokenizer.chat_template", ""))
        return {
            "kind": "gguf",
            "path": str(self._path),
            "weights": _fingerprint(self._path, stat.st_size, stat.st_mtime_ns),
            "tokenizer": f"in the file, cut as {self._metadata.get('tokenizer.ggml.pre', 'unknown')}",
            "template": hashlib.sha256(template.encode("utf-8")).hexdigest(),
            "engine": f"llama.cpp, xllamacpp {llama_cpp.module().__version__}",
        }

    def answer(self, prompts: Sequence[list[Message]], settings: Generation) -> Iterator[tuple[int, Answer]]:
        """Answer all prompts, group by group; yield (index, answer) at the end of each group."""
        tokens = [self.prompt_tokens(prompt) for prompt in prompts]
        for start in range(0, len(prompts), self._slots):
            group = range(start, min(start + self._slots, len(prompts)))
            answers = self._decode([tokens[i] for i in group], settings, lambda text: False)
            yield from zip(group, answers, strict=True)

    def stream(
        self, messages: list[Message], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Generator[str, None, Answer]:
        """Yield the reply in pieces as they are decoded; the generator's return value is the whole answer.

        Decoding ends soon after `should_stop()` is true or the generator is closed.

        Raises:
            QwenlabError: when the prompt is too long or llama.cpp fails.
        """
        pieces: queue.SimpleQueue[str | Answer | Exception] = queue.SimpleQueue()
        gone = threading.Event()

        def on_text(text: str) -> bool:
            if text:
                pieces.put(text)
            return gone.is_set() or should_stop()

        def decode() -> None:
            try:
                pieces.put(self._decode([self.prompt_tokens(messages)], settings, on_text)[0])
            except Exception as error:  # it is raised again where the person waits
                pieces.put(error)

        worker = threading.Thread(target=decode, daemon=True)
        worker.start()
        try:
            while isinstance(piece := pieces.get(), str):
                yield piece
        finally:
            gone.set()
            worker.join()
        if isinstance(piece, Exception):
            raise piece
        if piece.finish == "error":
            raise QwenlabError(piece.error, zh=(piece.error_zh, ""))
        return piece

    def prompt_tokens(self, messages: list[Message]) -> list[int]:
        """The token ids of the rendered chat, ending where the assistant begins."""
        if self._metadata.get("tokenizer.ggml.pre") == "qwen2":
            # Qwen's tokenizer composes letters and accents first; llama.cpp leaves that out.
            messages = [Message(role=m["role"], content=unicodedata.normalize("NFC", m["content"])) for m in messages]
        prompt = self._ask("/apply-template", {"messages": messages})["prompt"]
        question = {"content": prompt, "add_special": False, "parse_special": True}
        return list(self._ask("/tokenize", question)["tokens"])

    def close(self) -> None:
        """Stop llama.cpp and free its memory; a later answer starts it again."""
        with self._turn:
            self._server = None

    @functools.cached_property
    def _metadata(self) -> dict[str, Any]:
        import libgguf

        try:
            header = libgguf.read_gguf_header(self._path, max_array_values=0)
        except (libgguf.GGUFFormatError, OSError) as error:
            raise self._unreadable() from error
        return {key: entry.value for key, entry in header.metadata.items()}

    def _decode(self, prompts: list[list[int]], settings: Generation, on_text: Callable[[str], bool]) -> list[Answer]:
        """Decode at most `slots` prompts together; `on_text` hears every piece and stops all by returning True."""
        begun = time.perf_counter()
        longest = self._longest()
        fitting = [i for i, prompt in enumerate(prompts) if len(prompt) < longest]
        replies = [_Reply(len(prompt)) for prompt in prompts]
        for i in set(range(len(prompts))) - set(fitting):
            replies[i].error = QwenlabError(
                f"The prompt has {len(prompts[i])} tokens, but the model reads at most {longest - 1}.",
                zh=(f"提问共 {len(prompts[i])} 个词元，而模型最多读取 {longest - 1} 个。", ""),
            )
        with self._turn:
            if fitting:
                need = max(len(prompts[i]) for i in fitting) + settings.max_new_tokens
                self._load(min(need, longest))
                self._complete([prompts[i] for i in fitting], [replies[i] for i in fitting], settings, on_text)
        seconds = time.perf_counter() - begun
        return [reply.answer(seconds) for reply in replies]

    def _complete(
        self, prompts: list[list[int]], replies: list[_Reply], settings: Generation, on_text: Callable[[str], bool]
    ) -> None:
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

        self._server.handle_completions(
            {
                "prompt": prompts,
                "max_tokens": settings.max_new_tokens,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": 0,  # llama.cpp's own defaults would cut the tail as well
                "min_p": 0.0,
                "seed": settings.seed,
                "cache_prompt": False,  # reused states were rounded in other batches
                "stream": True,
            },
            on_chunk,
        )

    def _longest(self) -> int:
        architecture = self._metadata.get("general.architecture", "")
        return int(self._metadata.get(f"{architecture}.context_length", CONTEXT))

    def _load(self, need: int) -> None:
        """Start llama.cpp, or start it again with room for `need` tokens a slot."""
        if self._server is not None and need <= self._context:
            return
        self._server = None
        self._context = max(self._context, -(-need // 256) * 256)
        # Its local port is for this process alone, hence the key.
        self._server = llama_cpp.start(self._path, self._slots, self._context, key=self._key, threads=self._threads)

    def _ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        with self._turn:
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
                    f"llama.cpp cannot render this chat with the template of {self._path}: {error}.",
                    "Check that the roles take turns and that the file carries a chat template.",
                    zh=(
                        f"llama.cpp 无法用 {self._path} 的模板渲染这段对话：{error}。",
                        "请检查角色是否交替，以及文件是否带有聊天模板。",
                    ),
                ) from error
            return found

    def _unreadable(self) -> QwenlabError:
        return QwenlabError(
            f"llama.cpp cannot load {self._path}.",
            "The file may be cut short or too big: export it again.",
            zh=(f"llama.cpp 无法加载 {self._path}。", "文件可能不完整或太大，请重新导出。"),
        )


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
            self.tokens += 1
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
