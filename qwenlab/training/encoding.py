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
    left_out_zh: list[tuple[str, str]] = field(default_factory=list)

    def leave_out(self, name: str, reason: str, reason_zh: str) -> None:
        """List a sample that cannot be trained, in both languages."""
        self.left_out.append((name, reason))
        self.left_out_zh.append((name, reason_zh))


def encode(tokenizer: Any, sample: Sample) -> Encoded:
    """Tokens and labels of one conversation, up to its last assistant answer.

    Raises:
        QwenlabError: when the conversation has no answer or the chat template refuses it.
    """
    messages = sample.to_messages()
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # what nobody answered teaches nothing
    if not messages:
        raise QwenlabError("It has no assistant answer.", "Add one.", zh=("没有助手回答。", "请添加。"))
    if not any(message["role"] == "user" for message in messages):
        raise QwenlabError("It has no user turn.", "Add one.", zh=("没有用户轮次。", "请添加。"))
    if any(not message["content"].strip() for message in messages if message["role"] == "assistant"):
        raise QwenlabError(
            "An assistant answer is empty.",
            "Write it or delete the turn.",
            zh=("有一个助手回答是空的。", "请填写它，或删除该轮次。"),
        )
    parts = rendering.pieces(tokenizer, messages)
    while parts and not parts[-1].answer:
        parts.pop()  # the template's closing newline
    ids = [token for part in parts for token in part.ids]
    labels = [token if part.answer else IGNORED for part in parts for token in part.ids]
    if not parts:
        raise QwenlabError(
            "The chat template hides its answers.",
            "Choose another model.",
            zh=("聊天模板隐藏了它的回答。", "请选择其他模型。"),
        )
    return Encoded(ids, labels)


def encode_all(tokenizer: Any, samples: Sequence[Sample], max_length: int) -> EncodedSet:
    """Encode what can be trained; a poisoned or too long sample is listed and the rest goes on."""
    result = EncodedSet()
    for number, sample in enumerate(samples, start=1):
        name = str(sample.id or f"#{number}")
        try:
            encoded = encode(tokenizer, sample)
        except (QwenlabError, TypeError, KeyError, AttributeError, ValueError) as error:
            zh = "".join(error.say("zh")) if isinstance(error, QwenlabError) else str(error)
            result.leave_out(name, str(error), zh)
            continue
        if len(encoded.ids) > max_length:
            long = len(encoded.ids)
            zh = f"{long} 个 token，超过最长样本 {max_length}"
            result.leave_out(name, f"{long} tokens, more than max_length {max_length}", zh)
            continue
        result.samples.append(encoded)
    return result
