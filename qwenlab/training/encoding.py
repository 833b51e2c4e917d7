"""A sample becomes tokens and labels: only what the assistant says is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.models import rendering

IGNORED = -100
"""The label that torch's cross-entropy leaves out."""


@dataclass(frozen=True)
class Encoded:
    """One sample as the model sees it.

    Attributes:
        ids: token ids of the whole conversation, length n.
        labels: the same ids where the assistant speaks (its end-of-turn token included), IGNORED elsewhere.
    """

    ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """How many tokens are trained."""
        return sum(label != IGNORED for label in self.labels)


@dataclass
class EncodedSet:
    """The samples that can be trained, and those left out with the reason (sample id, reason)."""

    samples: list[Encoded] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def encode(tokenizer: Any, sample: Sample) -> Encoded:
    """Tokens and labels of one conversation, up to its last assistant answer.

    Raises:
        QwenlabError: when the conversation has no answer or the chat template refuses it.
    """
    messages = sample.to_messages()
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # what nobody answered teaches nothing
    if not messages:
        raise QwenlabError("It has no assistant answer.", "Add one.")
    if not any(message["role"] == "user" for message in messages):
        raise QwenlabError("It has no user turn.", "Add one.")
    if any(not message["content"].strip() for message in messages if message["role"] == "assistant"):
        raise QwenlabError("An assistant answer is empty.", "Write it or delete the turn.")
    parts = rendering.pieces(tokenizer, messages)
    while parts and not parts[-1].answer:
        parts.pop()  # the template's closing newline
    ids = [token for part in parts for token in part.ids]
    labels = [token if part.answer else IGNORED for part in parts for token in part.ids]
    if not parts:
        raise QwenlabError("The chat template hides its answers.", "Choose another model.")
    return Encoded(ids, labels)


def encode_all(tokenizer: Any, samples: Sequence[Sample], max_length: int) -> EncodedSet:
    """Encode what can be trained; a poisoned or too long sample is listed and the rest goes on."""
    result = EncodedSet()
    for number, sample in enumerate(samples, start=1):
        name = str(sample.id or f"#{number}")
        try:
            encoded = encode(tokenizer, sample)
        except (QwenlabError, TypeError, KeyError, AttributeError, ValueError) as error:
            result.left_out.append((name, str(error)))
            continue
        if len(encoded.ids) > max_length:
            result.left_out.append((name, f"{len(encoded.ids)} tokens, more than max_length {max_length}"))
            continue
        result.samples.append(encoded)
    return result
