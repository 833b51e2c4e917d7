"""Patterns of strangers: what they find, and that none of them can hang the lab."""

from __future__ import annotations

import time

import pytest
from jsonschema import Draft202012Validator

from qwenlab.conversations import patterns
from qwenlab.conversations.patterns import PatternError


def test_patterns_are_found_anywhere_or_match_the_whole() -> None:
    assert patterns.search(r"\b2024\b", "in 2024.")
    assert not patterns.matches(r"2024", "in 2024.")
    assert patterns.matches(r"[A-Z]{2}\d+", "AB12")


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a{99999999999}", "(" * 500 + ")" * 500, "a" * 3000, "((a{1000}){1000}){1000}", "(?P<a>"]
)
def test_what_cannot_be_used_is_said_in_both_languages(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        patterns.compiled(pattern)
    assert "no regular expression" in caught.value.what
    assert "无法使用" in caught.value.say("zh")[0]


def test_a_pattern_that_would_run_for_hours_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(PatternError, match="takes too long"):
        patterns.matches("((a{0,100}){0,100}){0,100}", "a" * 2000 + "b")
    assert time.monotonic() - began < 5


def test_a_schema_with_such_patterns_is_explained_in_limited_time() -> None:
    schema = {
        "properties": {"a": {"pattern": "^[a-z]+$"}, "b": {}},
        "patternProperties": {"^x": {"type": "integer"}},
        "additionalProperties": False,
    }
    validator = patterns.for_schemas(Draft202012Validator)(schema)
    errors = validator.iter_errors({"a": "A", "x1": "no", "y": 1})
    assert {error.validator for error in errors} == {"type", "pattern", "additionalProperties"}
    slow = patterns.for_schemas(Draft202012Validator)({"pattern": "^((a{0,100}){0,100}){0,100}$"})
    with pytest.raises(PatternError):
        list(slow.iter_errors("a" * 2000 + "b"))
