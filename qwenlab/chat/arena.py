"""Several contestants answer one message, all columns streaming together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenlab import failures
from qwenlab.chat.local_contestant import LocalContestant, stream_batch
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer, Contestant, Generation, Message, Streaming


@dataclass
class Column:
    """What one contestant has said so far.

    Attributes:
        name: the contestant's name.
        about: how its answers are produced, as `Contestant.describe` says.
        text: the words so far.
        tokens: of the words so far; exact once it has ended.
        answer: set once it has ended.
        first_token_seconds: from the question to the first word.
        seconds: from the question to the newest word.
    """

    name: str
    about: dict[str, str]
    text: str = ""
    tokens: int = 0
    answer: Answer | None = None
    first_token_seconds: float | None = None
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def tokens_per_s(self) -> float:
        """Tokens by the time since the question; 0 before the first."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0

    def grow(self, text: str, tokens: int) -> None:
        """Take the text so far."""
        if tokens != self.tokens:
            self.seconds = time.perf_counter() - self.began
            if self.first_token_seconds is None:
                self.first_token_seconds = self.seconds
        self.text, self.tokens = text, tokens

    def end(self, answer: Answer) -> None:
        """Take the finished answer."""
        if self.answer is None:
            self.seconds = time.perf_counter() - self.began
            if answer.tokens and self.first_token_seconds is None:
                self.first_token_seconds = self.seconds
            self.answer, self.text, self.tokens = answer, answer.text, answer.tokens


def stream(
    contestants: Sequence[Contestant],
    conversations: Sequence[list[Message]],
    settings: Generation,
    stop: threading.Event,
    schema: dict[str, Any] | None = None,
) -> Iterator[list[Column]]:
    """Yield all columns, again and again, until every contestant has ended.

    Contestants on one base decode in one batch; others beside them. A contestant that fails ends its own
    column with the error and leaves the others alone.

    Args:
        conversations: one per contestant; they may differ.
        stop: ends all answers within a token; it is set when the stream ends or is closed.
        schema: a JSON Schema that every answer is forced into. An answer may still be cut at its token limit,
            and `constraint.unenforced` names what of the schema is left to luck.
    """
    columns = [Column(contestant.name, contestant.describe()) for contestant in contestants]
    changed: queue.SimpleQueue[None] = queue.SimpleQueue()
    groups: dict[Hashable, list[int]] = {}
    for index, (contestant, _) in enumerate(zip(contestants, conversations, strict=True)):
        groups.setdefault(contestant.batch if isinstance(contestant, LocalContestant) else index, []).append(index)

    def work(indices: list[int]) -> None:
        asked = [contestants[index] for index in indices]
        told = [conversations[index] for index in indices]
        try:
            for _ in _answer(asked, told, [columns[index] for index in indices], settings, stop, schema):
                changed.put(None)
        except Exception as error:
            for column in (columns[index] for index in indices):
                column.end(Answer.failed(failures.explain(error), column.text))
        finally:
            changed.put(None)

    workers = [threading.Thread(target=work, args=(indices,), daemon=True) for indices in groups.values()]
    for worker in workers:
        worker.start()
    try:
        while not all(column.answer for column in columns):
            changed.get()
            while not changed.empty():  # several steps since the last look are one picture
                changed.get_nowait()
            yield columns
        yield columns
    finally:
        stop.set()  # the page was closed, or all have ended


def _answer(
    asked: Sequence[Contestant],
    conversations: Sequence[list[Message]],
    columns: Sequence[Column],
    settings: Generation,
    stop: threading.Event,
    schema: dict[str, Any] | None,
) -> Iterator[None]:
    """Let a group answer; yields after each step."""
    local = [one for one in asked if isinstance(one, LocalContestant)]
    if local:
        for step in stream_batch(local, conversations, settings, stop, schema):
            for column, said in zip(columns, step, strict=True):
                if isinstance(said, Answer):
                    column.end(said)
                else:
                    column.grow(*said)
            yield
        return
    ((contestant,), (messages,), (column,)) = asked, conversations, columns
    if isinstance(contestant, Streaming):
        pieces = contestant.stream(messages, settings, stop.is_set, schema)
        while True:
            try:
                column.grow(column.text + next(pieces), column.tokens + 1)
            except StopIteration as end:
                column.end(end.value)
                return
            yield
    if schema is not None:
        raise QwenlabError(
            f"{contestant.name} cannot be forced into a JSON Schema.",
            "Ask it without enforcing the schema.",
            zh=(f"无法强制 {contestant.name} 符合 JSON Schema。", "请在不强制 Schema 的情况下提问。"),
        )
    for _, answer in contestant.answer([messages], settings):
        column.end(answer)
