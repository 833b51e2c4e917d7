"""Traps that public evaluation tools are known to have walked into: each a case by name, from raw reply to score."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenlab.evals.scoring import score_answer
from qwenlab.evals.suite import suite_from

BIG = 9_007_199_254_740_993
"""2^53 + 1: read as a float it equals its neighbour."""

TRAPS: list[tuple[str, Any, Any, str, tuple[Any, ...]]] = [
    # name, rule of /a, expected, reply, (rung, usable, exact, code of /a, flags)
    ("null against null is right", "exact", None, '{"a": null}', ("strict", True, True, "equal", ())),
    ("null is not the word null", "exact", None, '{"a": "null"}', ("strict", True, False, "not_null", ())),
    ("null is not an empty text", "text", None, '{"a": ""}', ("strict", True, False, "not_null", ())),
    ("null is not zero", "number", None, '{"a": 0}', ("strict", True, False, "not_null", ())),
    ("null is not an empty list", "set", None, '{"a": []}', ("strict", True, False, "not_null", ())),
    ("null is not a missing key", "exact", None, "{}", ("strict", True, False, "missing", ())),
    ("a missing key is not null", "exact", 5, "{}", ("strict", True, False, "missing", ())),
    ("NaN, which json.loads accepts", "number", 5, '{"a": NaN}', ("repaired", False, False, "unreadable",
     ("not_a_number",))),
    ("NaN is no match for null", "number", None, '{"a": NaN}', ("repaired", False, False, "unreadable",
     ("not_a_number",))),
    ("Infinity", "number", 5, '{"a": -Infinity}', ("repaired", False, False, "unreadable", ("not_a_number",))),
    ("the word NaN is a text", "number", 5, '{"a": "NaN"}', ("strict", True, False, "wrong_type", ())),
    ("duplicate keys, of which json.loads keeps the last", "exact", 5, '{"a": 4, "a": 5}',
     ("repaired", False, False, "unreadable", ("duplicate_keys",))),
    ("duplicate keys that agree", "exact", 5, '{"a": 5, "a": 5}',
     ("repaired", False, False, "unreadable", ("duplicate_keys",))),
    ("duplicate keys written otherwise", "exact", 5, '{"a": 5, "\\u0061": 5}',
     ("repaired", False, False, "unreadable", ("duplicate_keys",))),
    ("a fence with its language", "exact", 5, '```json\n{"a": 5}\n```', ("fenced", False, True, "equal", ())),
    ("a fence with another language", "exact", 5, '```JavaScript\n{"a": 5}\n```', ("fenced", False, True, "equal", ())),
    ("a fence with attributes", "exact", 5, '```json title="a"\n{"a": 5}\n```', ("fenced", False, True, "equal", ())),
    ("a fence that is never closed", "exact", 5, '```json\n{"a": 5}\n', ("extracted", False, True, "equal", ())),
    ("a fence inside a string", "text", "```json", '{"a": "```json"}', ("strict", True, True, "equal", ())),
    ("1e999, which json.loads reads as infinity", "number", 5, '{"a": 1e999}',
     ("none", False, False, "unreadable", ("number_too_large",))),
    ("1e999 is not another 1e999", "number", 10**300, '{"a": -1e999}',
     ("none", False, False, "unreadable", ("number_too_large",))),
    ("1e2 is 100", "number", 100, '{"a": 1e2}', ("strict", True, True, "equal", ())),
    ("a big integer is not its neighbour", "exact", BIG, f'{{"a": {BIG - 1}}}', ("strict", True, False, "differs", ())),
    ("a big integer is itself", "number", BIG, f'{{"a": {BIG}}}', ("strict", True, True, "equal", ())),
    ("an order number of 30 digits", "exact", 10**29 + 7, f'{{"a": {10**29 + 7}}}',
     ("strict", True, True, "equal", ())),
    ("a big integer as a float", "exact", BIG, f'{{"a": {BIG}.0}}', ("strict", True, False, "differs", ())),
    ("a number as a string", "number", 5, '{"a": "5"}', ("strict", True, False, "number_as_string",
     ("number_as_string",))),
    ("a number as a string with a unit", "number", 5, '{"a": "5 yuan"}', ("strict", True, False, "wrong_type", ())),
    ("a full-width number as a string", "number", 12, '{"a": "１２"}',
     ("strict", True, False, "number_as_string", ("number_as_string",))),
    ("a string of digits is no number", "text", "0012", '{"a": 12}', ("strict", True, False, "wrong_type", ())),
    ("leading zeros matter in an id", "exact", "0012", '{"a": "12"}', ("strict", True, False, "differs", ())),
    ("true is not 1", "number", 1, '{"a": true}', ("strict", True, False, "wrong_type", ())),
    ("false is not 0", "exact", 0, '{"a": false}', ("strict", True, False, "wrong_type", ())),
    ("the word true is not true", "exact", True, '{"a": "true"}', ("strict", True, False, "wrong_type", ())),
    ("minus zero is zero", "number", 0, '{"a": -0.0}', ("strict", True, True, "equal", ())),
    ("0.1 + 0.2 within a tolerance of nothing", "number", 0.3, '{"a": 0.30000000000000004}',
     ("strict", True, False, "differs", ())),
    ("two values, of which a first-match reader takes the right one", "exact", 5, '{"a": 5}\n{"a": 6}',
     ("none", False, False, "unreadable", ("several_values",))),
    ("two values, of which a last-match reader takes the right one", "exact", 5, '{"a": 6} {"a": 5}',
     ("none", False, False, "unreadable", ("several_values",))),
    ("the same value twice", "exact", 5, '{"a": 5}{"a": 5}', ("none", False, False, "unreadable", ("several_values",))),
    ("JSON lines", "exact", 5, '{"a": 5}\n[1]\n', ("none", False, False, "unreadable", ("several_values",))),
    ("thinking that is never closed", "exact", 5, '<think>It must be {"a": 5}',
     ("none", False, False, "unreadable", ("think_leak",))),
    ("a draft inside closed thinking", "exact", 5, '<think>{"a": 6}</think>{"a": 5}',
     ("extracted", False, True, "equal", ("think_leak",))),
    ("thinking whose start the template swallowed", "exact", 5, 'or {"a": 6}?</think>\n\n{"a": 5}',
     ("extracted", False, True, "equal", ("think_leak",))),
    ("a think tag inside a string", "text", "<think>", '{"a": "<think>"}', ("strict", True, True, "equal", ())),
    ("a byte order mark", "exact", 5, '\ufeff{"a": 5}', ("extracted", False, True, "equal", ("byte_order_mark",))),
    ("a byte order mark inside a fence", "exact", 5, '```json\n\ufeff{"a": 5}\n```',
     ("extracted", False, True, "equal", ("byte_order_mark",))),
    ("an invisible sign after it", "exact", 5, '{"a": 5}\u200b', ("extracted", False, True, "equal", ())),
    ("a key that was not asked for", "exact", 5, '{"a": 5, "b": 1}', ("strict", True, False, "equal", ())),
    ("the answer wrapped in another object", "exact", 5, '{"ticket": {"a": 5}}',
     ("strict", True, False, "missing", ())),
    ("the answer in a list of one", "exact", 5, '[{"a": 5}]', ("strict", False, False, "missing", ())),
    ("JSON inside a JSON string", "exact", 5, '"{\\"a\\": 5}"', ("strict", False, False, "missing", ())),
    ("keys in capitals", "exact", 5, '{"A": 5}', ("strict", True, False, "missing", ())),
    ("a key from a look-alike letter", "exact", 5, '{"\u0430": 5}', ("strict", True, False, "missing", ())),
    ("a trailing comma", "exact", 5, '{"a": 5,}', ("repaired", False, False, "unreadable", ())),
    ("Python's repr", "exact", True, "{'a': True}", ("repaired", False, False, "unreadable", ())),
    ("an empty answer", "exact", None, "", ("none", False, False, "unreadable", ("empty",))),
    ("white space only", "exact", None, " \n", ("none", False, False, "unreadable", ("empty",))),
    ("the empty object against an expected null", "exact", None, '{"a": {}}', ("strict", True, False, "not_null", ())),
    ("a set counts how often", "set", ["x", "x"], '{"a": ["x"]}', ("strict", True, False, "differs", ())),
    ("a date with the wrong day and the right text around it", "date", "2024-03-17", '{"a": "on 2024-03-17"}',
     ("strict", True, False, "not_a_date", ())),
    ("30 February", "date", "2024-03-01", '{"a": "2024-02-30"}', ("strict", True, False, "not_a_date", ())),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected", "reply", "wanted"), [row[1:] for row in TRAPS], ids=[row[0] for row in TRAPS]
)
def test_a_known_trap(rule: str, expected: Any, reply: str, wanted: tuple[Any, ...]) -> None:
    case = {"id": "c", "prompt": "q", "expected": {"a": expected}}
    suite = suite_from({"name": "s", "schema": {"type": "object"}, "fields": {"/a": rule}, "cases": [case]}, "test")
    score = score_answer(suite, suite.cases[0], reply)
    code = next(field.code for field in score.fields if field.pointer == "/a")
    assert (score.rung, score.usable, score.document_exact, code, score.flags) == wanted
    assert score.passed is (score.usable and score.document_exact)


def test_every_expected_value_of_the_traps_is_right_against_itself() -> None:
    """A reply that is right must pass, or the traps above would prove nothing."""
    for _, rule, expected, _, _ in TRAPS:
        case = {"id": "c", "prompt": "q", "expected": {"a": expected}}
        suite = suite_from({"name": "s", "schema": {"type": "object"}, "fields": {"/a": rule}, "cases": [case]}, "test")
        assert score_answer(suite, suite.cases[0], json.dumps({"a": expected})).passed
