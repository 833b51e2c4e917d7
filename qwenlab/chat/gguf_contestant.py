"""A GGUF file that answers: llama.cpp in this process, several prompts decoding together.

The chat template and the tokenizer are those inside the file, so what is tested here is what Ollama or
llama-server will do with it.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from qwenlab.chat.gguf_model import GgufModel
from qwenlab.models import llama_cpp
from qwenlab.models.contestant import Answer, Generation, Message, about_enforced, enforced_name
from qwenlab.models.rendering import dated
from qwenlab.models.resident import LOOK_SECONDS


class GgufContestant:
    """Answers of one .gguf file.

    Prompts are decoded in groups of `slots`. llama.cpp rounds activations to 8 bits, so a reply can differ
    with the size of the group it is decoded in; the same list of prompts always gives the same replies at
    temperature 0. With `slots=1` a reply does not depend on its neighbours at all, at a third of the speed.

    Args:
        name: the name the person gave it.
        source: the .gguf file, or the model of it that others share.
        slots: how many prompts decode together.
        threads: CPU threads; the number of physical cores when None.
        schema: a JSON Schema that every answer is forced into, for `answer`.

    Raises:
        QwenlabError: when there is no such file, or llama.cpp cannot load it (at the first answer).
    """

    def __init__(
        self,
        name: str,
        source: Path | GgufModel,
        slots: int = 8,
        threads: int | None = None,
        schema: dict[str, Any] | None = None,
    ) -> None:
        self.name = self.free = name
        self.schema = schema
        self.model = source if isinstance(source, GgufModel) else GgufModel(source, slots, threads)

    def enforced(self, schema: dict[str, Any]) -> GgufContestant:
        """The same on the same file, with every answer forced into the schema, as far as llama.cpp's grammars go."""
        made = GgufContestant(enforced_name(self.name), self.model, schema=schema)
        made.free = self.name
        return made

    def batches(self, prompts: Sequence[list[Message]]) -> list[list[int]]:
        """Groups of `slots` prompts in their order."""
        size = self.model.slots
        return [list(range(at, min(at + size, len(prompts)))) for at in range(0, len(prompts), size)]

    def describe(self) -> dict[str, str]:
        """Kind, path, fingerprints of the file and its template, and the engine."""
        model = self.model
        template = str(model.metadata.get("tokenizer.chat_template", ""))
        about = {
            "kind": "gguf",
            "path": str(model.path),
            "weights": model.fingerprint(),
            "tokenizer": f"in the file, cut as {model.metadata.get('tokenizer.ggml.pre', 'unknown')}",
            "template": hashlib.sha256(template.encode("utf-8")).hexdigest(),
            "engine": f"llama.cpp, xllamacpp {llama_cpp.module().__version__}",
            "slots": str(model.slots),
            **({"dated": "yes"} if dated(template) else {}),
        }
        return about if self.schema is None else about | about_enforced(self.free, self.schema)

    def answer(
        self, prompts: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Answer]]:
        """Answer all prompts, group by group; yield (index, answer) at the end of each group."""
        for group in self.batches(prompts):
            tokens = [self.prompt_tokens(prompts[at], settings.thinking) for at in group]
            answers = self.model.decode(tokens, settings, lambda _: should_stop(), self.schema)
            yield from zip(group, answers, strict=True)
            if should_stop():
                return

    def stream(
        self,
        messages: list[Message],
        settings: Generation,
        should_stop: Callable[[], bool] = lambda: False,
        schema: dict[str, Any] | None = None,
    ) -> Generator[str, None, Answer]:
        """Yield the reply in pieces as they are decoded; the generator's return value is the whole answer.

        It ends soon after `should_stop()` is true or the generator is closed, also while the prompt is still read.

        Args:
            schema: a JSON Schema that llama.cpp forces the answer into, as far as its grammars go.

        Raises:
            QwenlabError: when llama.cpp fails.
        """
        pieces: queue.SimpleQueue[str | Answer | Exception] = queue.SimpleQueue()
        gone = threading.Event()

        def on_text(text: str) -> bool:
            if text:
                pieces.put(text)
            return gone.is_set() or should_stop()

        def decode() -> None:
            try:
                prompt = self.prompt_tokens(messages, settings.thinking)
                pieces.put(self.model.decode([prompt], settings, on_text, schema)[0])
            except Exception as error:  # it is raised again where the person waits
                pieces.put(error)

        threading.Thread(target=decode, daemon=True).start()
        said: list[str] = []
        try:
            while True:
                try:
                    piece = pieces.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    if should_stop():
                        return Answer("".join(said), "stopped", tokens=len(said))
                    continue
                if not isinstance(piece, str):
                    break
                said.append(piece)
                yield piece
        finally:
            gone.set()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def prompt_tokens(self, messages: list[Message], thinking: bool = False) -> list[int]:
        """The token ids of the rendered chat, ending where the assistant begins, or where it begins to think."""
        return self.model.prompt_tokens(messages, thinking)

    def close(self) -> None:
        """Stop llama.cpp and free its memory; a later answer starts it again."""
        self.model.close()
