"""Comparing a whole answer: which fields exist, which are right, what is extra."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.evals import pointer
from qwenlab.evals.fields import compare, unreadable
from qwenlab.evals.rules import Rule


def rules(**named):
    return {f"/{name.replace('__', '/')}": Rule.model_validate(rule) for name, rule in named.items()}


def codes(scores):
    return {score.pointer: score.code for score in scores}


AMOUNT = rules(amount__value={"rule": "number", "critical": True, "weight": 2}, amount__currency="exact")
FIVE = {"amount": {"value": 5, "currency": "CNY"}}
ABSENT = {"amount": None}
NULLS = [
    (ABSENT, {"amount": None}, {"/amount/value": "equal", "/amount/currency": "equal"}),
    (ABSENT, {"amount": {"value": None, "currency": None}}, {"/amount/value": "equal", "/amount/currency": "equal"}),
    (ABSENT, {"amount": {}}, {"/amount/value": "equal", "/amount/currency": "equal"}),
    (ABSENT, {"amount": {"value": 5, "x": 1}},
     {"/amount/value": "not_null", "/amount/currency": "equal", "/amount/x": "unexpected"}),
    (ABSENT, {"amount": 5}, {"/amount/value": "not_null", "/amount/currency": "not_null"}),
    (ABSENT, {}, {"/amount/value": "missing", "/amount/currency": "missing"}),
    (FIVE, {"amount": None}, {"/amount/value": "missing", "/amount/currency": "missing"}),
    (FIVE, {"amount": 5}, {"/amount/value": "missing", "/amount/currency": "missing"}),
    (FIVE, {"amount": {"value": 5, "currency": None}}, {"/amount/value": "equal", "/amount/currency": "null"}),
    (FIVE, [], {"/amount/value": "missing", "/amount/currency": "missing"}),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "actual", "wanted"), NULLS)
def test_an_object_or_null_has_the_same_fields_whether_said_or_not(expected, actual, wanted):
    assert codes(compare(expected, actual, AMOUNT)) == wanted


PLAIN = [
    ({"a": 1}, {"a": 1}, {"/a": "equal"}),
    ({"a": None}, {"a": None}, {"/a": "equal"}),
    ({"a": None}, {}, {"/a": "missing"}),
    ({"a": 1}, {"a": 1, "b": None}, {"/a": "equal", "/b": "unexpected"}),
    ({"a": 1}, {"a": 1, "b": {"c": 1, "d": 2}}, {"/a": "equal", "/b": "unexpected"}),
    ({"a": [1, 2]}, {"a": [1, 3, 4]}, {"/a/0": "equal", "/a/1": "differs", "/a/2": "unexpected"}),
    ({"a": [1, 2]}, {"a": [1]}, {"/a/0": "equal", "/a/1": "missing"}),
    ({"a": []}, {"a": [1]}, {"/a": "differs"}),
    ({"a": {}}, {"a": {}}, {"/a": "equal"}),
    ({"a/b": {"c~d": 1}}, {"a/b": {"c~d": 2}}, {"/a~1b/c~0d": "differs"}),
    (5, 5, {"": "equal"}),
    ({"a": 1}, "a", {"/a": "missing"}),
]


@pytest.mark.parametrize(("expected", "actual", "wanted"), PLAIN)
def test_values_without_a_rule_are_compared_exactly(expected, actual, wanted):
    assert codes(compare(expected, actual, {})) == wanted


def test_a_rule_on_a_container_judges_it_as_one_field():
    found = compare({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, rules(tags="set"))
    assert codes(found) == {"/tags": "equal"}


def test_ignored_fields_are_not_scored_wherever_they_stand():
    ignore = rules(note="ignore", extra="ignore")
    assert compare({"note": "a"}, {"note": "b", "extra": 1}, ignore) == []


def test_a_star_in_a_rule_stands_for_every_item_but_not_for_a_key():
    star = {"/items/*/price": Rule(rule="number", tolerance=1)}
    found = compare({"items": [{"price": 5}, {"price": 7}]}, {"items": [{"price": 6}, {"price": 9}]}, star)
    assert codes(found) == {"/items/0/price": "equal", "/items/1/price": "outside_tolerance"}
    assert codes(compare({"items": {"a": {"price": 5}}}, {"items": {"a": {"price": 6}}}, star)) == {
        "/items/a/price": "differs"
    }


def test_weight_and_critical_come_from_the_rule():
    value, currency = compare(FIVE, FIVE, AMOUNT)
    assert (value.weight, value.critical) == (2, True)
    assert (currency.weight, currency.critical) == (1, False)


@pytest.mark.parametrize(
    ("accept", "actual", "ok"),
    [
        ({"/a": ["y", None]}, {"a": "y"}, True),
        ({"/a": ["y", None]}, {"a": None}, True),
        ({"/a": ["Y"]}, {"a": " y。"}, True),
        ({"/a": ["y"]}, {"a": "z"}, False),
        ({"": [{"a": "w"}]}, {"a": "w"}, True),
    ],
)
def test_accepted_values_are_judged_by_the_same_rule(accept, actual, ok):
    (score,) = compare({"a": "x"}, actual, rules(a="text"), accept)
    assert score.ok is ok


def test_an_accepted_null_forgives_a_whole_object():
    found = compare(FIVE, {"amount": None}, AMOUNT, {"/amount": [None]})
    assert all(score.ok for score in found)


def test_an_unreadable_answer_has_no_right_field_not_even_the_nulls():
    found = unreadable({"a": None, **ABSENT}, AMOUNT)
    assert codes(found) == {"/a": "unreadable", "/amount/value": "unreadable", "/amount/currency": "unreadable"}
    assert not any(score.ok for score in found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_every_document_is_fully_right_against_itself(value):
    assert all(score.ok for score in compare(value, value, {}))


@given(json_values, json_values)
def test_a_document_is_fully_right_only_when_it_is_the_same(expected, actual):
    from qwenlab.evals.rules import same

    assert all(score.ok for score in compare(expected, actual, {})) == same(expected, actual)


@pytest.mark.parametrize(
    ("name", "keys"), [("", []), ("/", [""]), ("/a~1b/~0", ["a/b", "~"]), ("/~01", ["~1"]), ("/0/x", ["0", "x"])]
)
def test_pointers_follow_rfc_6901(name, keys):
    assert pointer.split(name) == keys
    assert pointer.from_keys(keys) == name


@pytest.mark.parametrize("name", ["a", "/a~", "/~2"])
def test_a_malformed_pointer_is_refused(name):
    with pytest.raises(ValueError, match="not a JSON pointer"):
        pointer.split(name)


@pytest.mark.parametrize(
    ("name", "value"), [("/a/0", 1), ("/a/1", pointer.MISSING), ("/a/00", pointer.MISSING), ("/a/-", pointer.MISSING)]
)
def test_list_indexes_are_plain_numbers(name, value):
    assert pointer.resolve({"a": [1]}, name) is value or pointer.resolve({"a": [1]}, name) == value
