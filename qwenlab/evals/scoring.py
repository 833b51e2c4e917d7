"""Scoring one answer: the rung it stands on, where it breaks the schema, and which values are right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from qwenlab.conversations import patterns
from qwenlab.errors import QwenlabError
from qwenlab.evals.bilingual import Words
from qwenlab.evals.fields import FieldScore, compare, unreadable
from qwenlab.evals.json_ladder import Rung, classify
from qwenlab.evals.rules import normalize_text
from qwenlab.evals.schema import Violation
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.evals.words import explain, explain_violation
from qwenlab.models.contestant import Finish


@dataclass(frozen=True)
class CaseScore:
    """What one answer is worth.

    Attributes:
        case_id: the case.
        rung: of the JSON ladder; None for a text case.
        schema_valid: whether the value that was read satisfies the schema; None for a text case.
        violations: where it does not.
        usable: strict, schema-valid and finished by itself (text: not empty and finished by itself).
        fields: one score per value; empty for a text case.
        field_accuracy: right weight by total weight, 0..1; 0 when nothing could be read. Text: 1 or 0.
        document_exact: every field right and nothing extra. Text: the rule is met.
        critical_ok: every critical field right.
        passed: usable and document_exact.
        errored: there is no answer to judge (an error, or the case was not answered). It counts as failed and
            is shown as an error, not as a wrong answer.
        unjudged: why the judging failed; then nobody knows whether the answer is right, so it is kept out of every
            rate and counted apart. None where the answer was judged.
        flags: see `words.FLAG`.
    """

    case_id: str
    rung: Rung | None
    schema_valid: bool | None
    violations: tuple[Violation, ...]
    usable: bool
    fields: tuple[FieldScore, ...]
    field_accuracy: float
    document_exact: bool
    critical_ok: bool
    passed: bool
    errored: bool = False
    flags: tuple[str, ...] = ()
    unjudged: Words | None = None

    @property
    def cost(self) -> float:
        """What the errors of this answer cost, 0..1: the wrong fields' share of the weight.

        All of it where a critical field is wrong, or where the answer cannot be used as it is: then a person has to do
        the case again, however right the rest is.
        """
        return 1 - self.field_accuracy if self.usable and self.critical_ok else 1.0

    @property
    def parsed(self) -> bool:
        """Whether the content could be read without repair."""
        return not self.errored and not self.unjudged and self.rung in (None, "strict", "fenced", "extracted")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json` and scores.json; explanations in English."""
        return {
            "case": self.case_id,
            "rung": self.rung,
            "schema_valid": self.schema_valid,
            "violations": [
                {"pointer": item.pointer, "explanation": explain_violation(item, "en")} for item in self.violations
            ],
            "usable": self.usable,
            "fields": [_field_json(field) for field in self.fields],
            "field_accuracy": self.field_accuracy,
            "document_exact": self.document_exact,
            "critical_ok": self.critical_ok,
            "cost": self.cost,
            "passed": self.passed,
            "errored": self.errored,
            "flags": list(self.flags),
            **({"unjudged": self.unjudged.en} if self.unjudged else {}),
        }


def score_answer(suite: Suite, case: Case, text: str, finish: Finish = "stop") -> CaseScore:
    """Score the raw text of an answer to `case`.

    The content of strict, fenced and extracted values is scored; what only a repair library could read is not. Where
    judging itself fails, that is no fault of the answer: see `CaseScore.unjudged`.
    """
    if finish in ("error", "context"):
        return _without_answer(suite, case, "error")
    try:
        return _score_json(suite, case, text, finish) if suite.as_json(case) else _score_text(case, text, finish)
    except Exception as error:  # a rule, a pattern or a schema of the suite: whatever it raises, the other cases go on
        failed = _without_answer(suite, case, "grader_failed")
        return replace(failed, errored=False, unjudged=_why(error), fields=())


def _why(error: Exception) -> Words:
    if isinstance(error, QwenlabError):
        return Words(error.what, error.say("zh")[0])
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return Words(said, said)


def not_answered(suite: Suite, case: Case) -> CaseScore:
    """The score of a case that has no answer: it stays in the denominator."""
    return _without_answer(suite, case, "not_answered")


def text_answer_ok(case: Case, text: str) -> bool:
    """Whether an answer meets the rule of a text case."""
    expected = [case.expected] if isinstance(case.expected, str) else list(case.expected)
    if case.rule == "regex":
        return patterns.search(expected[0], text)
    answer = normalize_text(text)
    wanted = [normalize_text(item) for item in expected]
    if case.rule == "contains":
        return all(item in answer for item in wanted)
    if case.rule == "not_contains":
        return not any(item in answer for item in wanted)
    return answer in wanted


def _score_json(suite: Suite, case: Case, text: str, finish: Finish) -> CaseScore:
    reading = classify(text)
    violations: list[Violation] = []
    fields: list[FieldScore]
    if reading.parsed:
        violations = suite.check.violations(reading.value)
        fields = compare(case.expected, reading.value, suite.fields, case.accept)
    else:
        fields = unreadable(case.expected, suite.fields)
    schema_valid = reading.parsed and not violations
    usable = reading.rung == "strict" and schema_valid and finish == "stop"
    exact = reading.parsed and all(field.ok for field in fields)
    flags = [*reading.flags, *_finish_flags(finish)]
    if any(field.code == "number_as_string" for field in fields):
        flags.append("number_as_string")
    return CaseScore(
        case_id=case.id,
        rung=reading.rung,
        schema_valid=schema_valid,
        violations=tuple(violations),
        usable=usable,
        fields=tuple(fields),
        field_accuracy=_accuracy(fields) if reading.parsed else 0.0,
        document_exact=exact,
        critical_ok=reading.parsed and all(field.ok for field in fields if field.critical),
        passed=usable and exact,
        flags=tuple(flags),
    )


def _score_text(case: Case, text: str, finish: Finish) -> CaseScore:
    empty = not text.strip()
    ok = not empty and text_answer_ok(case, text)
    usable = not empty and finish == "stop"
    flags = (["empty"] if empty else []) + _finish_flags(finish)
    return CaseScore(case.id, None, None, (), usable, (), float(ok), ok, ok, usable and ok, flags=tuple(flags))


def _without_answer(suite: Suite, case: Case, flag: str) -> CaseScore:
    as_json = suite.as_json(case)
    fields = tuple(unreadable(case.expected, suite.fields)) if as_json else ()
    rung: Rung | None = "none" if as_json else None
    valid = False if as_json else None
    return CaseScore(case.id, rung, valid, (), False, fields, 0.0, False, False, False, errored=True, flags=(flag,))


def _finish_flags(finish: Finish) -> list[str]:
    return {"length": ["truncated"], "stopped": ["stopped"]}.get(finish, [])


def _accuracy(fields: list[FieldScore]) -> float:
    total = sum(field.weight for field in fields)
    return sum(field.weight for field in fields if field.ok) / total if total else 1.0


def _field_json(field: FieldScore) -> dict[str, Any]:
    return {
        "pointer": field.pointer,
        "ok": field.ok,
        "expected": field.expected,
        "actual": field.actual,
        "code": field.code,
        "weight": field.weight,
        "critical": field.critical,
        "explanation": explain(field, "en"),
    }
