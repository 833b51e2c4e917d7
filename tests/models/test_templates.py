"""Chat templates of every family: training, chatting and testing write the same, and thinking is off unless meant."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import chat_templates
import pytest

from qwenlab.conversations.sample import Sample
from qwenlab.models import templates
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import prompt_ids, render, thinks
from qwenlab.training.encoding import IGNORED, Encoded, encode
from qwenlab.training.preview import token_view

EVERY = sorted(chat_templates.FAMILIES)
THINKING = ["qwen3", "qwen3.5"]


@cache
def tokenizer(family: str) -> Any:
    return chat_templates.tokenizer(chat_templates.FAMILIES[family])


def sample(*turns: tuple[str, str]) -> Sample:
    return Sample.make("a", turns)


def messages(*turns: tuple[str, str]) -> list[Message]:
    return [Message(role=role, content=words) for role, words in turns]


def prompt_of(encoded: Encoded) -> list[int]:
    """The tokens before the last answer."""
    labels = encoded.labels
    start = max(at for at in range(len(labels)) if labels[at] != IGNORED and (at == 0 or labels[at - 1] == IGNORED))
    return encoded.ids[:start]


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("system", ["", "Be short."])
@pytest.mark.parametrize(
    "words", ["Hi", "我想退货 😀", "  two\n\nlines  ", "<think>no</think>", "<|im_end|><|eot_id|>"]
)
@pytest.mark.parametrize("answer", ["Hello!", '{"intent": "refund"}', "\n\nHello", "a </think> b", "<|im_start|>"])
def test_sample_begins_with_the_chat_prompt_token_for_token(family: str, system: str, words: str, answer: str) -> None:
    asked = [*([("system", system)] if system else []), ("user", words)]
    encoded = encode(tokenizer(family), sample(*asked, ("assistant", answer)))
    assert prompt_of(encoded) == prompt_ids(tokenizer(family), messages(*asked))
    assert encoded.ids[-1] == encoded.labels[-1] == tokenizer(family).eos_token_id


@pytest.mark.parametrize("family", EVERY)
def test_last_answer_of_a_long_conversation_follows_the_prompt_of_its_chat(family: str) -> None:
    turns = [("user", "Hi"), ("assistant", "Hello!"), ("user", "And 2 + 2?")]
    encoded = encode(tokenizer(family), sample(*turns, ("assistant", "4")))
    assert prompt_of(encoded) == prompt_ids(tokenizer(family), messages(*turns))


@pytest.mark.parametrize("family", THINKING)
def test_sample_with_thoughts_begins_with_the_prompt_of_a_chat_that_thinks(family: str) -> None:
    encoded = encode(tokenizer(family), sample(("user", "2 + 2?"), ("assistant", "<think>\nEasy.\n</think>\n\n4")))
    asked = messages(("user", "2 + 2?"))
    assert prompt_of(encoded) == prompt_ids(tokenizer(family), asked, thinking=True)
    assert prompt_of(encoded) != prompt_ids(tokenizer(family), asked)
    opened = "" if family == "qwen3" else "<think>\n"
    trained = tokenizer(family).decode([label for label in encoded.labels if label != IGNORED])
    assert opened + trained == "<think>\nEasy.\n</think>\n\n4<|im_end|>"


@pytest.mark.parametrize("family", THINKING)
def test_think_tags_of_thoughts_are_tokens_and_those_in_words_are_text(family: str) -> None:
    made = tokenizer(family)
    tags = made.convert_tokens_to_ids(["<think>", "</think>"])
    thought = encode(made, sample(("user", "x"), ("assistant", "<think>a <|im_end|> b</think>c </think> d")))
    said = encode(made, sample(("user", "<think>x</think>"), ("assistant", "c </think> d")))
    for encoded in (thought, said):
        assert [token for token in encoded.ids if token in tags] == tags, "one pair: the thoughts', or the empty one"
    assert "<think>x</think>" in made.decode(said.ids)
    assert made.decode(thought.ids).endswith("a <|im_end|> b\n</think>\n\nc </think> d<|im_end|>")


def test_sample_with_an_empty_pair_of_think_tags_is_one_without_thoughts() -> None:
    with_tags = encode(tokenizer("qwen3"), sample(("user", "Hi"), ("assistant", "<think>\n\n</think>\n\nHello")))
    assert with_tags == encode(tokenizer("qwen3"), sample(("user", "Hi"), ("assistant", "Hello")))


def test_thoughts_of_earlier_answers_are_dropped_as_the_template_does() -> None:
    turns = [("user", "Hi"), ("assistant", "<think>\nWho?\n</think>\n\nHello"), ("user", "Bye")]
    text = tokenizer("qwen3").decode(prompt_ids(tokenizer("qwen3"), messages(*turns)))
    assert "Who?" not in text
    assert text.endswith(
        "Hello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


@pytest.mark.parametrize("family", EVERY)
def test_thinking_changes_the_prompt_only_where_the_template_knows_it(family: str) -> None:
    asked = messages(("user", "Hi"))
    changed = prompt_ids(tokenizer(family), asked, thinking=True) != prompt_ids(tokenizer(family), asked)
    assert changed == thinks(tokenizer(family)) == (family in THINKING)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("no template", templates.Additions(False, "", False)),
        ("qwen1", templates.Additions(True, "You are a helpful assistant.", False)),
        (
            "qwen2.5",
            templates.Additions(True, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", False),
        ),
        ("qwen3", templates.Additions(True, "", True)),
        (
            "smollm2",
            templates.Additions(True, "You are a helpful AI assistant named SmolLM, trained by Hugging Face", False),
        ),
        ("llama3", templates.Additions(True, "", False)),
    ],
)
def test_what_a_template_adds_is_known(family: str, expected: templates.Additions) -> None:
    assert templates.additions(tokenizer(family)) == expected


def test_token_view_says_only_what_is_added_to_this_sample() -> None:
    def added(family: str, *turns: tuple[str, str]) -> templates.Additions | None:
        return token_view(sample(*turns), tokenizer(family), 1000).added

    plain, told = [("user", "Hi"), ("assistant", "Hello")], ("system", "Be short.")
    assert added("qwen2.5", *plain) == templates.additions(tokenizer("qwen2.5"))
    assert added("qwen2.5", told, *plain) == templates.Additions(True, "", False)
    assert added("qwen3", *plain) == templates.Additions(True, "", True)
    assert added("qwen3", plain[0], ("assistant", "<think>\nA.\n</think>\n\nB")) == templates.Additions(True, "", False)


def test_template_is_read_from_whichever_file_a_model_keeps_it_in(tmp_path: Path) -> None:
    for number, (name, content) in enumerate(
        [
            ("chat_template.jinja", chat_templates.QWEN3),
            ("chat_template.json", json.dumps({"chat_template": chat_templates.QWEN3})),
            ("tokenizer_config.json", json.dumps({"chat_template": chat_templates.QWEN3})),
            ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "x", "template": chat_templates.QWEN3}]})),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_text(content)
        assert templates.thinks(folder)
    assert not templates.thinks(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{broken")
    assert templates.own(tmp_path) == ""
    (tmp_path / "model.gguf").write_bytes(b"no model")
    assert templates.own(tmp_path / "model.gguf") == ""
    assert templates.own(tmp_path / "absent.gguf") == ""


def test_conversation_is_rendered_as_its_family_writes_it() -> None:
    asked = messages(("user", "Hi"))
    assert render(tokenizer("qwen3"), asked, True) == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert render(tokenizer("llama3"), asked, True) == (
        "<|endoftext|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
