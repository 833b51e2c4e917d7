"""Several contestants answer one message, all columns streaming together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from qwenlab import failures
from qwenlab.chat.gguf_contestant import GgufContestant
from qwenlab.chat.local_contestant import LocalContestant, stream_batch
from qwenlab.models.contestant import Answer, Contestant, Generation, Message


@dataclass
class Column:
    """What one contestant has said so far.

    Attributes:
        name: the contestant's name.
        about: how its answers are produced, as `Contestant.describe` says.
        text: the words so far.
        answer: set once it has ended.
        first_token_seconds: from the question to the first word.
    """

    name: str
    about: dict[str, str]
    text: str = ""
    answer: Answer | None = None
    first_token_seconds: float | None = None
    began: float = field(default_factory=time.perf_counter)

    def grow(self, text: str) -> None:
        """Take the text so far."""
        if text and self.first_token_seconds is None:
            self.first_token_seconds = time.perf_counter() - self.began
        self.text = text

    def end(self, answer: Answer) -> None:
        """Take the finished answer."""
        self.answer, self.text = answer, answer.text


def stream(
    contestants: Sequence[Contestant],
    messages: list[Message],
    settings: Generation,
    stop: threading.Event,
) -> Iterator[list[Column]]:
    """Yield all columns, again and again, until every contestant has ended.

    Contestants on one base decode in one batch; others beside them. A contestant that fails ends its own
    column with the error and leaves the others alone.
    """
    columns = [Column(contestant.name, contestant.describe()) for contestant in contestants]
    changed: queue.Queue[None] = queue.Queue()
    groups: dict[int, list[int]] = {}
    for index, contestant in enumerate(contestants):
        shared = id(contestant.loaded) if isinstance(contestant, LocalContestant) else -index - 1
        groups.setdefault(shared, []).append(index)

    def work(indices: list[int]) -> None:
        try:
            _answer_group(contestants, columns, indices, messages, settings, stop, changed)
        except Exception as error:
            for index in indices:
                columns[index].answer = Answer.failed(failures.explain(error), columns[index].text)
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


def _answer_group(
    contestants: Sequence[Contestant],
    columns: list[Column],
    indices: list[int],
    messages: list[Message],
    settings: Generation,
    stop: threading.Event,
    changed: queue.Queue[None],
) -> None:
    first = contestants[indices[0]]
    if isinstance(first, LocalContestant):
        local = [one for index in indices if isinstance(one := contestants[index], LocalContestant)]
        for step in stream_batch(local, [messages] * len(local), settings, stop):
            for index, value in zip(indices, step, strict=True):
                if isinstance(value, Answer):
                    columns[index].end(value)
                elif isinstance(value, str):
                    columns[index].grow(value)
            changed.put(None)
        return
    column = columns[indices[0]]
    if isinstance(first, GgufContestant):
        pieces = first.stream(messages, settings, stop.is_set)
        while True:
            try:
                column.grow(column.text + next(pieces))
            except StopIteration as end:
                column.end(end.value)
                return
            changed.put(None)
    for _, answer in first.answer([messages], settings):
        column.end(answer)
