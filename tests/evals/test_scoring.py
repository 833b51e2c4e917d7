"""Scoring one answer: what is usable, what is right, what passes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_suites import facts, tickets

from qwenlab.evals.scoring import not_answered, score_answer
from qwenlab.evals.suite import suite_from
from qwenlab.evals.words import explain_violation

GOOD = '{"intent": "refund", "amount": {"value": 5, "currency": "cny"}}'
CASES = [
    # text, finish -> rung, schema_valid, usable, field_accuracy, exact, critical_ok, passed, flags
    (GOOD, "stop", "strict", True, True, 1.0, True, True, True, ()),
    (GOOD, "length", "strict", True, False, 1.0, True, True, False, ("truncated",)),
    (GOOD, "stopped", "strict", True, False, 1.0, True, True, False, ("stopped",)),
    (f"```json\n{GOOD}\n```", "stop", "fenced", True, False, 1.0, True, True, False, ()),
    (f"Sure! {GOOD}", "stop", "extracted", True, False, 1.0, True, True, False, ()),
    (GOOD[:-1] + ",}", "stop", "repaired", False, False, 0.0, False, False, False, ()),
    (GOOD.replace("5", "6"), "stop", "strict", True, True, 0.5, False, True, False, ()),
    (GOOD.replace("5", '"5"'), "stop", "strict", False, False, 0.5, False, True, False, ("number_as_string",)),
    (GOOD.replace("refund", "other"), "stop", "strict", True, True, 0.75, False, False, False, ()),
    (GOOD[:-1] + ', "x": 1}', "stop", "strict", False, False, 0.8, False, True, False, ()),
    ("{}", "stop", "strict", False, False, 0.0, False, False, False, ()),
    ("5", "stop", "strict", False, False, 0.0, False, False, False, ()),
    ("", "stop", "none", False, False, 0.0, False, False, False, ("empty",)),
    ("<think>" + GOOD, "length", "none", False, False, 0.0, False, False, False, ("think_leak", "truncated")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "finish", "rung", "valid", "usable", "accuracy", "exact", "critical", "passed", "flags"), CASES
)
def test_an_answer_in_json(text, finish, rung, valid, usable, accuracy, exact, critical, passed, flags):
    suite = tickets()
    score = score_answer(suite, suite.cases[0], text, finish)
    assert (score.rung, score.schema_valid, score.usable, score.field_accuracy) == (rung, valid, usable, accuracy)
    assert (score.document_exact, score.critical_ok, score.passed, score.flags) == (exact, critical, passed, flags)
    assert not score.errored
    json.dumps(score.to_json(), allow_nan=False)


def test_an_error_is_no_wrong_answer_but_stays_in_the_denominator():
    suite = tickets()
    for score, flag in (
        (score_answer(suite, suite.cases[0], GOOD, "error"), "error"),
        (not_answered(suite, suite.cases[0]), "not_answered"),
    ):
        assert score.errored
        assert (score.passed, score.usable, score.parsed) == (False, False, False)
        assert (score.field_accuracy, len(score.fields), score.flags) == (0.0, 3, (flag,))


VIOLATIONS = [
    ('{"intent": "refund"}', "/amount", "this field is required but missing", "缺少必填字段"),
    ('{"intent": "x", "amount": null}', "/intent", '"x" is not one of ["refund", "repair", "other"]',
     '“x” 不在允许的取值 ["refund", "repair", "other"] 之中'),
    ('{"intent": "refund", "amount": 3}', "/amount", "3 should be nothing or an object", "3 应为空值或对象"),
    ('{"intent": "refund", "amount": {"value": "3", "currency": "CNY"}}', "/amount/value",
     '"3" should be a number', "“3” 应为数字"),
    ('{"intent": "refund", "amount": null, "a/b": 1}', "/a~1b", "this field is not allowed", "不允许出现此字段"),
    ('{"intent": "refund", "amount": null, "date": "soon"}', "/date", '"soon" is not written as "date"',
     "“soon” 不是规定的写法（“date”）"),
    ("[]", "", "[] should be an object", "[] 应为对象"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "pointer", "english", "chinese"), VIOLATIONS)
def test_a_broken_schema_is_explained_at_its_place(text, pointer, english, chinese):
    suite = tickets()
    violation = score_answer(suite, suite.cases[0], text).violations[0]
    assert violation.pointer == pointer
    assert explain_violation(violation, "en") == english
    assert explain_violation(violation, "zh") == chinese


TEXTS = [
    ("t1", "paris.", True), ("t1", "It is Paris", False), ("t1", "", False),
    ("t2", "Blue and RED", True), ("t2", "red", False),
    ("t3", "Dear Sir", True), ("t3", "You IDIOT!", False), ("t3", " ", False),
    ("t4", "in 2024.", True), ("t4", "20245", False),
    ("t5", "是的。", True), ("t5", "不是", False),
]  # fmt: skip


@pytest.mark.parametrize(("case", "text", "ok"), TEXTS)
def test_an_answer_in_text(case, text, ok):
    suite = facts()
    score = score_answer(suite, suite.by_id[case], text)
    assert (score.rung, score.schema_valid, score.fields) == (None, None, ())
    assert (score.passed, score.document_exact, score.field_accuracy) == (ok, ok, float(ok))
    assert not score_answer(suite, suite.by_id[case], text, "length").passed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(json_values)
def test_every_expected_value_passes_against_itself(value):
    content = {"name": "n", "schema": {}, "cases": [{"id": "x", "prompt": "p", "expected": value}]}
    suite = suite_from(content, "suite.yaml")
    score = score_answer(suite, suite.cases[0], json.dumps(value))
    assert score.passed
    assert score.field_accuracy == 1


@given(st.text())
def test_no_text_crashes_the_scoring(text):
    suite = tickets()
    score = score_answer(suite, suite.cases[0], text)
    assert 0 <= score.field_accuracy <= 1
    assert not score.passed
