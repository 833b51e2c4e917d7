"""Messages become tokens: one rendering for training, chatting and testing.

The text is what the model's own chat template makes of the messages. It is cut where an assistant's answer
begins and ends, and each piece is tokenized alone, so that the tokens of a training sample start with exactly
the tokens that the model is given as prompt in chat. Text that looks like a special token stays text.

Some templates (Qwen3's) let the model think first, between <think> and </think>, unless told not to. They are told
not to, in a prompt where nobody asked for it and in a sample whose last answer holds no thoughts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.models import template_limits
from qwenlab.models.contestant import Message

PRIVATE_USE = range(0xE000, 0xF8FF)
"""Code points no font or language owns; they stand for special-token look-alikes while a template runs."""
THOUGHTS = re.compile(r"(\s*<think>)(.*?)(</think>)(.*)", re.DOTALL)
"""An answer that begins with thoughts: tag, thoughts, tag, what is said."""
TAGS = ("<think>", "</think>")
SWITCH = "enable_thinking"
"""What templates that know thinking call the switch."""


@dataclass(frozen=True)
class Piece:
    """A run of tokens; `answer` says whether the assistant speaks it (end-of-turn token included)."""

    ids: list[int]
    answer: bool


def thinks(tokenizer: Any) -> bool:
    """Whether the model's chat template has a switch for thinking."""
    return SWITCH in str(tokenizer.chat_template)


def dated(template: object) -> bool:
    """Whether a chat template writes the date of today into every prompt, as Llama 3.2's does."""
    return "strftime_now" in str(template)


def pieces(tokenizer: Any, messages: Sequence[Message], open_turn: bool = False, thinking: bool = False) -> list[Piece]:
    """Tokenize a conversation, cut at the borders of the assistant's answers.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        open_turn: end with the beginning of an assistant turn, ready for the model to go on.
        thinking: with `open_turn`, let the model think first, where its template knows that.

    Raises:
        QwenlabError: when the model's chat template refuses the conversation.
    """
    masked, literals = _mask_special_text(tokenizer, messages)
    thinking = thinking if open_turn else last_answer_thinks(messages)
    text = render(tokenizer, masked, open_turn, thinking)
    found, at = [], 0
    for index, message in enumerate(masked):
        if message["role"] != "assistant":
            continue
        before = _before(tokenizer, masked, index, thinking)
        through = render(tokenizer, masked[: index + 1], False, thinking)
        if not (text.startswith(before) and text.startswith(through)):
            continue  # a template that rewrites earlier turns (Qwen3's thinking): that turn is not trained
        end_of_turn = through.rfind(tokenizer.eos_token or "\0", len(before))
        end = end_of_turn + len(tokenizer.eos_token) if end_of_turn >= 0 else len(through)
        found.append(_piece(tokenizer, text[at : len(before)], literals, False))
        found.append(_piece(tokenizer, text[len(before) : end], literals, True))
        at = end
    return [*found, _piece(tokenizer, text[at:], literals, False)]


def last_answer_thinks(messages: Sequence[Message]) -> bool:
    """Whether the last answer of a conversation begins with thoughts in think tags."""
    answers = (message["content"] for message in reversed(messages) if message["role"] == "assistant")
    thought = THOUGHTS.fullmatch(next(answers, ""))
    return thought is not None and bool(thought[2].strip())


def _before(tokenizer: Any, messages: Sequence[Message], index: int, thinking: bool) -> str:
    """The text up to the words of the assistant that speaks at `index`."""
    if index:
        return render(tokenizer, messages[:index], True, thinking)
    # The assistant opens the conversation, and many templates cannot render one without a turn.
    mark = chr(PRIVATE_USE[0])
    return render(tokenizer, [Message(role="assistant", content=mark)], False, thinking).partition(mark)[0]


def prompt_ids(tokenizer: Any, messages: Sequence[Message], thinking: bool = False) -> list[int]:
    """The tokens a model is given before it answers the last message.

    Args:
        thinking: let it think first, where its template knows that.
    """
    return [token for piece in pieces(tokenizer, messages, True, thinking) for token in piece.ids]


def render(tokenizer: Any, messages: Sequence[Message], open_turn: bool, thinking: bool = False) -> str:
    """The conversation as the text of the model's chat template.

    Raises:
        QwenlabError: when the template refuses it.
    """
    try:
        return template_limits.render(
            tokenizer.get_chat_template(),
            messages=[dict(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=open_turn,
            **{**tokenizer.special_tokens_map, SWITCH: thinking},
        )
    except Exception as error:  # jinja raises many kinds, and so may a template on purpose
        raise QwenlabError(
            f"The model's chat template refuses this conversation: {error}.",
            "Check the order of the turns: an optional system turn, then user and assistant in alternation.",
            zh=(f"模型的聊天模板不接受这段对话：{error}。", "请检查轮次顺序：可选的系统轮，然后用户和助手交替。"),
        ) from error


def _mask_special_text(tokenizer: Any, messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """Replace special-token look-alikes in the words by unused characters; return what each stands for.

    Where the template knows thinking, the tags around an answer's thoughts are meant and stay.
    """
    tags = TAGS if thinks(tokenizer) else ()
    special = sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab(), *tags}, key=len, reverse=True)
    looks_special = re.compile("|".join(map(re.escape, special)))
    everything = "".join(message["content"] for message in messages)
    present = sorted(set(looks_special.findall(everything))) if special else []
    unused = (chr(code) for code in PRIVATE_USE if chr(code) not in everything)
    literals = dict(zip(unused, present, strict=False))
    stand_in = {token: mark for mark, token in literals.items()}

    def masked(words: str) -> str:
        return looks_special.sub(lambda hit: stand_in[hit[0]], words) if present else words

    def content(message: Message) -> str:
        thought = THOUGHTS.fullmatch(message["content"]) if tags else None
        if thought is None or message["role"] != "assistant":
            return masked(message["content"])
        return thought[1] + masked(thought[2]) + thought[3] + masked(thought[4])

    return [Message(role=message["role"], content=content(message)) for message in messages], literals


def _piece(tokenizer: Any, text: str, literals: dict[str, str], answer: bool) -> Piece:
    if not literals:
        return Piece(_tokenize(tokenizer, text), answer)
    ids: list[int] = []
    for part in re.split(f"([{''.join(literals)}])", text):
        if part in literals:  # cut behind the first character, neither half is a special token
            ids += _tokenize(tokenizer, literals[part][:1]) + _tokenize(tokenizer, literals[part][1:])
        else:
            ids += _tokenize(tokenizer, part)
    return Piece(ids, answer)


def _tokenize(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
