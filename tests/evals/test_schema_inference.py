"""The schema that is told from answers accepts all of them, and says no more than was seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.evals import rule_proposals
from qwenlab.evals.audit import audit
from qwenlab.evals.schema import SchemaCheck
from qwenlab.evals.schema_inference import observe, places, schema_of
from qwenlab.evals.suite import suite_from

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["2024-03-17", "2024-02-30", "A1", "A22", "refund", "2024-03-17T10:00:00Z", "a@b.cn"])
)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
KEYS = st.sampled_from(["id", "amount", "date", "items", "金额", "a/b~c"])
FORMS = st.lists(st.dictionaries(KEYS, SCALAR | st.lists(SCALAR, max_size=3), max_size=6), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=12) | FORMS)
def test_every_answer_satisfies_the_schema_told_from_them(answers: list[Any]) -> None:
    check = SchemaCheck(schema_of(observe(answers)))
    assert [answer for answer in answers if not check.is_valid(answer)] == []


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=6) | FORMS)
def test_a_suite_of_the_answers_with_schema_and_proposed_rules_passes_its_audit(answers: list[Any]) -> None:
    seen = observe(answers)
    cases = [{"id": str(at), "prompt": f"question {at}", "expected": answer} for at, answer in enumerate(answers)]
    rules = {one.pointer: one.rule for one in rule_proposals.propose(seen)}
    room = {"max_new_tokens": 4096}
    suite = suite_from(
        {"name": "n", "schema": schema_of(seen), "fields": rules, "cases": cases, "generation": room}, ""
    )
    audit(suite, "suite.yaml")


def answers(**fields: list[Any]) -> list[dict[str, Any]]:
    """One object for each place of the lists; `...` leaves the key out."""
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return [{key: value for key, value in row.items() if value is not ...} for row in rows]


TABLE = [
    ("few values that repeat are a choice", ["new", "old"] * 10, {"enum": ["new", "old"]}),
    ("with null where it was seen", ["new", "old", "new", "new", None] * 10, {"enum": ["new", "old", None]}),
    ("texts that hardly repeat are free", [f"text {at}" for at in range(20)], {"type": "string"}),
    ("a value seen once makes the list unsure", ["a", "b"] * 10 + ["c"], {"type": "string"}),
    ("days", ["2024-03-17", "2024-04-01"] + [f"2024-05-{at:02}" for at in range(1, 20)],
     {"type": "string", "format": "date"}),
    ("what only looks like a day is text", ["2024-03-17", "2024-02-30"] * 2 + ["2024-01-01"], {"type": "string"}),
    ("codes of one form", [f"A{at}{at}7" for at in range(10, 30)], {"type": "string", "pattern": "^[A-Z]{1}[0-9]{5}$"}),
    ("digits of any length", ["1", "22"] + [f"{at}" for at in range(333, 345)],
     {"type": "string", "pattern": "^[0-9]+$"}),
    ("whole numbers", list(range(20)), {"type": "integer"}),
    ("whole and broken numbers", [1, 2.5], {"type": "number"}),
    ("truth is no number", [True, False], {"type": "boolean"}),
    ("nothing but null", [None, None], {"type": "null"}),
    ("lists", [["a"], [], ["b", "c"]], {"type": "array", "items": {"type": "string"}}),
    ("lists that were always empty", [[], []], {"type": "array"}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "schema"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_told_of_a_field(values: list[Any], schema: dict[str, Any]) -> None:
    assert schema_of(observe(answers(field=values)))["properties"]["field"] == schema


def test_amounts_seen_whole_may_have_cents_one_day() -> None:
    assert schema_of(observe([{"amount": {"value": 5}}]))["properties"]["amount"]["properties"]["value"] == {
        "type": "number"
    }


def test_what_was_always_there_is_required_and_nothing_else_is_allowed() -> None:
    schema = schema_of(observe(answers(a=[1, 2], b=[1, ...])))
    assert (schema["required"], schema["additionalProperties"], list(schema["properties"])) == (
        ["a"],
        False,
        ["a", "b"],
    )


def test_objects_of_a_list_are_seen_together() -> None:
    schema = schema_of(observe([{"items": [{"n": 1}, {"n": 2, "x": "y"}]}, {"items": []}]))
    inner = schema["properties"]["items"]["items"]
    assert (inner["required"], sorted(inner["properties"])) == (["n"], ["n", "x"])


def test_an_object_whose_keys_are_data_is_a_table() -> None:
    schema = schema_of(observe([{f"name {at}{row}": at for at in range(10)} for row in range(10)]))
    assert schema["additionalProperties"] == {"type": "integer"}
    assert "properties" not in schema


def test_how_often_a_field_was_seen_is_said() -> None:
    seen = observe(answers(a=["x", None, ...] * 10))
    said = next(place for place in places(seen) if place.pointer == "/a").evidence()
    assert said.en == "seen in 20 of 30, empty (null) in 10, 1 different texts"
    few = next(place for place in places(observe([{"a": 1}])) if place.pointer == "/a").evidence()
    assert "few answers" in few.en
    assert "样本较少" in few.zh


RULES = [
    ("order_id", [f"T{at}88" for at in range(20)], {"rule": "exact", "critical": True}),
    ("reference", [f"no-{at}{at}" for at in range(20)], {"rule": "exact", "critical": True}),
    ("订单编号", ["甲一", "乙二"], {"rule": "exact", "critical": True}),
    ("amount", [5, 7.25], {"rule": "number", "tolerance": 0.01, "critical": True}),
    ("金额", [5, 7], {"rule": "number", "critical": True}),
    ("quantity", [5, 7], {"rule": "number"}),
    ("score", [0.5, 0.125], {"rule": "number", "tolerance": 0.001}),
    ("day", ["2024-03-17", "2024-03-18T10:00:00"], {"rule": "date"}),
    ("state", ["open", "closed"] * 20, {"rule": "enum"}),
    ("name", [f"a thing {at}" for at in range(20)], {"rule": "text"}),
    ("summary", ["a rather long account of what happened on the very day when it came " + "x" * at for at in range(9)],
     {"rule": "text", "weight": 0.5}),
    ("sure", [True, False], {"rule": "exact"}),
    ("tags", [["a", "b"], ["c"]], {"rule": "set", "items": {"rule": "text"}}),
    ("mixed", [1, "a"], {"rule": "exact"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "rule"), RULES, ids=[row[0] for row in RULES])
def test_the_rule_that_is_proposed(name: str, values: list[Any], rule: dict[str, Any]) -> None:
    (found,) = rule_proposals.propose(observe(answers(**{name: values})))
    assert (found.pointer, found.rule) == (f"/{name}", rule)
    assert found.reason.en
    assert found.reason.zh


def test_fields_of_objects_in_lists_have_rules_of_their_own() -> None:
    found = rule_proposals.propose(observe([{"items": [{"price": 1.5, "name": "a b"}]}]))
    assert [one.pointer for one in found] == ["/items/*/price", "/items/*/name"]


def test_schema_told_from_the_shipped_answers_fits_the_shipped_suite() -> None:
    from qwenlab.evals.suite import load_suite
    from qwenlab.workspace import SHIPPED

    samples = json.loads((SHIPPED / "data" / "after-sales.train.json").read_text(encoding="utf-8"))
    seen = observe(json.loads(sample["conversations"][-1]["value"]) for sample in samples)
    check = SchemaCheck(schema_of(seen))
    suite = load_suite(SHIPPED / "eval_suites" / "after-sales-tickets")
    assert all(check.is_valid(case.expected) for case in suite.cases)
    proposed = {one.pointer: one.rule["rule"] for one in rule_proposals.propose(seen)}
    written = {pointer: rule.rule for pointer, rule in suite.fields.items()}
    assert proposed == written | {"/order_id": "exact"}
