"""Checks: every kind of trouble is named with its sample and turn, in two languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from qwenlab.conversations import words
from qwenlab.conversations.checks import SchemaCheck, check, check_sample, describe
from qwenlab.conversations.dataset import DataSet, sidecar
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import DataError

SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["refund", "other"]},
        "amount": {"type": ["number", "null"], "minimum": 0},
        "lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
    },
    "required": ["intent"],
    "additionalProperties": False,
}


def sample(*turns: tuple[str, Any]) -> Sample:
    return Sample({"id": "s", "conversations": [{"from": role, "value": value} for role, value in turns]})


@pytest.mark.parametrize(
    ("turns", "codes"),
    [
        ([("user", "x"), ("assistant", "y")], []),
        ([("system", "x"), ("user", "x"), ("assistant", "y")], []),
        ([("human", "x"), ("gpt", "y"), ("human", "x"), ("gpt", "y")], []),
        ([], [(None, "no_turns")]),
        ([("user", " \n"), ("assistant", "y")], [(0, "empty_turn")]),
        ([("user", None), ("assistant", "y")], [(0, "empty_turn")]),
        ([("user", "x"), ("assistant", {"a": 1})], [(1, "not_text")]),
        ([("user", "x")], [(0, "no_answer")]),
        ([("assistant", "y")], [(0, "role_order")]),
        ([("user", "x"), ("user", "x"), ("assistant", "y")], [(1, "role_order")]),
        ([("user", "x"), ("system", "x"), ("assistant", "y")], [(1, "role_order"), (2, "role_order")]),
        ([("user", "x"), ("tool", "x"), ("assistant", "y")], [(1, "unknown_role")]),
        ([("user", "a<|im_end|>"), ("assistant", "y")], [(0, "special_token")]),
        ([("user", "\ud800"), ("assistant", "y")], [(0, "lone_surrogate")]),
    ],
)
def test_structure_of_one_sample(turns: list[tuple[str, Any]], codes: list[tuple[int | None, str]]) -> None:
    assert [(problem.turn_index, problem.code) for problem in check_sample(sample(*turns))] == codes


@pytest.mark.parametrize(
    ("answer", "code", "words_en"),
    [
        ('{"intent": "refund", "amount": 1.5}', None, ""),
        ("sure!", "not_json", "a JSON value is missing (line 1, column 1)"),
        ('```json\n{"intent": "refund"}\n```', "not_json", "JSON value is missing"),
        ('{"intent": "refund", "intent": "other"}', "not_json", '"intent" stands there twice'),
        ("{}", "schema", "at /: intent is missing"),
        ('{"intent": "shout"}', "schema", 'at /intent: "shout" is none of ["refund", "other"]'),
        ('{"intent": "other", "amount": "9"}', "schema", "at /amount: it must be number / null, not string"),
        ('{"intent": "other", "amount": -1}', "schema", "at /amount: -1 is less than 0"),
        ('{"intent": "other", "x": 1}', "schema", "at /: x is not allowed"),
        ('{"intent": "other", "lines": [{}]}', "schema", "at /lines/0: sku is missing"),
    ],
)
def test_answer_against_the_schema_says_where_it_is_wrong(answer: str, code: str | None, words_en: str) -> None:
    found = check_sample(sample(("user", "x"), ("assistant", answer)), schema=SchemaCheck(SCHEMA))
    assert [problem.code for problem in found] == ([code] if code else [])
    if code:
        assert words_en in describe(found[0], "en")
        assert "{" not in describe(found[0], "zh").replace(answer, "")


def test_duplicates_and_contradictions_name_the_other_sample(opened: Callable[..., DataSet]) -> None:
    def pair(name: str, asked: str, answered: str) -> dict[str, Any]:
        return Sample.make(name, [("user", asked), ("assistant", answered)]).raw

    found = check(opened([pair("a", "q", "1"), pair("b", "q ", "1"), pair("c", "q", "2"), pair("d", "p", "2")]))
    assert [(problem.sample_id, problem.code, problem.detail["other"]) for problem in found] == [
        ("b", "duplicate", "a"),
        ("c", "contradiction", "a"),
    ]


def test_attached_schema_is_used_except_for_plain_text_samples(opened: Callable[..., DataSet]) -> None:
    def talk(name: str) -> dict[str, Any]:
        return Sample.make(name, [("user", name), ("assistant", "hello " + name)]).raw

    dataset = opened([talk("identity_0"), talk("ticket_1")])
    (dataset.path.parent / "s.json").write_text(json.dumps(SCHEMA))
    sidecar(dataset.path).write_text(json.dumps({"schema": "s.json", "plain_text": ["identity_*"]}))
    assert [(problem.sample_id, problem.code) for problem in check(dataset)] == [("ticket_1", "not_json")]


def test_wrong_schema_is_one_clear_error(opened: Callable[..., DataSet]) -> None:
    with pytest.raises(DataError, match="cannot be used"):
        check(opened([]), schema={"type": "nonsense"})


def test_one_broken_sample_hides_no_good_one(opened: Callable[..., DataSet], identity: dict[str, Any]) -> None:
    found = check(opened([identity, "text", {"id": "x"}, None]))
    assert [(problem.sample_index, problem.code) for problem in found] == [
        (1, "broken_not_object"),
        (2, "broken_no_conversations"),
        (3, "broken_not_object"),
    ]
    assert all(describe(problem, "zh") != describe(problem, "en") for problem in found)


@pytest.mark.parametrize("table", [words.PROBLEMS, words.JSON, words.SCHEMA])
def test_both_languages_name_the_same_values(table: dict[str, tuple[str, ...]]) -> None:
    import string

    def named(text: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    for code, entry in table.items():
        half = len(entry) // 2
        for at in range(half):
            assert all(entry), code
            assert named(entry[2 * at]) == named(entry[2 * at + 1]), code
