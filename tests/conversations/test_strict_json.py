"""Strict JSON: what json.loads lets through and we do not."""

from __future__ import annotations

import pytest

from qwenlab.conversations import strict_json
from qwenlab.conversations.strict_json import NotJsonError


@pytest.mark.parametrize("text", ["{}", ' [1, "é"] \n', "null", '"x"', "-0.5e3", '{"a": {"a": 1}}'])
def test_one_value_is_read(text: str) -> None:
    strict_json.read(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "json_empty"),
        (" \n", "json_empty"),
        ("\ufeff{}", "json_bom"),
        ('{"a": 1, "a": 2}', "json_duplicate_key"),
        ("NaN", "json_constant"),
        ("[-Infinity]", "json_constant"),
        ("{} {}", "json_extra"),
        ("```json\n{}\n```", "json_value"),
        ("{'a': 1}", "json_key"),
        ('{"a" 1}', "json_colon"),
        ('{"a": 1 "b": 2}', "json_comma"),
        ('{"a": "x', "json_open_string"),
        ('{"a": "x\ny"}', "json_control"),
        (r'"\x"', "json_escape"),
        ("[" * 100_000, "json_deep"),
        ("1" * 5000, "json_number"),
        ("[1e999]", "json_number"),
        ('["\\ud800"]', "json_surrogate"),
        ("[" * 201 + "]" * 201, "json_deep"),
        ("\u00a0{}", "json_value"),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(NotJsonError) as error:
        strict_json.read(text)
    assert error.value.code == code
