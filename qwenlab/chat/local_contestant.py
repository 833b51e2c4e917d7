"""A model in this process as contestant: the base, or the base with an adapter, on shared weights."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from qwenlab import failures
from qwenlab.chat.decoding import Row, generate
from qwenlab.chat.opening import Opening, begins, opening_ids
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Answer, Generation, Message, about_enforced, enforced_name
from qwenlab.models.loading import BASE, LoadedModel
from qwenlab.models.rendering import dated, prompt_ids

BATCH = 24
"""Prompts answered at once. Decoding reads all weights for every step, so a row more costs next to nothing."""
HALF_A_CHARACTER = "\N{REPLACEMENT CHARACTER}"
"""What the tokens so far decode to where the last one ends inside a character."""


class LocalContestant:
    """Answers with weights in memory.

    Args:
        name: what the person calls it.
        loaded: the shared base.
        adapter: the adapter's folder, or None for the base alone.
        schema: a JSON Schema that every answer is forced into, for `answer`.

    Raises:
        QwenlabError: when the adapter is broken or belongs to another base.
    """

    def __init__(
        self, name: str, loaded: LoadedModel, adapter: Path | None = None, schema: dict[str, Any] | None = None
    ) -> None:
        self.name = name
        self.loaded = loaded
        self.adapter = adapter
        self.row = loaded.attach(adapter) if adapter else BASE
        self.schema = schema
        self.free = name
        self._opening: Opening | None = None

    def enforced(self, schema: dict[str, Any]) -> LocalContestant:
        """The same on the same weights, with every answer forced into the schema."""
        made = LocalContestant(enforced_name(self.name), self.loaded, self.adapter, schema)
        made.free = self.name
        return made

    @property
    def batch(self) -> tuple[int, str]:
        """Those with the same value can decode in one batch."""
        return id(self.loaded), "" if self.loaded.mixes(self.row) else self.row

    def describe(self) -> dict[str, str]:
        """Kind, folders, fingerprints and precision."""
        digests = model_folder.fingerprints(self.loaded.folder)
        about = {
            "kind": "adapter" if self.adapter else "model",
            "model": str(self.loaded.folder),
            "dtype": str(self.loaded.model.dtype).removeprefix("torch."),
            "computed": self.loaded.computed,
            **digests,
            "config": model_folder.config_fingerprint(self.loaded.folder),
            "ends": ",".join(map(str, self.loaded.ends)),
        }
        if self.adapter:
            trained = model_folder.fingerprints(self.adapter)["weights"]
            how = model_folder.config_fingerprint(self.adapter)
            about |= {"adapter": str(self.adapter), "adapter_weights": trained, "adapter_config": how}
        if dated(self.loaded.tokenizer.chat_template):
            about["dated"] = "yes"
        return about if self.schema is None else about | about_enforced(self.free, self.schema)

    def batches(self, prompts: Sequence[list[Message]]) -> list[list[int]]:
        """Which prompts are answered together: those with the same opening, of similar length, longest first."""
        thinking = False  # it makes all prompts longer alike, which changes no batch
        return [batch for _, batch in self._planned(prompts, self._encoded(prompts, thinking), thinking)]

    def answer(
        self, prompts: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Answer]]:
        """Answer batch by batch; what the prompts of a batch begin with is read once for all batches."""
        encoded = self._encoded(prompts, settings.thinking)
        for start, batch in self._planned(prompts, encoded, settings.thinking):
            if start != (self._opening.ids if self._opening else []):
                self._opening = Opening(start) if start else None
            answers = self.decode([encoded[index] for index in batch], settings, self._opening, should_stop)
            yield from zip(batch, answers, strict=True)
            if should_stop():
                return

    def decode(
        self,
        prompts: Sequence[list[int]],
        settings: Generation,
        opening: Opening | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[Answer]:
        """Answer one batch of rendered prompts; all begin with `opening`."""
        names = [self.row] * len(prompts)
        return generate(
            self.loaded, prompts, names, settings, should_stop=should_stop, schema=self.schema, opening=opening
        )

    def _encoded(self, prompts: Sequence[list[Message]], thinking: bool) -> list[list[int]]:
        return [prompt_ids(self.loaded.tokenizer, messages, thinking) for messages in prompts]

    def _planned(
        self, prompts: Sequence[list[Message]], encoded: Sequence[list[int]], thinking: bool
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Batches as (tokens of the opening, indices).

        They depend on nothing but the prompts, and without some of its batches the rest is planned as before: a run
        that goes on gets the same answers, also where numbers are rounded differently in other batches.
        """
        heads: dict[str, tuple[int, ...]] = {}
        plans: dict[tuple[int, ...], list[int]] = {}
        for index, messages in enumerate(prompts):
            key = "\0".join(message["content"] for message in messages if message["role"] == "system")
            if key not in heads:
                heads[key] = tuple(opening_ids(self.loaded.tokenizer, messages, thinking))
            start = heads[key]
            plans.setdefault(start if begins(start, encoded[index]) else (), []).append(index)
        for start, group in plans.items():
            group.sort(key=lambda index: -len(encoded[index]))
            for at in range(0, len(group), BATCH):
                yield list(start), group[at : at + BATCH]

    def opening_of(self, messages: list[Message], ids: list[int], thinking: bool) -> Opening | None:
        """What `answer` would read first of this prompt alone.

        Numbers are rounded otherwise when a prompt is read in one piece: a chat would get another answer than a test.
        """
        start = opening_ids(self.loaded.tokenizer, messages, thinking)
        return Opening(start) if begins(start, ids) else None

    def close(self) -> None:
        """Nothing of its own to free: the pool owns the weights."""


Spoken = tuple[str, int] | Answer
"""Text and number of tokens so far, or the finished answer."""


def stream_batch(
    contestants: Sequence[LocalContestant],
    conversations: Sequence[list[Message]],
    settings: Generation,
    stop: threading.Event,
    schema: dict[str, Any] | None = None,
) -> Iterator[list[Spoken]]:
    """Answer one conversation per contestant in ONE batch; all have the same `batch`.

    Yields:
        After each step what each contestant has said; at last every answer. A conversation that cannot be
        rendered is answered with its error, and the others go on.
    """
    loaded = contestants[0].loaded
    said: list[Spoken] = [("", 0)] * len(contestants)
    prompts: dict[int, list[int]] = {}
    for index, messages in enumerate(conversations):
        try:
            prompts[index] = prompt_ids(loaded.tokenizer, messages, settings.thinking)
        except Exception as error:
            said[index] = Answer.failed(failures.explain(error))
    steps: queue.SimpleQueue[list[Spoken] | BaseException | None] = queue.SimpleQueue()

    def show(rows: list[Row]) -> None:
        steps.put([row.answer or (_text(loaded.tokenizer, row.tokens), len(row.tokens)) for row in rows])

    def work() -> None:
        names, batch = [contestants[index].row for index in prompts], list(prompts.values())
        try:
            opening = None
            if len(batch) == 1:
                ((index, ids),) = prompts.items()
                opening = contestants[index].opening_of(conversations[index], ids, settings.thinking)
            steps.put([*generate(loaded, batch, names, settings, show, stop.is_set, schema, opening)])
            steps.put(None)
        except BaseException as error:
            steps.put(error)

    if prompts:
        threading.Thread(target=work, daemon=True).start()
    else:
        steps.put(None)
    while (step := steps.get()) is not None:
        if isinstance(step, BaseException):
            raise step
        for index, spoken in zip(prompts, step, strict=True):
            said[index] = spoken
        yield list(said)
    yield list(said)


def _text(tokenizer: Any, tokens: list[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True)).rstrip(HALF_A_CHARACTER)
