"""Stand-ins that really implement the project's protocols, for tests without a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from qwenlab.evals import result
from qwenlab.models.contestant import Answer, Generation, Message

Script = Mapping[str, str | Answer] | Callable[[list[Message]], str | Answer]


class ScriptedContestant:
    """A contestant that answers from a script.

    Args:
        name: as a person would name it.
        script: last user turn -> reply, or a function of the messages. A missing entry is answered with "".
        batch: answers arrive in batches of this size, the last of a batch first, as real engines do.
        crash_after: raises RuntimeError once it has given this many answers.
    """

    def __init__(
        self,
        name: str,
        script: Script,
        *,
        batch: int = 1,
        crash_after: int | None = None,
        weights: str = "scripted",
    ) -> None:
        self._name = name
        self._script = script
        self._batch = batch
        self._crash_after = crash_after
        self._weights = weights
        self.asked: list[list[Message]] = []
        self.settings: Generation | None = None
        self.closed = False

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    def describe(self) -> dict[str, str]:
        """What a real contestant says about its weights, tokenizer and template."""
        return {"kind": "scripted", "weights": self._weights}

    def answer(
        self, prompts: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Answer]]:
        """Answer in batches, each from its last prompt to its first."""
        self.settings = settings
        given = 0
        for start in range(0, len(prompts), self._batch):
            for index in reversed(range(start, min(start + self._batch, len(prompts)))):
                if should_stop():
                    return
                if self._crash_after is not None and given >= self._crash_after:
                    raise RuntimeError("the contestant crashed")
                self.asked.append(prompts[index])
                given += 1
                yield index, self._reply(prompts[index])

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _reply(self, messages: list[Message]) -> Answer:
        if isinstance(self._script, Mapping):
            reply = self._script.get(messages[-1]["content"], "")
        else:
            reply = self._script(messages)
        if isinstance(reply, Answer):
            return reply
        return Answer(reply, "stop", prompt_tokens=len(messages), tokens=len(reply), seconds=0.001)


def dated(folder: Path, seconds: float) -> Path:
    """The result folder as if all its answers had come at that time."""
    for log in folder.glob("*/answers.jsonl"):
        lines = [{**json.loads(line), "at": seconds} for line in log.read_text(encoding="utf-8").splitlines()]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        result.write_scores(folder, log.parent.name)
    return folder
