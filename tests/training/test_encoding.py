"""Tokens and labels against expectations written by hand: each family, both masks, and samples that are too long."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.models.templates import CHATML
from qwenlab.training.encoding import IGNORED, encode, encode_all

QWEN = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}{% endif %}"
    + CHATML
)
"""As Qwen2.5's: a system turn of its own where there is none."""
SMOLLM2 = QWEN.replace("You are Qwen.", "You are SmolLM.")
LLAMA = (
    "{{ '<|begin|>' }}{% for message in messages %}{{ '<|head|>' + message['role'] + '<|/head|>\\n\\n' "
    "+ message['content'] | trim + '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\\n\\n' }}{% endif %}"
)
"""As Llama 3's: other signs, no newline behind a turn."""
THINKING = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{{ message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}{% endif %}"
)
"""As Qwen3's with thinking off: an empty thought before the last answer only."""

WORDS = ["You", "are", "Qwen", ".", "SmolLM", "system", "user", "assistant", "Hi", "there", "Hello", "!", "Bye", "See"]
WORDS += ["you", "Be", "short", "word", "and"]
SIGNS = ["<|im_start|>", "<|im_end|>", "<|begin|>", "<|head|>", "<|/head|>", "<|eot|>", "<|endoftext|>"]


@cache
def words(template: str, end: str = "<|im_end|>") -> Any:
    """A tokenizer whose tokens are whole words, newlines and signs, so that a person can write down what to expect."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<unk>", "\n", "\n\n", *WORDS, "<think>", "</think>"]
    made = Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, unk_token="<unk>"))
    parts = pre_tokenizers.Split(Regex(r"\n+|\w+|[^\w\s]"), "removed", invert=True)
    made.pre_tokenizer = parts
    made.add_special_tokens(SIGNS)
    made.add_tokens(["<think>", "</think>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=end, unk_token="<unk>")
    tokenizer.chat_template = template
    return tokenizer


def told(tokenizer: Any, sample: Sample, labels: Any = "answers") -> str:
    """The tokens as words, those that are trained in brackets; "/" is a newline."""
    encoded = encode(tokenizer, sample, labels)
    assert all(label in (IGNORED, token) for token, label in zip(encoded.ids, encoded.labels, strict=True))
    names = [name.replace("\n", "/") for name in tokenizer.convert_ids_to_tokens(encoded.ids)]
    short = [name.replace("<|im_start|>", "<").replace("<|im_end|>", ">") for name in names]
    pairs = zip(short, encoded.labels, strict=True)
    return " ".join(name if label == IGNORED else f"[{name}]" for name, label in pairs)


def sample(*turns: tuple[str, str], name: str = "s") -> Sample:
    return Sample.make(name, list(turns))


ONE = sample(("user", "Hi there"), ("assistant", "Hello !"))
TWO = sample(("system", "Be short"), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you"))


# --- only the answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "end", "one", "expected"),
    [
        (
            QWEN,
            "<|im_end|>",
            ONE,
            "< system / You are Qwen . > / < user / Hi there > / < assistant / [Hello] [!] [>]",
        ),
        (
            QWEN,
            "<|im_end|>",
            TWO,
            "< system / Be short > / < user / Hi > / < assistant / [Hello] [>] / "
            "< user / Bye > / < assistant / [See] [you] [>]",
        ),
        (
            SMOLLM2,
            "<|im_end|>",
            ONE,
            "< system / You are SmolLM . > / < user / Hi there > / < assistant / [Hello] [!] [>]",
        ),
        (CHATML, "<|im_end|>", ONE, "< user / Hi there > / < assistant / [Hello] [!] [>]"),
        (
            LLAMA,
            "<|eot|>",
            TWO,
            "<|begin|> <|head|> system <|/head|> // Be short <|eot|> <|head|> user <|/head|> // Hi <|eot|> "
            "<|head|> assistant <|/head|> // [Hello] [<|eot|>] <|head|> user <|/head|> // Bye <|eot|> "
            "<|head|> assistant <|/head|> // [See] [you] [<|eot|>]",
        ),
        (
            THINKING,
            "<|im_end|>",
            TWO,
            "< system / Be short > / < user / Hi > / < assistant / Hello > / "
            "< user / Bye > / < assistant / <think> // </think> // [See] [you] [>]",
        ),
    ],
    ids=["qwen", "qwen-with-system-turn", "smollm2", "chatml", "llama", "qwen3-rewrites-earlier-turns"],
)
def test_answers_and_their_end_are_trained(template: str, end: str, one: Sample, expected: str) -> None:
    assert told(words(template, end), one) == expected


GREETED = sample(("assistant", "Hello"), ("user", "Hi there"), ("assistant", "Bye"))


@pytest.mark.parametrize(
    ("template", "end", "expected"),
    [
        (
            QWEN,
            "<|im_end|>",
            "< system / You are Qwen . > / < assistant / [Hello] [>] / < user / Hi there > / < assistant / [Bye] [>]",
        ),
        (CHATML, "<|im_end|>", "< assistant / [Hello] [>] / < user / Hi there > / < assistant / [Bye] [>]"),
        (
            LLAMA,
            "<|eot|>",
            "<|begin|> <|head|> assistant <|/head|> // [Hello] [<|eot|>] <|head|> user <|/head|> // Hi there <|eot|> "
            "<|head|> assistant <|/head|> // [Bye] [<|eot|>]",
        ),
    ],
    ids=["qwen", "chatml", "llama"],
)
def test_greeting_before_the_first_question_is_trained(template: str, end: str, expected: str) -> None:
    assert told(words(template, end), GREETED) == expected


def test_greeting_that_the_template_refuses_is_left_out_with_its_reason() -> None:
    strict = "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('a user begins') }}{% endif %}" + CHATML
    found = encode_all(words(strict), [GREETED, ONE], 100)
    assert len(found.samples) == 1
    assert "refuses this conversation: a user begins" in found.left_out[0][1]
    assert "请检查轮次顺序" in found.left_out_zh[0][1]


# --- the original mask -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "one", "expected"),
    [
        (
            QWEN,
            ONE,
            "[<] system / You are Qwen . [>] [/] [<] user / Hi there [>] [/] [<] assistant / [Hello] [!] [>] [/]",
        ),
        (
            SMOLLM2,
            TWO,
            "[<] system / Be short [>] [/] [<] user / Hi [>] [/] [<] assistant / [Hello] [>] [/] "
            "[<] user / Bye [>] [/] [<] assistant / [See] [you] [>] [/]",
        ),
        (CHATML, ONE, "[<] user / Hi there [>] [/] [<] assistant / [Hello] [!] [>] [/]"),
    ],
    ids=["qwen", "smollm2", "chatml"],
)
def test_original_mask_trains_the_signs_of_every_turn_too(template: str, one: Sample, expected: str) -> None:
    assert told(words(template), one, "qwen-original") == expected


def original(tokenizer: Any, turns: list[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Tokens and labels by the original's arithmetic: a turn is sign, name, newline, words, sign, newline."""

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    (begin,), (end,), (newline,) = ids("<|im_start|>"), ids("<|im_end|>"), ids("\n")
    found: tuple[list[int], list[int]] = [], []
    for role, text in turns:
        name, said = ids(role), ids(text)
        found[0].extend([begin, *name, newline, *said, end, newline])
        spoken = said if role == "assistant" else [IGNORED] * len(said)
        found[1].extend([begin, *[IGNORED] * (len(name) + 1), *spoken, end, newline])
    return found


SPOKEN = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@given(st.booleans(), st.lists(st.tuples(SPOKEN, SPOKEN), min_size=1, max_size=4))
def test_original_mask_is_the_original_s_token_by_token(system: bool, exchanges: list[tuple[str, str]]) -> None:
    said = [turn for asked, answer in exchanges for turn in (("user", asked), ("assistant", answer))]
    given_turns = [("system", "Be short"), *said] if system else said
    whole = given_turns if system else [("system", "You are Qwen ."), *said]
    encoded = encode(words(QWEN), sample(*given_turns), "qwen-original")
    assert (encoded.ids, encoded.labels) == original(words(QWEN), whole)


def test_sign_that_a_person_wrote_is_neither_sign_nor_trained() -> None:
    plain, tricky = sample(("user", "Hi"), ("assistant", "Bye")), sample(("user", "Hi<|im_end|>"), ("assistant", "Bye"))
    tokenizer = words(CHATML)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    found = encode(tokenizer, tricky, "qwen-original")
    assert found.ids.count(end) == 2
    assert found.trained == encode(tokenizer, plain, "qwen-original").trained


def test_original_mask_is_refused_for_another_template_in_one_sentence() -> None:
    for call in (
        lambda: encode(words(LLAMA, "<|eot|>"), ONE, "qwen-original"),
        lambda: encode_all(words(LLAMA, "<|eot|>"), [ONE], 100, "qwen-original"),
    ):
        with pytest.raises(QwenlabError, match="ChatML") as caught:
            call()
        assert caught.value.what.count(".") == 1
        assert "ChatML" in caught.value.say("zh")[0]


# --- too long --------------------------------------------------------------------------------------------


def long_talk(exchanges: int, system: bool = True) -> Sample:
    turns = [("system", "Be short")] if system else []
    for _ in range(exchanges):
        turns += [("user", "word word word"), ("assistant", "and and")]
    return sample(*turns, name="talk")


SYSTEM_TOKENS, EXCHANGE_TOKENS = 7, 15
"""Of `long_talk`: < system / Be short > / and < user / word word word > / < assistant / and and > / in ChatML."""


def test_too_long_sample_is_left_out_and_listed() -> None:
    found = encode_all(words(CHATML), [long_talk(4), ONE], 40)
    assert len(found.samples) == 1
    assert found.left_out == [("talk", "66 tokens, more than max_length 40")]
    assert found.left_out_zh == [("talk", "66 个 token，超过最长样本 40")]
    assert not found.shortened


@pytest.mark.parametrize("exchanges", [1, 2, 3])
def test_oldest_exchanges_are_dropped_until_it_fits(exchanges: int) -> None:
    limit = SYSTEM_TOKENS + exchanges * EXCHANGE_TOKENS - 1  # the closing newline is no part of it
    found = encode_all(words(CHATML), [long_talk(4)], limit, too_long="drop_history")
    assert found.samples == [encode(words(CHATML), long_talk(exchanges))]
    assert not found.left_out
    dropped = 2 * (4 - exchanges)
    assert found.shortened == [("talk", f"its {dropped} oldest turns were dropped: 66 tokens became {limit}")]
    assert found.shortened_zh == [("talk", f"去掉了最早的 {dropped} 轮：66 个 token 变为 {limit} 个")]


def test_last_answer_is_never_cut() -> None:
    found = encode_all(words(CHATML), [long_talk(4)], SYSTEM_TOKENS + EXCHANGE_TOKENS - 2, too_long="drop_history")
    assert not found.samples
    assert not found.shortened
    assert found.left_out[0][0] == "talk"


def test_answer_before_the_first_question_is_dropped_alone() -> None:
    rest = (("user", "Hi"), ("assistant", "Bye"))
    one = sample(("system", "Be short"), ("assistant", "word " * 30), *rest)
    found = encode_all(words(CHATML), [one], 20, too_long="drop_history")
    assert found.samples == [encode(words(CHATML), sample(("system", "Be short"), *rest))]
    assert "its oldest turn was dropped" in found.shortened[0][1]


def test_sample_that_fits_is_not_touched() -> None:
    found = encode_all(words(CHATML), [long_talk(4)], 66, too_long="drop_history")
    assert found.samples == [encode(words(CHATML), long_talk(4))]
    assert not found.shortened


@settings(max_examples=60)
@given(st.integers(1, 12), st.booleans(), st.integers(10, 200), st.sampled_from(["answers", "qwen-original"]))
def test_what_is_kept_is_the_longest_end_that_fits(exchanges: int, system: bool, limit: int, labels: Any) -> None:
    found = encode_all(words(CHATML), [long_talk(exchanges, system)], limit, labels, "drop_history")
    ends = [encode(words(CHATML), long_talk(number, system), labels) for number in range(1, exchanges + 1)]
    fitting = [end for end in ends if len(end.ids) <= limit]
    assert found.samples == fitting[-1:]
    assert len(found.left_out) + len(found.samples) == 1


def test_poisoned_samples_are_listed_and_the_rest_is_encoded() -> None:
    poisoned = [Sample("not an object"), sample(("user", "Hi"), name="no-answer"), sample(("assistant", "Hi"), name="")]
    for labels in ("answers", "qwen-original"):
        found = encode_all(words(QWEN), [*poisoned, ONE], 100, labels, "drop_history")  # type: ignore[arg-type]
        assert [name for name, _ in found.left_out] == ["#1", "no-answer", "#3"]
        assert found.samples == [encode(words(QWEN), ONE, labels)]  # type: ignore[arg-type]
