"""How a test asks, on the page: the flags of the form, and what is to be known before the first answer."""

from __future__ import annotations

import pytest
from small_result import make_suite

from qwenlab.cli import parser
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import suite_from
from qwenlab.ui.how_asked import How, about
from qwenlab.ui.texts import Translator

EN, ZH = Translator("en"), Translator("zh")
TEXT = suite_from({"name": "t", "cases": [{"id": "c1", "prompt": "q", "expected": "a"}]}, "test")


@pytest.mark.parametrize(
    ("how", "flags"),
    [
        (How(), ["--concurrency", "8"]),
        (How(None, None, False, False, None, None), []),
        (How(3, 0.7, True, True, 64, 30), ["--enforce", "--fresh", "--repeat", "3", "--temperature", "0.7",
                                           "--concurrency", "64", "--requests-per-minute", "30"]),
        (How(1000, 99, at_once=9999), ["--repeat", "100", "--temperature", "5", "--concurrency", "1024"]),
        (How(temperature=0.0), ["--temperature", "0", "--concurrency", "8"]),
    ],
)  # fmt: skip
def test_form_becomes_flags_that_the_command_line_takes(how: How, flags: list[str]) -> None:
    assert how.flags(make_suite(), EN) == flags
    parser().parse_args(["test", "s", "-c", "a=m", *flags])


def test_what_has_no_schema_cannot_be_enforced() -> None:
    with pytest.raises(QwenlabError, match="no schema to enforce"):
        How(enforce=True).flags(TEXT, EN)
    assert "没有可以强制的 Schema" in about(How(enforce=True), TEXT, ZH)


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "not": {"required": ["b"]}}
KNOWN = [
    (How(), {}, ""),
    (How(enforce=True), {}, ""),
    (How(enforce=True), {"schema": SCHEMA}, "only checked afterwards: not cannot be enforced.<"),
    (How(repeats=3), {}, "the same answer each time"),
    (How(repeats=3, temperature=0.7), {}, ""),
    (How(), {"generation": {"repeats": 2}}, "the same answer each time"),
    (How(), {"generation": {"repeats": 2, "temperature": 0.5}}, ""),
    (
        How(enforce=True),
        {"cases": [{"id": "c1", "prompt": "q", "rule": "contains", "expected": "a"}]},
        "1 cases want words",
    ),
]


@pytest.mark.parametrize(("how", "changes", "words"), KNOWN)
def test_what_is_to_be_known_is_said_before_the_first_answer(how: How, changes: dict[str, object], words: str) -> None:
    said = about(how, make_suite(**changes), EN)
    assert words in said if words else said == ""
    assert bool(about(how, make_suite(**changes), ZH)) == bool(words)


def test_temperature_left_empty_is_the_suites_own() -> None:
    assert How.of(0, "", False, False, 8, 0, t=EN).temperature is None
    assert How.of(0, " 0 ", t=EN).temperature == 0
    with pytest.raises(QwenlabError, match="温度不是数字"):
        How.of(0, "warm", t=ZH)
