"""What it means to answer: the one interface that chat and tests speak to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from qwenlab import files
from qwenlab.errors import QwenlabError


class Message(TypedDict):
    """One turn in the chat form of OpenAI and transformers: role is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Generation:
    """How to decode. Temperature 0 is greedy; `top_k` 0 and `repetition_penalty` 1.0 are off.

    Attributes:
        thinking: let the model think before it answers, where its chat template knows that.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    repetition_penalty: float = 1.0
    thinking: bool = False

    @classmethod
    def of_model(cls, folder: Path) -> Generation:
        """The sampling defaults of the model's own generation_config.json; greedy where it names none.

        Raises:
            QwenlabError: when the file cannot be read.
        """
        path = folder / "generation_config.json"
        own = files.read_json(path) if path.is_file() else {}
        found: dict[str, Any] = {"repetition_penalty": float(own.get("repetition_penalty") or 1.0)}
        if own.get("do_sample"):  # without it transformers ignores the others, which stand there all the same
            found["temperature"] = float(own.get("temperature") or 1.0)
            found["top_p"] = float(own.get("top_p") or 1.0)
            found["top_k"] = TOP_K if own.get("top_k") is None else int(own["top_k"])
        return cls(**found)


TOP_K = 50
"""What transformers takes for a model that samples and names no top_k."""

Finish = Literal["stop", "length", "stopped", "context", "error"]
"""stop: the model ended its turn. length: cut at max_new_tokens. stopped: by the person. context: prompt and answer
do not fit the model together, so nothing was decoded. error: it failed. For both see Answer.error."""


@dataclass(frozen=True)
class Answer:
    """One finished answer and how it came about.

    Attributes:
        text: the reply without special tokens.
        finish: why it ended.
        prompt_tokens: length of the rendered prompt, in tokens.
        tokens: generated tokens, without the end-of-turn token.
        seconds: wall time from the start of its batch to its last token.
        error: what happened and what to do when `finish` is "error" or "context"; an error is never a wrong answer.
        error_zh: the same in Chinese; "" where it is not known.
    """

    text: str
    finish: Finish
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    error: str = ""
    error_zh: str = ""

    @classmethod
    def failed(cls, error: QwenlabError, text: str = "", finish: Finish = "error") -> Answer:
        """What is left of an answer that `error` ended."""
        return cls(text, finish, error=str(error), error_zh="".join(error.say("zh")) if error.zh else "")

    @classmethod
    def without_room(cls, prompt_tokens: int, settings: Generation, context: int) -> Answer | None:
        """The answer where prompt and reply do not fit a model of `context` tokens together; None where they do."""
        if prompt_tokens + settings.max_new_tokens <= context:
            return None
        most = settings.max_new_tokens
        error = QwenlabError(
            f"The conversation has {prompt_tokens} tokens; with {most} for the answer that is more than the {context} "
            "this model can hold.",
            "Shorten the conversation or begin a new one, or allow fewer tokens for the answer.",
            zh=(
                f"对话共 {prompt_tokens} 个词元，加上回答的 {most} 个，超过了该模型能容纳的 {context} 个。",
                "请缩短对话或开始新对话，或减少回答的词元数上限。",
            ),
        )
        return replace(cls.failed(error, finish="context"), prompt_tokens=prompt_tokens)

    def error_in(self, language: str) -> str:
        """The error in a language; in English where it is not known in it."""
        return self.error_zh if language == "zh" and self.error_zh else self.error


class Contestant(Protocol):
    """Anything that can answer: base, base with adapter, merged, int4, GGUF, endpoint."""

    @property
    def name(self) -> str:
        """The name the person gave it, such as "base" or "tuned"."""
        ...

    def describe(self) -> dict[str, str]:
        """How its answers are produced: kind, path, fingerprints of weights, tokenizer and template."""
        ...

    def answer(
        self, prompts: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Answer]]:
        """Answer all prompts, in any order; yield (index, answer) as soon as each is known.

        Once `should_stop()` is true, what is under way ends soon and nothing further is begun; answers that are not
        complete have the finish "stopped".
        """
        ...

    def close(self) -> None:
        """Free its memory and stop any server it started."""
        ...


@runtime_checkable
class Batching(Protocol):
    """A contestant whose prompts are computed together, so that numbers may be rounded by who else is in a batch."""

    def batches(self, prompts: Sequence[list[Message]]) -> list[list[int]]:
        """Which prompts `answer` takes together, in its order.

        Without some of these batches the others stay as they are.
        """
        ...


@runtime_checkable
class Enforceable(Protocol):
    """A contestant that can be forced into a JSON Schema."""

    def enforced(self, schema: dict[str, Any]) -> Contestant:
        """The same one, sharing its weights, with every answer forced into the schema; see `enforced_name`."""
        ...


def enforced_name(name: str) -> str:
    """How a contestant is called while the schema is enforced."""
    return f"{name} (enforced)"


def about_enforced(name: str, schema: dict[str, Any]) -> dict[str, str]:
    """What `describe` says more of it: whose answers these are, and a digest of the schema, keys in their order."""
    return {"enforced_for": name, "schema": hashlib.sha256(json.dumps(schema).encode()).hexdigest()[:16]}


@runtime_checkable
class Streaming(Protocol):
    """A contestant that speaks word by word, and can be forced into a JSON Schema."""

    def stream(
        self,
        messages: list[Message],
        settings: Generation,
        should_stop: Callable[[], bool] = ...,
        schema: dict[str, Any] | None = None,
    ) -> Generator[str, None, Answer]:
        """Yield the reply in pieces; the generator's return value is the whole answer."""
        ...
