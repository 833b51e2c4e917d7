"""Fixes: what they fix is gone afterwards, nothing else is worse, and nothing that a person meant is lost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.conversations import checks, fixes, words
from qwenlab.conversations.checks import Problem, check_facts, check_sample
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.document import Document
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.journal import apply as apply_changes
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.workspace import Workspace

SCHEMA = SchemaCheck(
    {
        "type": "object",
        "properties": {
            "intent": {"enum": ["refund", "other"]},
            "amount": {"anyOf": [{"type": "object", "properties": {"value": {"type": "number"}}}, {"type": "null"}]},
            "count": {"type": ["integer", "null"]},
            "order": {"type": "string"},
            "lines/~": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "number"}}}},
        },
        "required": ["intent"],
        "additionalProperties": False,
    }
)
GOOD = '{"intent": "refund"}'


def sample(*turns: tuple[str, Any], **more: Any) -> Sample:
    return Sample({"id": "s", "conversations": [{"from": role, "value": value} for role, value in turns], **more})


def fixed(one: Sample, code: str, schema: SchemaCheck | None = SCHEMA) -> Sample | None:
    """The sample with the first problem of that kind fixed."""
    problem = next(problem for problem in check_sample(one, schema=schema) if problem.code == code)
    return fixes.apply(one, problem, schema)


def said(one: Sample | None) -> list[tuple[str, str]]:
    assert one is not None
    return [(turn.role, turn.text) for turn in one.turns]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (f"```json\n{GOOD}\n```", GOOD),
        (f"~~~\n{GOOD}\n~~~\n", GOOD),
        (f"Here is the ticket:\n\n{GOOD}\n\nAnything else?", GOOD),
        (f"好的，工单如下：{GOOD}。", GOOD),
        ("\ufeff" + GOOD, GOOD),
        ('{"intent": "refund",}', GOOD),
        ('{"intent": "refund", "lines/~": [{"price": 1.50,},],}', '{"intent": "refund", "lines/~": [{"price": 1.50}]}'),
        ("{'intent': 'refund', 'count': None}", '{"intent": "refund", "count": null}'),
        ("""{'intent': "refund", 'order': 'Tom\\'s "A1"\\n'}""", '{"intent": "refund", "order": "Tom\'s \\"A1\\"\\n"}'),
        ("{\n  'intent': 'other'\n}", '{\n  "intent": "other"\n}'),
        ('{"intent": "refund", "order": "a, ] } b,"}, ', '{"intent": "refund", "order": "a, ] } b,"}'),
    ],
)
def test_the_one_json_value_is_kept_as_it_was_laid_out(answer: str, wanted: str) -> None:
    assert said(fixed(sample(("user", "x"), ("assistant", answer)), "not_json"))[-1] == ("assistant", wanted)


@pytest.mark.parametrize(
    "answer",
    [
        "sure!",
        f"{GOOD} or {GOOD}",
        f"as in [1] {GOOD}",
        f'{GOOD} {{"intent": ',
        '{"intent": "refund"',
        '{"intent": "refund", "intent": "other"}',
        "{'intent': 'refund', 'intent': 'other'}",
        "{'intent': 'ref' 'und'}",
        "{'intent': shout}",
        "{'intent': 'refund', 'order': '\\d'}",
        '{"intent": "refund", "count": 007}',
        '{"intent": "refund", "count": 1_000}',
        '{"intent": "refund", "count": NaN}',
        "```\n{'intent': 'shout'}\n```",  # against the schema
        '{"intent": "refund",,}',
        "[" * 100_000,
    ],
)
def test_json_that_is_not_certain_is_left_to_the_person(answer: str) -> None:
    one = sample(("user", "x"), ("assistant", answer))
    assert fixed(one, "not_json") is one


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ('{"intent": "other", "count": "3"}', '{"intent": "other", "count": 3}'),
        ('{"intent":"other","order":00}', None),
        ('{"intent":"other",\n "order":20240301}', '{"intent":"other",\n "order":"20240301"}'),
        ('{"intent": "other", "order": 1.50}', '{"intent": "other", "order": "1.50"}'),
        (
            '{"count": 2, "lines/~": [{"price": 1}, {"price": "49.90"}], "intent": "other"}',
            '{"count": 2, "lines/~": [{"price": 1}, {"price": 49.90}], "intent": "other"}',
        ),
        (
            '{"intent": "other", "amount": {"value": "1299.00", "12": "CNY"}}',
            '{"intent": "other", "amount": {"value": 1299.00, "12": "CNY"}}',
        ),
        ('{"intent": "other", "count": "3.5"}', None),
        ('{"intent": "other", "count": "three"}', None),
        ('{"intent": "other", "count": true}', None),
        ('{"intent": "other", "order": null}', None),
        ('{"intent": 5}', None),
        ('{"intent": "other", "lines/~": [{"price": "1,299"}]}', None),
    ],
)
def test_only_the_quotes_of_a_number_change(answer: str, wanted: str | None) -> None:
    one = sample(("user", "x"), ("assistant", answer))
    found = [problem for problem in check_sample(one, schema=SCHEMA) if problem.code == "schema"]
    made = fixes.apply(one, found[0], SCHEMA) if found else one
    assert (made is one) if wanted is None else said(made)[-1][1] == wanted


S, U, A = "system", "user", "assistant"


@pytest.mark.parametrize(
    ("code", "turns", "wanted"),
    [
        ("not_text", [(U, "x"), (A, {"你": [1.0, None]})], [(U, "x"), (A, '{"你": [1.0, null]}')]),
        ("empty_turn", [(U, "x"), (A, "y"), (U, " ")], [(U, "x"), (A, "y")]),
        ("empty_turn", [(U, "x"), (A, "y"), (U, "z"), (A, "")], [(U, "x"), (A, "y")]),
        ("empty_turn", [(U, "x"), (A, "")], None),
        ("empty_turn", [(U, ""), (A, "y")], None),
        ("no_answer", [(U, "x"), (A, "y"), (U, "z")], [(U, "x"), (A, "y")]),
        ("no_answer", [(U, "x")], None),
        ("no_answer", [(U, "x"), (A, "y"), ("tool", "z")], None),
        ("role_order", [(U, "a"), (U, "b"), (A, "y")], [(U, "a\nb"), (A, "y")]),
        ("role_order", [(U, "a"), (U, "b"), (U, "c"), (A, "y")], [(U, "a\nb\nc"), (A, "y")]),
        ("role_order", [(U, "a"), (A, "y"), (A, "z")], [(U, "a"), (A, "y\nz")]),
        ("role_order", [(U, "a"), (A, "y"), (A, "y")], [(U, "a"), (A, "y")]),
        ("role_order", [(U, "a"), (A, GOOD), (A, "{}")], None),
        ("role_order", [(U, "a"), (S, "s"), (A, "y")], [(S, "s"), (U, "a"), (A, "y")]),
        ("role_order", [(S, "r"), (U, "a"), (S, "s"), (A, "y")], [(S, "r\ns"), (U, "a"), (A, "y")]),
        ("role_order", [(A, "y")], None),
        ("lone_surrogate", [(U, "a\ud800b\udc00"), (A, "y")], [(U, "a\ufffdb\ufffd"), (A, "y")]),
        ("lone_surrogate", [(U, "\ufeff\ud83d\ude00"), (A, "y")], [(U, "\ufeff\U0001f600"), (A, "y")]),
        (
            "personal",
            [(S, "13812345678"), (U, "13812345678 tom@qq.com"), (A, '{"tel": "13812345678"}')],
            [(S, "13812345678"), (U, "138******78 tom@qq.com"), (A, '{"tel": "138******78"}')],
        ),
        ("personal", [(U, "13812345678"), (A, '{"tel": 13812345678}')], None),
        ("special_token", [(U, "<|im_end|>"), (A, "y")], None),
        ("unknown_role", [("tool", "x"), (A, "y")], None),
    ],
)
def test_turns(code: str, turns: list[tuple[str, Any]], wanted: list[tuple[str, str]] | None) -> None:
    one = sample(*turns)
    made = fixed(one, code, None)
    assert (made is one) if wanted is None else said(made) == wanted


def test_what_the_lab_does_not_know_stays() -> None:
    one = sample((U, "a"), (U, "b"), (A, {"x": 1}), source="crm")
    one.raw["conversations"][1]["at"] = "12:30"
    made = fixed(one, "role_order", None)
    assert made is not None
    assert made.raw == {
        "id": "s",
        "conversations": [{"from": U, "value": "a\nb", "at": "12:30"}, {"from": A, "value": {"x": 1}}],
        "source": "crm",
    }
    text = fixed(made, "not_text", None)
    assert text is not None
    assert text.raw["conversations"][1] == {"from": A, "value": '{"x": 1}'}


def test_what_only_a_person_can_decide_has_no_fix() -> None:
    undecided = {"contradiction", "near_duplicate", "leak", "too_long", "special_token", "unknown_role"}
    assert all(fixes.fix_for(code) is None for code in undecided)
    for code in words.FIXES:
        fix = fixes.fix_for(code)
        assert fix is not None
        assert fix.say("en") != fix.say("zh")


def made_by(samples: list[Sample], code: str, **which: Any) -> tuple[list[Sample], list[Facts]]:
    facts = [Facts(one) for one in samples]
    check_facts(samples, facts, SCHEMA, lambda name: False)
    changes = fixes.changes_for(samples, facts, code, lambda name: SCHEMA, **which)
    after = list(samples)
    apply_changes(after, changes)
    facts = [Facts(one) for one in after]
    check_facts(after, facts, SCHEMA, lambda name: False)
    return after, facts


def test_all_copies_go_and_the_first_stays() -> None:
    names = "abacbaa"
    samples = [Sample.make(f"{at}", [(U, name), (A, GOOD)]) for at, name in enumerate(names)]
    after, facts = made_by(samples, "duplicate")
    assert [one.id for one in after] == ["0", "1", "3"]
    assert not any(known.problems for known in facts)
    assert [one.id for one in made_by(samples, "duplicate", only=5)[0]] == ["0", "1", "2", "3", "4", "6"]


def test_a_copy_whose_original_was_deleted_meanwhile_stays() -> None:
    samples = [Sample.make(name, [(U, "a"), (A, GOOD)]) for name in "ab"]
    facts = [Facts(one) for one in samples]
    check_facts(samples, facts, SCHEMA, lambda name: False)
    assert fixes.changes_for(samples[1:], facts[1:], "duplicate", lambda name: SCHEMA) == []


def test_one_turn_alone_can_be_fixed() -> None:
    one = sample((U, "a"), (A, f"so: {GOOD}"), (U, "b"), (A, f"and: {GOOD}"))
    (after,), _ = made_by([one], "not_json", only=0, turn=3)
    assert [turn.text for turn in after.turns] == ["a", f"so: {GOOD}", "b", GOOD]
    (after,), _ = made_by([one], "not_json", only=0)
    assert [turn.text for turn in after.turns] == ["a", GOOD, "b", GOOD]


def test_fixing_all_is_one_step_that_undo_takes_back(tmp_path: Path) -> None:
    path = tmp_path / "shop.train.json"
    samples = [Sample.make(f"{at}", [(U, "a" if at % 2 else "13812345678"), (A, f"{at % 3}")]) for at in range(12)]
    DataSet.new(path, samples).save()
    document = Document.open(path, Workspace(tmp_path / "home"))
    before = [one.raw for one in document.samples]
    for code in ("duplicate", "personal"):
        assert document.counts()[code]
        document.change(fixes.changes_for(document.samples, document.facts, code, document.schema_for))
        assert not document.counts()[code]
    document.undo()
    document.undo()
    assert [one.raw for one in document.samples] == before
    document.close()


texts = st.one_of(
    st.text(alphabet="ab 你\ud800\udc00\n", max_size=6),
    st.sampled_from(["", "13812345678", "+44 20 7946 0958, tom@qq.com", "11010519491231002X", "<|im_end|>"]),
    st.sampled_from([GOOD, f"```json\n{GOOD}\n```", '{"intent": "other", "count": "3"}', "{'intent': 'other',}"]),
    st.sampled_from(
        ['{"intent": "other", "order": 13812345678}', '{"order": 5}', '{"intent": "refund", "count": "x"}']
    ),
    st.just({"intent": "other", "count": 3}),
    st.just({"intent": "other", "order": "13812345678"}),
    st.none(),
)
conversations = st.lists(st.tuples(st.sampled_from([S, U, U, A, A, "human", "tool"]), texts), max_size=6)


@settings(max_examples=400, deadline=None)
@given(st.lists(conversations, max_size=5), st.booleans())
def test_after_a_fix_its_finding_is_gone_and_no_other_is_new(talks: list[list[tuple[str, Any]]], strict: bool) -> None:
    schema = SCHEMA if strict else None
    for one in (sample(*turns) for turns in talks):
        problems = check_sample(one, schema=schema)
        before = Counter(problem.code for problem in problems)
        for problem in problems:
            made = fixes.apply(one, problem, schema)
            assert fixes.fixable(one, problem, schema) == (made is not one)
            if made is one:
                continue
            assert made is not None
            after = Counter(code for _, code, _ in checks.findings(made, schema))
            assert after[problem.code] < before[problem.code]
            assert after <= before


@settings(max_examples=200, deadline=None)
@given(st.lists(conversations, max_size=6), st.sampled_from(sorted(words.FIXES)))
def test_fixing_all_leaves_only_what_cannot_be_fixed(talks: list[list[tuple[str, Any]]], code: str) -> None:
    after, facts = made_by([sample(*turns) for turns in talks], code)
    for one, known in zip(after, facts, strict=True):
        for turn, found, detail in known.problems:
            if found == code:
                assert not fixes.fixable(one, Problem(0, "s", turn, code, detail), SCHEMA)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    ),
    st.text(alphabet=st.characters(exclude_characters="[]{}"), max_size=20),
)
def test_what_python_prints_is_read_as_what_it_was(value: Any, prose: str) -> None:
    wrapped = {"value": value}
    found = fixes.only_value(prose + json.dumps(wrapped) + prose)
    assert found is not None
    assert json.loads(found) == wrapped
    found = fixes.only_value(prose + repr(wrapped) + prose)
    if found is not None:
        assert json.loads(found) == wrapped
