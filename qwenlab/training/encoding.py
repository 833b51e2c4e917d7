"""A sample becomes tokens and labels: what the assistant says is trained, and the signs around turns if so wished."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.models import rendering
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import Piece

IGNORED = -100
"""The label that torch's cross-entropy leaves out."""
LISTED = 1000
"""Samples of a kind that a run names; more are only counted."""
TURN_BEGINS, TURN_ENDS = "<|im_start|>", "<|im_end|>"

Labels = Literal["answers", "qwen-original"]
TooLong = Literal["leave_out", "drop_history"]


@dataclass(frozen=True)
class Encoded:
    """One sample as the model sees it.

    Attributes:
        ids: token ids of the whole conversation, length n.
        labels: the same ids where the assistant speaks (its end-of-turn token included), IGNORED elsewhere; with
            "qwen-original" also at the signs around every turn.
    """

    ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """How many tokens are trained."""
        return sum(label != IGNORED for label in self.labels)


@dataclass
class EncodedSet:
    """The samples that can be trained.

    Attributes:
        left_out: samples that cannot, as (sample id, reason).
        shortened: samples that lost their oldest turns, as (sample id, what was dropped); they are in `samples`.
    """

    samples: list[Encoded] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    left_out_zh: list[tuple[str, str]] = field(default_factory=list)
    shortened: list[tuple[str, str]] = field(default_factory=list)
    shortened_zh: list[tuple[str, str]] = field(default_factory=list)

    def remarks(self) -> dict[str, Any]:
        """What befell samples on the way, as an event tells it: the first LISTED of a kind, and how many there are."""
        names = ("left_out", "left_out_zh", "shortened", "shortened_zh")
        numbers = {f"{name}_number": len(getattr(self, name)) for name in ("left_out", "shortened")}
        return {**{name: getattr(self, name)[:LISTED] for name in names}, **numbers}

    def leave_out(self, name: str, reason: str, reason_zh: str) -> None:
        """List a sample that cannot be trained, in both languages."""
        self.left_out.append((name, reason))
        self.left_out_zh.append((name, reason_zh))

    def shorten(self, name: str, turns: int, before: int, after: int) -> None:
        """List a sample whose first `turns` turns were dropped, and its tokens before and after, in both languages."""
        what = "oldest turn was" if turns == 1 else f"{turns} oldest turns were"
        self.shortened.append((name, f"its {what} dropped: {before} tokens became {after}"))
        self.shortened_zh.append((name, f"去掉了最早的 {turns} 轮：{before} 个 token 变为 {after} 个"))


def encode(tokenizer: Any, sample: Sample, labels: Labels = "answers") -> Encoded:
    """Tokens and labels of one conversation, up to its last assistant answer.

    Raises:
        QwenlabError: when the conversation has no answer, the chat template refuses it, or the labels do not suit it.
    """
    check_labels(tokenizer, labels)
    return _encode(tokenizer, _answered(sample), labels)


def encode_all(
    tokenizer: Any,
    samples: Iterable[Sample],
    max_length: int,
    labels: Labels = "answers",
    too_long: TooLong = "leave_out",
) -> EncodedSet:
    """Encode what can be trained; a poisoned or too long sample is listed and the rest goes on.

    Raises:
        QwenlabError: when the labels do not suit the model's chat template.
    """
    result = EncodedSet()
    result.samples.extend(encode_each(tokenizer, samples, max_length, labels, too_long, result))
    return result


def encode_each(
    tokenizer: Any, samples: Iterable[Sample], max_length: int, labels: Labels, too_long: TooLong, remarks: EncodedSet
) -> Iterator[Encoded]:
    """What can be trained, one by one; the rest is listed in `remarks`.

    Raises:
        QwenlabError: when the labels do not suit the model's chat template.
    """
    check_labels(tokenizer, labels)
    for number, sample in enumerate(samples, start=1):
        name = str(sample.id or f"#{number}")
        try:
            messages = _answered(sample)
            encoded = _encode(tokenizer, messages, labels)
            length = len(encoded.ids)
            if length > max_length and too_long == "drop_history":
                encoded, dropped = _without_history(tokenizer, messages, labels, max_length)
                if len(encoded.ids) <= max_length:
                    remarks.shorten(name, dropped, length, len(encoded.ids))
        except (QwenlabError, TypeError, KeyError, AttributeError, ValueError) as error:
            zh = "".join(error.say("zh")) if isinstance(error, QwenlabError) else str(error)
            remarks.leave_out(name, str(error), zh)
            continue
        if len(encoded.ids) > max_length:
            zh = f"{length} 个 token，超过最长样本 {max_length}"
            remarks.leave_out(name, f"{length} tokens, more than max_length {max_length}", zh)
            continue
        yield encoded


def check_labels(tokenizer: Any, labels: Labels) -> None:
    """Raise QwenlabError when "qwen-original" is asked of a model whose chat template is not ChatML."""
    if labels == "answers":
        return
    probe = Message(role="user", content="x")
    signs = tokenizer.get_added_vocab().keys() & {TURN_BEGINS, TURN_ENDS}
    written = rendering.render(tokenizer, [probe], open_turn=False)
    if len(signs) < 2 or not written.endswith(f"{TURN_BEGINS}user\nx{TURN_ENDS}\n"):
        raise QwenlabError(
            "The labels qwen-original are for models that write in ChatML, and this model does not.",
            "Set labels to answers.",
            zh=("qwen-original 标签只适用于 ChatML 格式的模型，该模型不是。", "请把“训练的内容”设为 answers。"),
        )


def _answered(sample: Sample) -> list[Message]:
    """The messages up to the last assistant answer."""
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
    return messages


def _encode(tokenizer: Any, messages: Sequence[Message], labels: Labels) -> Encoded:
    parts = rendering.pieces(tokenizer, messages)
    spoken = [index for index, part in enumerate(parts) if part.answer]
    if not spoken:
        raise QwenlabError(
            "The chat template hides its answers.",
            "Choose another model.",
            zh=("聊天模板隐藏了它的回答。", "请选择其他模型。"),
        )
    if labels == "qwen-original":
        return _with_signs(tokenizer, parts)
    del parts[spoken[-1] + 1 :]  # the template's closing newline
    ids = [token for part in parts for token in part.ids]
    return Encoded(ids, [token if part.answer else IGNORED for part in parts for token in part.ids])


def _with_signs(tokenizer: Any, parts: Sequence[Piece]) -> Encoded:
    """Labels of QwenLM/Qwen's finetune.py: the answers, and of every turn its two signs and its closing newline."""
    begins, ends = tokenizer.convert_tokens_to_ids([TURN_BEGINS, TURN_ENDS])
    ids: list[int] = []
    labels: list[int] = []
    between = False  # behind a turn's end and not yet in the next turn's name
    for part in parts:
        for token in part.ids:
            if token in (begins, ends):
                between = token == ends
            trained = part.answer or between or token == begins
            ids.append(token)
            labels.append(token if trained else IGNORED)
    return Encoded(ids, labels)


def _without_history(tokenizer: Any, messages: list[Message], labels: Labels, max_length: int) -> tuple[Encoded, int]:
    """The conversation without its oldest exchanges, and how many turns were dropped.

    The system turn and the last exchange stay, even when they alone are too long.
    """
    head = next(index for index, message in enumerate(messages) if message["role"] != "system")
    starts = [index for index in range(head, len(messages)) if messages[index]["role"] == "user"]

    def shorter(start: int) -> Encoded:
        return _encode(tokenizer, messages[:head] + messages[start:], labels)

    # The fewer turns, the fewer tokens: the first start that fits is found by halving.
    at = bisect_left(starts[:-1], True, key=lambda start: len(shorter(start).ids) <= max_length)
    return shorter(starts[at]), starts[at] - head
