"""Checks: every kind of trouble is named with its sample and turn, in two languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from qwenlab.conversations import words
from qwenlab.conversations.checks import (
    Extras,
    LengthLimit,
    across,
    check,
    check_facts,
    check_sample,
    describe,
    most_tokens,
)
from qwenlab.conversations.dataset import DataSet, sidecar
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError

STORY = "Hello, I bought the red kettle in your shop and it leaks from the bottom whenever I fill it with water. "
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


def check_all(samples: list[Sample], extras: Extras | None = None) -> list[Facts]:
    facts = [Facts(one) for one in samples]
    check_facts(samples, facts, None, lambda name: False, extras=extras)
    return facts


def codes(known: Facts) -> list[str]:
    return [code for _, code, _ in known.problems]


def test_a_near_duplicate_names_the_sample_that_it_is_like() -> None:
    talks = ["something else", STORY, STORY.replace("red", "rad"), STORY]
    samples = [Sample.make(f"s{at}", [("user", talk), ("assistant", "yes")]) for at, talk in enumerate(talks)]
    facts = check_all(samples)
    assert [codes(known) for known in facts] == [[], [], ["near_duplicate"], ["duplicate"]]
    assert facts[2].across[0][2] == {"other": "s1"}
    facts[1] = Facts(samples[0])
    across(facts)
    assert codes(facts[2]) == []


def test_the_same_question_answered_otherwise_is_a_contradiction_and_no_near_duplicate() -> None:
    facts = check_all([Sample.make("", [("user", STORY), ("assistant", answer)]) for answer in ("yes", "no")])
    assert [codes(known) for known in facts] == [[], ["contradiction"]]


def test_a_name_in_use_twice_is_said_of_the_later_sample() -> None:
    names = ["a", "", "b", "a", "", "a"]
    facts = check_all([Sample.make(name, [("user", str(at)), ("assistant", "x")]) for at, name in enumerate(names)])
    assert [known.across for known in facts[:3]] == [(), (), ()]
    assert facts[3].across == facts[5].across == ((None, "duplicate_id", {"id": "a", "other": 1}),)
    assert facts[4].across == ()


def test_personal_data_is_named_once_for_each_turn_and_kind_and_never_in_full() -> None:
    one = sample(
        ("system", "Our hotline is 13900001111"),
        ("user", "13812345678, 13912345678, tom@qq.com"),
        ("assistant", "I call 13812345678"),
    )
    found = check_sample(one)
    assert {(problem.turn_index, problem.detail["kind"]) for problem in found} == {
        (1, "mobile"),
        (1, "email"),
        (2, "mobile"),
    }
    said = " ".join(describe(problem, language) for problem in found for language in ("en", "zh"))
    assert "138******78" in said
    assert "13812345678" not in said
    assert "手机号" in said
    assert "e-mail" in said


def length_limit(limit: int, counted: list[str]) -> LengthLimit:
    """A tokenizer that makes one token of each character, after ten of a template."""

    def text(one: Sample) -> str:
        return "\n".join(turn.text for turn in one.turns)

    def count(one: Sample) -> int:
        counted.append(one.id)
        if one.turns[-1].role != "assistant":
            raise QwenlabError("It has no assistant answer.", "Add one.")
        return len(text(one)) + 10

    return LengthLimit(limit, count, lambda one, most: text(one)[most - 10 :])


def test_what_is_too_long_names_the_words_at_the_cut() -> None:
    long = Sample.make("long", [("user", "q"), ("assistant", "a" * 988 + "here the cut\nfalls " + "b" * 100)])
    facts = check_all([long], Extras(length=length_limit(1000, [])))
    (found,) = facts[0].problems
    assert found == (None, "too_long", {"tokens": 1119, "limit": 1000, "words": "here the cut falls " + "b" * 20 + "…"})


def test_only_samples_that_may_be_too_long_are_counted() -> None:
    counted: list[str] = []
    samples = [
        Sample.make("short", [("user", "q"), ("assistant", "a" * 500)]),
        Sample.make("chinese", [("user", "问"), ("assistant", "好" * 400)]),
        Sample.make("open", [("user", "q" * 2000)]),
        Sample({"id": "broken"}),
    ]
    facts = check_all(samples, Extras(length=length_limit(1000, counted)))
    assert counted == ["chinese", "open"]
    assert [codes(known) for known in facts] == [[], [], ["no_answer"], ["broken_no_conversations"]]


@pytest.mark.parametrize("text", ["abc", "你好", "\ud800", "\u0958" * 5, "🙂"])
def test_no_tokenizer_makes_more_tokens_than_the_bound(text: str) -> None:
    import unicodedata

    found = len(unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass"))
    assert most_tokens(sample(("user", text)).turns) >= found


def test_a_question_of_a_suite_is_a_leak_in_the_turn_where_it_stands() -> None:
    suites = {"tickets": [("c1", STORY), ("c2", "退货")], "other": [("c3", "something that nobody ever asked here")]}
    one = sample(("user", "hi"), ("assistant", "hello"), ("user", "Dear shop! " + STORY.upper()), ("assistant", STORY))
    facts = check_all([one, sample(("user", "退货！"), ("assistant", "x"))], Extras(suites=suites))
    assert facts[0].problems == ((2, "leak", {"suite": "tickets", "case": "c1"}),)
    assert facts[1].findings == ((0, "leak", {"suite": "tickets", "case": "c2"}),)


def test_a_check_with_other_extras_keeps_the_rest() -> None:
    samples = [sample(("user", STORY), ("user", "13812345678"), ("assistant", "x"))]
    facts = [Facts(samples[0])]
    seen = []
    for extras in (Extras(suites={"s": [("c", STORY)]}), None, Extras(suites={"s": [("c", "unlike")]})):
        check_facts(samples, facts, None, lambda name: False, extras=extras)
        seen.append(codes(facts[0]))
    assert seen == [["role_order", "personal", "leak"], ["role_order", "personal", "leak"], ["role_order", "personal"]]


def test_progress_goes_up_to_the_number_of_samples() -> None:
    samples = [Sample.make(str(at), [("user", str(at)), ("assistant", "x")]) for at in range(1200)]
    steps: list[tuple[int, int]] = []
    facts = [Facts(one) for one in samples]
    check_facts(samples, facts, None, lambda name: False, lambda done, total: steps.append((done, total)))
    assert steps == [(0, 1200), (500, 1200), (1000, 1200), (1200, 1200)]


def test_shipped_data_has_no_problem_even_beside_the_shipped_suite() -> None:
    from qwenlab.workspace import SHIPPED

    dataset = DataSet.open(SHIPPED / "data" / "after-sales.train.json")
    lines = (SHIPPED / "eval_suites" / "after-sales-tickets" / "handwritten.jsonl").read_text("utf-8").splitlines()
    cases = [(case["id"], case["prompt"]) for case in map(json.loads, lines) if "prompt" in case]
    assert cases
    assert check(dataset, extras=Extras(suites={"after-sales-tickets": cases})) == []
