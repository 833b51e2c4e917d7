"""Choosing the next token of each row by itself: no row's answer depends on who answers beside it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from qwenlab.chat.constraint import Constraint
from qwenlab.models.contestant import Generation


class Chooser:
    """Changes logits so that the largest value of a row is its next token, greedy or drawn.

    Drawing is done by adding Gumbel noise, which for the largest value equals sampling from the softmax. Every
    row draws from a generator of its own, seeded with the seed and its prompt.

    Args:
        prompts: token ids per row, without padding.
        settings: temperature 0 chooses the most likely token.
        constraints: per row what the answer is forced into; empty for free answers.
    """

    def __init__(
        self, prompts: Sequence[list[int]], settings: Generation, constraints: Sequence[Constraint] = ()
    ) -> None:
        import torch

        self._lengths = [len(prompt) for prompt in prompts]
        self._settings = settings
        self._constraints = constraints
        self._generators = [
            torch.Generator().manual_seed(settings.seed + zlib.crc32(str(prompt).encode())) for prompt in prompts
        ]

    @property
    def needed(self) -> bool:
        """Whether it changes anything: a plain greedy batch goes without."""
        settings = self._settings
        return bool(self._constraints) or settings.temperature > 0 or settings.repetition_penalty != 1.0

    def __call__(self, scores: Any, rows: Sequence[int], said: Sequence[Sequence[int]]) -> Any:
        """Change the scores.

        Args:
            scores: float32 logits of the next token, shape (rows, vocabulary).
            rows: which row each line is of.
            said: per line the tokens of its prompt and of its answer so far.
        """
        import torch

        if not self.needed:
            return scores
        chosen = []
        for row, tokens, values in zip(rows, said, scores, strict=True):
            if self._constraints:
                if len(tokens) > self._lengths[row]:
                    self._constraints[row].take(tokens[-1])
                values = _forced(values, self._constraints[row].allowed())
            chosen.append(self._row(row, tokens, values))
        return torch.stack(chosen)

    def _row(self, row: int, said: Sequence[int], values: Any) -> Any:
        """One row; `said` is its prompt and answer so far, `values` its logits."""
        import torch

        settings = self._settings
        if settings.repetition_penalty != 1.0:
            seen = torch.tensor(list(set(said)), device=values.device)
            known = values[seen]
            penalty = settings.repetition_penalty
            values = values.index_put((seen,), torch.where(known < 0, known * penalty, known / penalty))
        if settings.temperature <= 0:
            return values
        values = _narrowed(values / settings.temperature, settings.top_k, settings.top_p)
        noise = torch.empty(values.shape).exponential_(generator=self._generators[row])
        return values - noise.log().to(values.device)


def _forced(values: Any, allowed: bytes) -> Any:
    """Logits with what the schema forbids at minus infinity."""
    import numpy as np
    import torch

    bits = np.unpackbits(np.frombuffer(allowed, np.uint8), bitorder="little", count=len(values))
    return values.masked_fill(torch.from_numpy(bits).to(values.device) == 0, float("-inf"))


def _narrowed(values: Any, top_k: int, top_p: float) -> Any:
    """Logits of the `top_k` most likely tokens, of these the fewest that together have the probability `top_p`."""
    import torch

    if not top_k and top_p >= 1:
        return values
    kept, places = values.topk(min(top_k or len(values), len(values)))
    before = kept.softmax(-1).cumsum(-1) - kept.softmax(-1)
    kept = kept.masked_fill((before >= top_p) & (before > 0), float("-inf"))
    return torch.full_like(values, float("-inf")).scatter(0, places, kept)
