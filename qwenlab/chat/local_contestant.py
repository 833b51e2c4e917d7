"""A model in this process as contestant: the base, or the base with an adapter, on shared weights."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Answer, Finish, Generation, Message
from qwenlab.models.loading import LoadedModel
from qwenlab.models.rendering import prompt_ids

BATCH = 24
"""Prompts answered at once. Decoding reads all weights for every step, so a row more costs next to nothing."""
BASE = "__base__"
"""PEFT's name for "no adapter" in a mixed batch."""


class LocalContestant:
    """Answers with weights in memory.

    Args:
        name: what the person calls it.
        loaded: the shared base.
        adapter: the adapter's folder, or None for the base alone.
    """

    def __init__(self, name: str, loaded: LoadedModel, adapter: Path | None = None) -> None:
        self.name = name
        self.loaded = loaded
        self.adapter = adapter
        self.row = loaded.attach(adapter) if adapter else BASE

    def describe(self) -> dict[str, str]:
        """Kind, folders, fingerprints and precision."""
        digests = model_folder.fingerprints(self.loaded.folder)
        about = {
            "kind": "adapter" if self.adapter else "model",
            "model": str(self.loaded.folder),
            "dtype": str(self.loaded.model.dtype).removeprefix("torch."),
            **digests,
        }
        if self.adapter:
            trained = model_folder.fingerprints(self.adapter)["weights"]
            about |= {"adapter": str(self.adapter), "adapter_weights": trained}
        return about

    def answer(self, prompts: Sequence[list[Message]], settings: Generation) -> Iterator[tuple[int, Answer]]:
        """Answer in batches of prompts of similar length, longest first."""
        encoded = [prompt_ids(self.loaded.tokenizer, messages) for messages in prompts]
        order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
        for at in range(0, len(order), BATCH):
            chosen = order[at : at + BATCH]
            yield from zip(chosen, self.decode([encoded[index] for index in chosen], settings), strict=True)

    def decode(self, prompts: Sequence[list[int]], settings: Generation) -> list[Answer]:
        """Answer one batch of rendered prompts."""
        return generate(self.loaded, prompts, [self.row] * len(prompts), settings)

    def close(self) -> None:
        """Nothing of its own to free: the pool owns the weights."""


def generate(
    loaded: LoadedModel,
    prompts: Sequence[list[int]],
    rows: Sequence[str],
    settings: Generation,
    on_tokens: Callable[[list[int]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Answer]:
    """Decode one batch.

    Args:
        prompts: token ids per row.
        rows: the PEFT adapter name per row, BASE for none.
        on_tokens: called after each step with one token id per row.
        should_stop: asked after each step; True ends the batch at once.
    """
    import torch
    from transformers import StoppingCriteriaList

    tokenizer, longest = loaded.tokenizer, max(map(len, prompts))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts], device=loaded.model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=loaded.model.device)
    options: dict[str, Any] = {"max_new_tokens": settings.max_new_tokens, "do_sample": settings.temperature > 0}
    if options["do_sample"]:
        options |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    if on_tokens:
        options["streamer"] = _Stream(on_tokens)
    if should_stop:
        options["stopping_criteria"] = StoppingCriteriaList(
            [lambda now, _scores, **__: torch.full((len(now),), should_stop(), device=now.device)]
        )
    with loaded.lock, torch.inference_mode(), _speaking(loaded, rows) as who:
        torch.manual_seed(settings.seed)
        start = time.perf_counter()
        output = loaded.model.generate(input_ids=ids, attention_mask=mask, **options, **who)
        seconds = time.perf_counter() - start
    ends = set(loaded.model.generation_config.eos_token_id)
    stopped = bool(should_stop and should_stop())
    return [
        _finish(tokenizer, row.tolist()[longest:], ends, len(prompt), seconds, stopped)
        for row, prompt in zip(output, prompts, strict=True)
    ]


@contextmanager
def _speaking(loaded: LoadedModel, rows: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Switch the shared model to the rows' adapters; a batch of one voice needs no per-row choice, which costs time."""
    if loaded.has_adapters and set(rows) == {BASE}:
        with loaded.model.disable_adapter():
            yield {}
    elif loaded.has_adapters and len(set(rows)) == 1:
        loaded.model.set_adapter(rows[0])
        yield {}
    else:
        yield {"adapter_names": list(rows)} if loaded.has_adapters else {}


def _finish(tokenizer: Any, new: list[int], ends: set[int], prompt: int, seconds: float, stopped: bool) -> Answer:
    """Cut a row at its first end-of-turn token and say why it ended."""
    end = next((at for at, token in enumerate(new) if token in ends), None)
    words = new if end is None else new[:end]
    text = tokenizer.decode(words, skip_special_tokens=True)
    finish: Finish = "stop" if end is not None else "stopped" if stopped else "length"
    return Answer(text, finish, prompt_tokens=prompt, tokens=len(words), seconds=seconds)


class _Stream:
    """transformers' streamer protocol for a batch: the prompt comes first, then one token per row and step."""

    def __init__(self, on_tokens: Callable[[list[int]], None]) -> None:
        self._on_tokens = on_tokens
        self._prompt_seen = False

    def put(self, value: Any) -> None:
        """Receive the prompt, then a step."""
        if self._prompt_seen:
            self._on_tokens(value.flatten().tolist())
        self._prompt_seen = True

    def end(self) -> None:
        """The batch is done."""


@dataclass(frozen=True)
class Done:
    """The end of a streamed batch."""

    answers: list[Answer]


def stream_batch(
    contestants: Sequence[LocalContestant],
    conversations: Sequence[list[Message]],
    settings: Generation,
    stop: threading.Event,
) -> Iterator[list[str] | list[Answer]]:
    """Answer one conversation per contestant in ONE batch; all share a base.

    Yields:
        After each step the texts so far, one per contestant; at last the finished answers.
    """
    loaded = contestants[0].loaded
    prompts = [prompt_ids(loaded.tokenizer, messages) for messages in conversations]
    ends = set(loaded.model.generation_config.eos_token_id)
    steps: queue.Queue[list[int] | Done | BaseException] = queue.Queue()

    def work() -> None:
        try:
            rows = [contestant.row for contestant in contestants]
            steps.put(Done(generate(loaded, prompts, rows, settings, steps.put, stop.is_set)))
        except BaseException as error:
            steps.put(error)

    threading.Thread(target=work, daemon=True).start()
    tokens: list[list[int]] = [[] for _ in contestants]
    ended = [False] * len(contestants)
    while True:
        step = steps.get()
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, Done):
            yield step.answers
            return
        for row, token in enumerate(step):
            ended[row] = ended[row] or token in ends
            if not ended[row]:
                tokens[row].append(token)
        yield [loaded.tokenizer.decode(row, skip_special_tokens=True) for row in tokens]
