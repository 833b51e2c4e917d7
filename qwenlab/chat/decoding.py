"""One batch decoded on shared weights: every row with its own adapter, conversation and random numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qwenlab.chat import constraint
from qwenlab.chat.sampling import Chooser
from qwenlab.models.contestant import Answer, Finish, Generation
from qwenlab.models.loading import LoadedModel
from qwenlab.models.resident import StoppedError

BASE = "__base__"
"""PEFT's name for "no adapter" in a mixed batch."""


class Row:
    """One answer as it grows.

    Attributes:
        tokens: chosen so far, without the end of the turn.
        answer: set once it has ended.
    """

    def __init__(self, prompt: list[int]) -> None:
        self.prompt = prompt
        self.tokens: list[int] = []
        self.answer: Answer | None = None

    def end(self, tokenizer: Any, finish: Finish, seconds: float) -> None:
        """Say why it ended."""
        text = tokenizer.decode(self.tokens, skip_special_tokens=True)
        self.answer = Answer(text, finish, len(self.prompt), len(self.tokens), seconds)


def generate(
    loaded: LoadedModel,
    prompts: Sequence[list[int]],
    rows: Sequence[str],
    settings: Generation,
    on_step: Callable[[list[Row]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    schema: dict[str, Any] | None = None,
) -> list[Answer]:
    """Decode one batch; a prompt that does not fit gets its answer at once, and the others go on.

    Args:
        prompts: token ids per row.
        rows: the PEFT adapter name per row, BASE for none.
        on_step: called after each step with all rows.
        should_stop: asked at every layer, so that even a long prompt ends soon.
        schema: a JSON Schema that every answer is forced into.

    Raises:
        QwenlabError: when the schema cannot be used.
    """
    batch = [Row(prompt) for prompt in prompts]
    for row in batch:
        row.answer = Answer.without_room(len(row.prompt), settings, loaded.context)
    going = [(row, name) for row, name in zip(batch, rows, strict=True) if row.answer is None]
    if on_step and len(going) < len(batch):
        on_step(batch)
    if going:
        fitting, names = [row for row, _ in going], [name for _, name in going]
        _decode(loaded, fitting, names, settings, lambda: on_step(batch) if on_step else None, should_stop, schema)
    return [row.answer for row in batch if row.answer]


def _decode(
    loaded: LoadedModel,
    batch: list[Row],
    names: list[str],
    settings: Generation,
    on_step: Callable[[], None],
    should_stop: Callable[[], bool],
    schema: dict[str, Any] | None,
) -> None:
    import torch

    tokenizer, longest = loaded.tokenizer, max(len(row.prompt) for row in batch)
    padding, device = [longest - len(row.prompt) for row in batch], loaded.model.device
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * p + row.prompt for row, p in zip(batch, padding, strict=True)], device=device)
    mask = torch.tensor([[0] * p + [1] * (longest - p) for p in padding], device=device)
    options: dict[str, Any] = {"max_new_tokens": settings.max_new_tokens, "do_sample": False}
    made = _constraints(loaded, schema, len(batch)) if schema is not None else []
    chooser = Chooser([row.prompt for row in batch], settings, made)
    if chooser.needed:
        options["logits_processor"] = [chooser]
    finish: Finish = "length"
    start = time.perf_counter()
    try:
        with loaded.turn(should_stop), torch.inference_mode(), _speaking(loaded, names), _brake(loaded, should_stop):
            start = time.perf_counter()
            stream = _Stream(loaded, batch, on_step, start)
            loaded.model.generate(input_ids=ids, attention_mask=mask, streamer=stream, **options)
    except StoppedError:
        finish = "stopped"
    seconds = time.perf_counter() - start
    for row in batch:
        if row.answer is None:
            row.end(tokenizer, finish, seconds)


def _constraints(loaded: LoadedModel, schema: dict[str, Any], count: int) -> list[constraint.Constraint]:
    compiler = constraint.compiler(loaded.tokenizer, loaded.ends, loaded.model.config.vocab_size)
    return [compiler.constraint(schema) for _ in range(count)]


@contextmanager
def _speaking(loaded: LoadedModel, names: Sequence[str]) -> Iterator[None]:
    """Switch the shared model to the rows' adapters; a batch of one voice needs no per-row choice, which costs time."""
    if not loaded.has_adapters:
        yield
    elif set(names) == {BASE}:
        with loaded.model.disable_adapter():
            yield
    elif len(set(names)) == 1:
        loaded.model.set_adapter(names[0])
        yield
    else:
        # PEFT's own `adapter_names` of generate leaves these hooks behind when a step raises, and from then on every
        # answer would be spoken by the wrong adapters.
        def name_rows(_: Any, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return arguments, named | {"adapter_names": list(names)}

        hooks = [part.register_forward_pre_hook(name_rows, with_kwargs=True) for part in loaded.adapted()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


@contextmanager
def _brake(loaded: LoadedModel, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Leave the forward pass at the next layer once it should stop."""

    def look(*_: Any) -> None:
        if should_stop():
            raise StoppedError

    hooks = [layer.register_forward_pre_hook(look) for layer in loaded.layers()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Stream:
    """transformers' streamer protocol for a batch: the prompt comes first, then one token per row and step."""

    def __init__(self, loaded: LoadedModel, batch: list[Row], on_step: Callable[[], None], start: float) -> None:
        self._loaded, self._batch, self._on_step, self._start = loaded, batch, on_step, start
        self._ends = set(loaded.ends)
        self._prompt_seen = False

    def put(self, value: Any) -> None:
        """Receive the prompt, then a step."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for row, token in zip(self._batch, value.flatten().tolist(), strict=True):
            if row.answer is not None:
                continue
            if token in self._ends:
                row.end(self._loaded.tokenizer, "stop", time.perf_counter() - self._start)
            else:
                row.tokens.append(token)
        self._on_step()

    def end(self) -> None:
        """The batch is done."""
