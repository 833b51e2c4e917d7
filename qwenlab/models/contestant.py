"""What it means to answer: the one interface that chat and tests speak to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict

from qwenlab.errors import QwenlabError


class Message(TypedDict):
    """One turn in the chat form of OpenAI and transformers: role is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Generation:
    """How to decode. Temperature 0 is greedy."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


Finish = Literal["stop", "length", "stopped", "error"]
"""stop: the model ended its turn. length: cut at max_new_tokens. stopped: by the person. error: see Answer.error."""


@dataclass(frozen=True)
class Answer:
    """One finished answer and how it came about.

    Attributes:
        text: the reply without special tokens.
        finish: why it ended.
        prompt_tokens: length of the rendered prompt, in tokens.
        tokens: generated tokens, without the end-of-turn token.
        seconds: wall time of the batch it was generated in.
        error: what happened and what to do when `finish` is "error"; an error is never a wrong answer.
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
    def failed(cls, error: QwenlabError, text: str = "") -> Answer:
        """What is left of an answer that `error` ended."""
        return cls(text, "error", error=str(error), error_zh="".join(error.say("zh")) if error.zh else "")

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

    def answer(self, prompts: Sequence[list[Message]], settings: Generation) -> Iterator[tuple[int, Answer]]:
        """Answer all prompts, in any order; yield (index, answer) as soon as each is known."""
        ...

    def close(self) -> None:
        """Free its memory and stop any server it started."""
        ...
