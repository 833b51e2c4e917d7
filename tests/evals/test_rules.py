"""Field rules: what each accepts and why it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qwenlab.evals.rules import Rule, normalize_text, same, unsuited

NUMBERS = {"rule": "number", "tolerance": 0.01}
TABLE = [
    # rule, expected, actual, code
    ("exact", "a", "a", "equal"),
    ("exact", "a", "A", "differs"),
    ("exact", 1, 1.0, "equal"),
    ("exact", 1, True, "wrong_type"),
    ("exact", False, 0, "wrong_type"),
    ("exact", None, None, "equal"),
    ("exact", None, "", "not_null"),
    ("exact", None, 0, "not_null"),
    ("exact", "x", None, "null"),
    ("exact", 12, "12", "number_as_string"),
    ("exact", 12, "13", "wrong_type"),
    ("exact", "12", 12, "wrong_type"),
    ("exact", {"a": 1, "b": [True]}, {"b": [True], "a": 1.0}, "equal"),
    ("exact", [1], [True], "differs"),
    ("exact", 12345678901234567890, 12345678901234567891, "differs"),
    ("text", "Ｋettle １２", "kettle 12", "equal"),
    ("text", "“红色水壶”。", "红色水壶", "equal"),
    ("text", "a  b\n c", "A B C", "equal"),
    ("text", "Straße", "STRASSE", "equal"),
    ("text", "kettle", "kettles", "differs"),
    ("text", "...", "?!", "differs"),
    ("text", "12", 12, "wrong_type"),
    ("text", None, "null", "not_null"),
    ("number", 5, 5.0, "equal"),
    ("number", 5, 5.001, "differs"),
    ("number", 5, "5", "number_as_string"),
    ("number", 1299, "1,299.00", "number_as_string"),
    ("number", 12, "１２", "number_as_string"),
    ("number", 5, True, "wrong_type"),
    ("number", 5, None, "null"),
    ("number", None, 0, "not_null"),
    (NUMBERS, 1.0, 1.01, "equal"),
    (NUMBERS, 0.3, 0.1 + 0.2, "equal"),
    (NUMBERS, 1.0, 1.0101, "outside_tolerance"),
    (NUMBERS, 10**40, 10**40 + 1, "outside_tolerance"),
    ("date", "2024-03-17", "2024-03-17", "equal"),
    ("date", "2024-03-17", "2024-03-17T23:59:00+08:00", "equal"),
    ("date", "2024-03-17", "2024-03-17T00:00:00Z", "equal"),
    ("date", "2024-03-17", "2024-03-18", "differs"),
    ("date", "2024-03-17", "20240317", "not_a_date"),
    ("date", "2024-03-17", "２０２４-０３-１７", "not_a_date"),
    ("date", "2024-03-17", "2024-02-30", "not_a_date"),
    ("date", "2024-03-17", "17 March 2024", "not_a_date"),
    ("date", "2024-03-17", 20240317, "wrong_type"),
    ("date", None, "2024-03-17", "not_null"),
    ({"rule": "enum", "values": ["a", "b"]}, "a", "a", "equal"),
    ({"rule": "enum", "values": ["a", "b"]}, "a", "b", "differs"),
    ({"rule": "enum", "values": ["a", "b"]}, "a", "c", "not_allowed"),
    ("enum", "a", "A", "differs"),
    ({"rule": "any_of", "values": ["b", None]}, "a", "b", "equal"),
    ({"rule": "any_of", "values": ["b", None]}, "a", None, "equal"),
    ({"rule": "any_of", "values": ["b"]}, "a", "a", "equal"),
    ({"rule": "any_of", "values": [1]}, 2, True, "wrong_type"),
    ({"rule": "regex", "pattern": "[A-Z]{2}[0-9]+"}, "AB1", "XY99", "equal"),
    ({"rule": "regex", "pattern": "[A-Z]{2}[0-9]+"}, "AB1", "XY99 ", "pattern"),
    ({"rule": "regex", "pattern": "[0-9]+"}, "1", 1, "wrong_type"),
    ({"rule": "regex", "pattern": ".*"}, None, "x", "not_null"),
    ("list", ["a", "b"], ["a", "b"], "equal"),
    ("list", ["a", "b"], ["b", "a"], "order"),
    ("list", ["a", "b"], ["a"], "differs"),
    ("list", [], [], "equal"),
    ("list", ["a"], "a", "wrong_type"),
    ("set", ["a", "b", "b"], ["b", "a", "b"], "equal"),
    ("set", ["a", "b", "b"], ["b", "a", "a"], "differs"),
    ({"rule": "set", "items": "text"}, ["Red", "blue"], ["BLUE.", "red"], "equal"),
    ({"rule": "set", "items": {"rule": "number", "tolerance": 1}}, [1, 2], [2, 0], "equal"),
    ({"rule": "list", "items": {"rule": "number", "tolerance": 1}}, [1, 2], [2, 3], "equal"),
    ("ignore", "a", 5, "equal"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "expected", "actual", "code"), TABLE)
def test_each_rule_judges_as_documented(rule, expected, actual, code):
    assert Rule.model_validate(rule).judge(expected, actual) == code


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"rule": "text", "tolerance": 1}, "belongs to rule number"),
        ({"rule": "any_of"}, 'needs "values"'),
        ({"rule": "regex"}, 'needs "pattern"'),
        ({"rule": "regex", "pattern": "("}, "no regular expression"),
        ({"rule": "exact", "items": "text"}, "belongs to rule list or set"),
        ({"rule": "number", "tolerance": -1}, "greater than or equal to 0"),
        ({"rule": "exact", "weight": 0}, "greater than 0"),
        ({"rule": "fuzzy"}, "Input should be"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule, words):
    with pytest.raises(ValidationError, match=words):
        Rule.model_validate(rule)


@pytest.mark.parametrize(
    ("rule", "expected", "suits"),
    [
        ("number", "5", False),
        ("number", None, True),
        ("date", "17.3.2024", False),
        ("date", "2024-03-17", True),
        ("set", "a", False),
        ("text", 5, False),
        ({"rule": "enum", "values": ["a"]}, "b", False),
        ({"rule": "enum", "values": ["a"]}, "a", True),
    ],
)
def test_unsuited_expected_values_are_noticed(rule, expected, suits):
    assert (unsuited(Rule.model_validate(rule), expected) is None) is suits


@given(st.text())
def test_normalizing_text_twice_changes_nothing(text):
    once = normalize_text(text)
    assert normalize_text(once) == once


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_every_value_is_the_same_as_itself(value):
    assert same(value, value)
