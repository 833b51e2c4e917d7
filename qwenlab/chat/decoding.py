"""One batch decoded on shared weights: every row with its own adapter, conversation and random numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qwenlab.chat import constraint
from qwenlab.chat.opening import Opening
from qwenlab.chat.sampling import Chooser
from qwenlab.models.contestant import Answer, Finish, Generation
from qwenlab.models.loading import LoadedModel
from qwenlab.models.resident import StoppedError

LEAVE = 0.75
"""Share of the rows still speaking at which the others leave the batch; each time costs a copy of the rest."""


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
    opening: Opening | None = None,
) -> list[Answer]:
    """Decode one batch; a prompt that does not fit gets its answer at once, and the others go on.

    Args:
        prompts: token ids per row.
        rows: the PEFT adapter name per row, BASE for none.
        on_step: called after each step with all rows.
        should_stop: asked before each token, and at every layer of the prompt, so that even a long one ends soon.
        schema: a JSON Schema that every answer is forced into.
        opening: what all prompts begin with, where it is to be read once; all rows then have one adapter.

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
        made = _constraints(loaded, schema, len(going)) if schema is not None else []
        chooser = Chooser([row.prompt for row, _ in going], settings, made)
        steps = _Steps(loaded, going, chooser, settings.max_new_tokens, opening, should_stop)
        steps.run(lambda: on_step(batch) if on_step else None)
    return [row.answer for row in batch if row.answer]


class _Steps:
    """A batch from its prompts to its last token; rows that have ended leave it, so that the others go on faster."""

    def __init__(
        self,
        loaded: LoadedModel,
        going: list[tuple[Row, str]],
        chooser: Chooser,
        most: int,
        opening: Opening | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._loaded, self._chooser, self._most, self._opening = loaded, chooser, most, opening
        self._should_stop = should_stop
        self._rows, self._names = [row for row, _ in going], [name for _, name in going]
        self._places = list(range(len(going)))
        self._ends, self._pad = set(loaded.ends), int(loaded.tokenizer.pad_token_id)
        self._start = time.perf_counter()

    def run(self, on_step: Callable[[], None]) -> None:
        """Decode until every row has its answer."""
        import torch

        from qwenlab.chat.forward import Forward

        loaded, rows = self._loaded, list(self._rows)
        finish: Finish = "length"
        try:
            with loaded.turn(self._should_stop), torch.inference_mode(), _speaking(loaded, self._names):
                self._start = time.perf_counter()
                self._forward = Forward(loaded, self._names)
                scores = self._read_prompts()
                while self._choose(scores, on_step):
                    scores = self._step()
        except StoppedError:
            finish = "stopped"
        seconds = time.perf_counter() - self._start
        for row in rows:
            if row.answer is None:
                row.end(loaded.tokenizer, finish, seconds)

    def _read_prompts(self) -> Any:
        """Prompts of different length end at the same place: padding stands before them, or behind their opening."""
        import torch

        from qwenlab.chat.forward import States

        shared, device = self._opening.ids if self._opening else [], self._forward.device
        longest = max(len(row.prompt) for row in self._rows)
        padding = [longest - len(row.prompt) for row in self._rows]
        known = len(shared)
        ids = [[self._pad] * gap + row.prompt[known:] for gap, row in zip(padding, self._rows, strict=True)]
        valid = [[1] * known + [0] * gap + [1] * (longest - known - gap) for gap in padding]
        self._valid = torch.tensor(valid, device=device)
        self._states = self._opening.states(self._forward, len(ids), self._look) if self._opening else States()
        return self._forward(torch.tensor(ids, device=device), self._valid, self._states, self._look)

    def _step(self) -> Any:
        """Read the newest token of each row."""
        import torch

        newest = [[row.tokens[-1] if row.answer is None else self._pad] for row in self._rows]
        self._valid = torch.nn.functional.pad(self._valid, (0, 1), value=1)
        return self._forward(torch.tensor(newest, device=self._forward.device), self._valid, self._states, self._look)

    def _look(self) -> None:
        if self._should_stop():
            raise StoppedError

    def _choose(self, scores: Any, on_step: Callable[[], None]) -> bool:
        """Give each row its next token; False when all have ended."""
        said = [row.prompt + row.tokens for row in self._rows] if self._chooser.needed else [[]] * len(self._rows)
        chosen = self._chooser(scores, self._places, said).argmax(-1).tolist()
        for row, token in zip(self._rows, chosen, strict=True):
            if row.answer is not None:
                continue
            if token in self._ends:
                row.end(self._loaded.tokenizer, "stop", time.perf_counter() - self._start)
                continue
            row.tokens.append(token)
            if len(row.tokens) == self._most:
                row.end(self._loaded.tokenizer, "length", time.perf_counter() - self._start)
        on_step()
        left = [at for at, row in enumerate(self._rows) if row.answer is None]
        if left and len(left) <= LEAVE * len(self._rows):
            self._keep(left)
        return bool(left)

    def _keep(self, left: list[int]) -> None:
        """Go on with these rows only."""
        import torch

        self._rows, self._places = [self._rows[at] for at in left], [self._places[at] for at in left]
        self._forward.keep(left)
        where = torch.tensor(left, device=self._forward.device)
        self._valid = self._valid[where]
        self._states.keep(where)


def _constraints(loaded: LoadedModel, schema: dict[str, Any], count: int) -> list[constraint.Constraint]:
    compiler = constraint.compiler(loaded.tokenizer, loaded.ends, loaded.model.config.vocab_size)
    return [compiler.constraint(schema) for _ in range(count)]


@contextmanager
def _speaking(loaded: LoadedModel, names: Sequence[str]) -> Iterator[None]:
    """Let PEFT do nothing, as Forward adds the adapters itself; or switch to the one that only PEFT can compute."""
    if not loaded.has_adapters:
        yield
    elif all(loaded.mixes(name) for name in names):
        with loaded.model.disable_adapter():
            yield
    else:
        loaded.model.set_adapter(names[0])
        yield
