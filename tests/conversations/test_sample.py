"""One conversation: roles, texts, and what survives an edit."""

from __future__ import annotations

import pytest

from qwenlab.conversations.sample import Sample, Turn


@pytest.mark.parametrize(
    ("written", "role"),
    [("user", "user"), ("human", "user"), ("gpt", "assistant"), ("system", "system"), ("tool", "tool")],
)
def test_role_names_of_other_tools_are_understood(written: str, role: str) -> None:
    sample = Sample({"conversations": [{"from": written, "value": "x"}]})
    assert sample.to_messages() == [{"role": role, "content": "x"}]


@pytest.mark.parametrize(
    ("value", "text"), [("x", "x"), (None, ""), ({"a": "é"}, '{"a": "é"}'), ([1], "[1]"), (3, "3")]
)
def test_value_that_is_not_text_becomes_its_json(value: object, text: str) -> None:
    assert Sample({"conversations": [{"from": "user", "value": value}]}).turns[0].text == text


def test_editing_text_keeps_unknown_keys_their_order_and_the_role_word() -> None:
    raw = {"source": "mail", "id": "a", "conversations": [{"weight": 2, "from": "human", "value": "old", "x": 1}]}
    sample = Sample(raw)
    edited = sample.with_turns([Turn("user", "new", sample.turns[0].raw)])
    assert list(edited.raw) == ["source", "id", "conversations"]
    assert list(edited.raw["conversations"][0].items()) == [
        ("weight", 2),
        ("from", "human"),
        ("value", "new"),
        ("x", 1),
    ]


def test_changing_the_role_writes_the_plain_word() -> None:
    turn = Turn.of({"from": "human", "value": {"a": 1}})
    assert Turn("assistant", turn.text, turn.raw).to_raw() == {"from": "assistant", "value": {"a": 1}}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("text", "broken_not_object"),
        ([], "broken_not_object"),
        (None, "broken_not_object"),
        ({}, "broken_no_conversations"),
        ({"conversations": {}}, "broken_not_list"),
        ({"conversations": ["x"]}, "broken_turn"),
        ({"conversations": [{"value": "x"}]}, "broken_keys"),
        ({"conversations": [{"from": "user"}]}, "broken_keys"),
        ({"conversations": [{"from": 1, "value": "x"}]}, "broken_keys"),
    ],
)
def test_broken_sample_says_why_and_has_no_turns(raw: object, code: str) -> None:
    sample = Sample(raw)
    assert sample.broken() == code
    assert sample.turns == ()
    assert sample.to_messages() == []


@pytest.mark.parametrize(
    ("text", "language"), [("hello", "en"), ("你好", "zh"), ("order 退货 please", "zh"), ("", "en"), ("é ，", "en")]
)
def test_language_is_chinese_as_soon_as_one_character_is(text: str, language: str) -> None:
    assert Sample.make("a", [("user", text)]).language == language
