"""The beginning that prompts share, such as the same system turn: read by the model once, not once per prompt."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qwenlab.models.contestant import Message
from qwenlab.models.rendering import PRIVATE_USE, prompt_ids

if TYPE_CHECKING:
    from qwenlab.chat.forward import Forward, States

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
        self._read: States | None = None

    def states(self, forward: Forward, rows: int, look: Callable[[], None]) -> States:
        """The states of so many prompts that have been read up to the end of the opening; the first call reads it."""
        import torch

        from qwenlab.chat.forward import States

        if self._read is None:
            read, ids = States(), torch.tensor([self.ids], device=forward.device)
            forward(ids, torch.ones_like(ids), read, look)
            self._read = read
        return self._read.fork(rows)


def opening_ids(tokenizer: Any, messages: Sequence[Message], thinking: bool = False) -> list[int]:
    """The tokens with which every prompt begins that has the same system turns, whatever the user says."""
    head = [message for message in messages if message["role"] == "system"]
    users = [Message(role="user", content=chr(PRIVATE_USE[at])) for at in (0, -1)]
    one, other = (prompt_ids(tokenizer, [*head, user], thinking) for user in users)
    return one[: len(os.path.commonprefix([one, other]))]


def begins(start: Sequence[int], ids: Sequence[int]) -> bool:
    """Whether a prompt begins with an opening that is worth a pass of its own, and goes on behind it."""
    return SHORTEST <= len(start) < len(ids) and list(ids[: len(start)]) == list(start)
