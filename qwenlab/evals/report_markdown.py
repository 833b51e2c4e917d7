"""A result as Markdown: scoreboard, verdicts, gates, weak slices, and the cases that changed."""

from __future__ import annotations

import re

from qwenlab.evals import gates
from qwenlab.evals.case_words import why
from qwenlab.evals.compare import sentence
from qwenlab.evals.findings import Findings, surely_worse
from qwenlab.evals.history import moment
from qwenlab.evals.remarks import remarks
from qwenlab.evals.report import scoreboard
from qwenlab.evals.report_words import counted, say

MOST_FLIPS = 100
"""Changed cases in the table; the other forms hold all."""
LONGEST = 200
"""Characters of a cell."""
_MEANS_SOMETHING = re.compile(r"([\\`*_\[\]<>|#&~!$])")


def to_markdown(findings: Findings) -> str:
    """Everything that was found, but for the single cases that did not change."""
    language, result = findings.language, findings.result
    lines = [f"# {_plain(result.suite.name)}", "", f"{moment(findings.time)}. {counted(findings)}", ""]
    lines += [scoreboard([one.row() for one in findings.contestants], language, markdown=True)]
    lines += _bullets(say("verdicts", language), [sentence(one, language) for one in findings.verdicts])
    lines += _bullets(
        say("gates", language),
        [f"{'✓' if one.passed else '✗'} {gates.sentence(one, language)}" for one in findings.gates],
    )
    lines += _bullets(say("remarks", language), remarks(result, language))
    lines += _bullets(say("slices", language), surely_worse(findings.slices, language))
    lines += _bullets(say("history", language), [sentence(one, language) for one in findings.since_last])
    for change in ("broken", "fixed"):
        if len(findings.contestants) > 1:
            lines += _flips(findings, change)
    return "\n".join(lines).rstrip() + "\n"


def _bullets(title: str, sentences: list[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {_plain(one)}" for one in sentences), ""] if sentences else []


def _flips(findings: Findings, change: str) -> list[str]:
    cases = [
        case
        for case in findings.result.suite.cases
        if findings.changes.get(case.id) == change and case.id not in findings.result.leaked
    ]
    if not cases:
        return []
    language, pair = findings.language, (findings.contestants[0], findings.contestants[-1])
    names = {"first": pair[0].name, "last": pair[1].name}
    wrong = pair[1] if change == "broken" else pair[0]
    title = f"## {_plain(say(f'{change}_title', language, number=len(cases), **names))}"
    head = [say("case", language), say("question", language), say("why_wrong", language, name=wrong.name)]
    lines = [title, "", _line(head), "|---|---|---|"]
    for case in cases[:MOST_FLIPS]:
        score = findings.scores[wrong.name][case.id]
        reasons = " ".join(why(score, wrong.answers.get(case.id), language))
        lines.append(_line([case.id, case.question, reasons]))
    if len(cases) > MOST_FLIPS:
        lines += ["", say("more_elsewhere", language, number=len(cases) - MOST_FLIPS)]
    return [*lines, ""]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text on one line, of which nothing is taken for Markdown or HTML."""
    flat = " ".join(text.split())
    return _MEANS_SOMETHING.sub(r"\\\1", flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…")
