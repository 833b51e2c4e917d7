"""What an answer is held against, and how it was read and compares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from qwenlab.conversations import strict_json
from qwenlab.evals.fields import FieldScore, compare, unreadable
from qwenlab.evals.json_ladder import Reading, classify
from qwenlab.evals.rules import normalize_text
from qwenlab.evals.schema import Violation
from qwenlab.evals.scoring import text_answer_ok
from qwenlab.evals.suite import Case, Suite


@dataclass(frozen=True)
class Wanted:
    """What an answer is held against.

    Attributes:
        suite: gives schema and field rules; None for neither.
        case: the case of it that was asked, where `expected` is still its own.
        expected: the right answer as text; "" when it is not known.
    """

    suite: Suite | None = None
    case: Case | None = None
    expected: str = ""


@dataclass(frozen=True)
class Judgement:
    """How one answer was read and compares.

    Attributes:
        reading: its rung of the JSON ladder.
        violations: where it breaks the schema; None without a schema or when it could not be read.
        fields: value by value; None when no JSON was expected.
        text_ok: whether it is the expected text; None when none was expected.
    """

    reading: Reading
    violations: tuple[Violation, ...] | None = None
    fields: tuple[FieldScore, ...] | None = None
    text_ok: bool | None = None


def judge(text: str, wanted: Wanted) -> Judgement:
    """Hold an answer against what is wanted."""
    reading = classify(text)
    suite, case = wanted.suite, wanted.case
    violations = None
    as_json = suite is not None and (suite.as_json(case) if case else suite.is_json)
    if suite is not None and as_json and reading.parsed:
        violations = tuple(suite.check.violations(reading.value))
    if not wanted.expected.strip():
        return Judgement(reading, violations)
    value = _json_value(wanted.expected)
    if value is None:
        same = normalize_text(text) == normalize_text(wanted.expected)
        return Judgement(reading, violations, text_ok=text_answer_ok(case, text) if case else same)
    rules, accept = suite.fields if suite else {}, case.accept if case else {}
    scores = compare(value, reading.value, rules, accept) if reading.parsed else unreadable(value, rules)
    return Judgement(reading, violations, tuple(scores))


def expected_text(case: Case, suite: Suite) -> str:
    """A case's expected answer as a person reads and edits it."""
    if suite.as_json(case):
        return json.dumps(case.expected, ensure_ascii=False)
    return case.expected if isinstance(case.expected, str) else "\n".join(case.expected)


def _json_value(text: str) -> Any | None:
    try:
        value = strict_json.read(text.strip())
    except strict_json.NotJsonError:
        return None
    return value if isinstance(value, dict | list) else None
