"""The beginning that prompts share, such as the same system turn: read by the model once, not once per prompt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from qwenlab.models.contestant import Message
from qwenlab.models.rendering import PRIVATE_USE, prompt_ids

SHORTEST = 16
"""Tokens below which sharing is not worth a pass of its own."""


class Opening:
    """The first tokens of several prompts, and the model's keys and values of them once it has read them.

    It belongs to one model with one adapter.

    Args:
        ids: the tokens.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self._states: list[tuple[Any, Any]] = []

    def cache(self, model: Any, rows: int) -> Any:
        """A transformers cache for `rows` prompts that have been read up to the end of the opening.

        The first call reads it, so it must come where the model speaks with the right adapter.
        """
        import torch
        from transformers import DynamicCache

        if not self._states:
            read: Any = DynamicCache(config=model.config)
            ids = torch.tensor([self.ids], device=model.device)
            model(input_ids=ids, past_key_values=read, use_cache=True, logits_to_keep=1)
            self._states = [(layer.keys, layer.values) for layer in read.layers]
        made: Any = DynamicCache(config=model.config)
        for layer, (keys, values) in enumerate(self._states):
            made.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        return made


def can_share(model: Any) -> bool:
    """Whether the model keeps all it has read: one with a sliding window forgets, and its states cannot be reused."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def opening_ids(tokenizer: Any, messages: Sequence[Message], thinking: bool = False) -> list[int]:
    """The tokens with which every prompt begins that has the same system turns, whatever the user says."""
    head = [message for message in messages if message["role"] == "system"]
    users = [Message(role="user", content=chr(PRIVATE_USE[at])) for at in (0, -1)]
    one, other = (prompt_ids(tokenizer, [*head, user], thinking) for user in users)
    return one[: len(os.path.commonprefix([one, other]))]
