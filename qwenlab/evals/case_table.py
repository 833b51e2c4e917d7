"""A result as one table, a row per case and contestant: for spreadsheets, and as plain values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from qwenlab.conversations.tables import guarded
from qwenlab.evals.case_words import why
from qwenlab.evals.findings import Findings
from qwenlab.evals.result import ContestantResult
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite_model import Case

COLUMNS = (
    "case", "contestant", "language", "tags", "group", "leaked", "question", "expected", "answer", "finish", "passed",
    "usable", "rung", "schema_valid", "field_accuracy", "all_fields_right", "error", "unjudged", "why", "tokens",
    "seconds", "cached", "answers", "answers_passed", "agreement",
)  # fmt: skip


def rows(findings: Findings) -> Iterator[dict[str, Any]]:
    """One row per case and contestant, in the order of the suite; `why` in the language of the findings.

    Of a case that was asked several times it is the first answer, with how many of all of them pass.
    """
    for case in findings.result.suite.cases:
        for contestant in findings.contestants:
            yield _row(findings, case, contestant, findings.scores[contestant.name][case.id])


def _row(findings: Findings, case: Case, contestant: ContestantResult, score: CaseScore) -> dict[str, Any]:
    answered = contestant.answers.get(case.id)
    answer = answered.answer if answered else None
    repeats = contestant.repeats.cases[case.id] if contestant.repeats else None
    return {
        "case": case.id,
        "contestant": contestant.name,
        "language": case.language,
        "tags": case.tags,
        "group": case.group,
        "leaked": case.id in findings.result.leaked,
        "question": case.question,
        "expected": case.expected,
        "answer": answer.text if answer else None,
        "finish": answer.finish if answer else None,
        "passed": score.passed,
        "usable": score.usable,
        "rung": score.rung,
        "schema_valid": score.schema_valid,
        "field_accuracy": round(score.field_accuracy, 6),
        "all_fields_right": score.document_exact,
        "error": score.errored,
        "unjudged": score.unjudged is not None,
        "why": why(score, answered, findings.language),
        "tokens": answer.tokens if answer else 0,
        "seconds": round(answered.wall, 3) if answered else 0.0,
        "cached": answered.cached if answered else False,
        "answers": repeats.n if repeats else 1,
        "answers_passed": repeats.passed if repeats else int(score.passed),
        "agreement": repeats.agreement if repeats else None,
    }


def to_csv(findings: Findings) -> bytes:
    """All rows as a CSV that spreadsheets read; no cell of it is taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows(findings):
        writer.writerow([guarded(_cell(name, row[name])) for name in COLUMNS])
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")  # Excel reads UTF-8 only behind a BOM


def _cell(name: str, value: Any) -> str:
    if value is None and name != "expected":
        return ""
    if isinstance(value, str):
        return value
    if name in ("tags", "why"):
        return (", " if name == "tags" else " ").join(value)
    return json.dumps(value, ensure_ascii=False)
