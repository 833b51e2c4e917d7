"""The cases of a report as HTML: the changed ones first, each folded, value by value when opened."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from html import escape

from qwenlab.evals.case_words import of_form, place
from qwenlab.evals.fields import FieldScore
from qwenlab.evals.findings import CHANGES, Findings
from qwenlab.evals.report_words import say
from qwenlab.evals.result import ContestantResult
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite_model import Case
from qwenlab.evals.words import Language, describe_rung, explain, show

MOST_CASES = 2_000
"""Cases in the page, the changed ones first; beyond that a browser would choke, and the CSV has all."""
OPENED = 5
"""Broken cases that stand open: the first thing to look at."""
SIGNS = {"broken": "▼", "fixed": "▲", "failed": "✗", "unjudged": "?", "passed": "✓"}
KINDS = {"broken": "bad", "fixed": "ok", "failed": "quiet", "unjudged": "warn", "passed": "quiet"}


def section(findings: Findings) -> str:
    """Filters and all cases."""
    language, leaked = findings.language, findings.result.leaked
    kinds = {case: "leaked" if case in leaked else change for case, change in findings.changes.items()}
    order = (*CHANGES, "leaked")
    cases = sorted(findings.result.suite.cases, key=lambda case: order.index(kinds[case.id]))
    shown = "".join(
        _case(case, kinds[case.id], findings, kinds[case.id] == "broken" and at < OPENED)
        for at, case in enumerate(cases[:MOST_CASES])
    )
    more = ""
    if len(cases) > MOST_CASES:
        more = f'<p class="about">{escape(say("more_elsewhere", language, number=len(cases) - MOST_CASES))}</p>'
    filters = _filters(Counter(kinds.values()), language, alone=len(findings.contestants) == 1)
    title, about = escape(say("cases", language)), escape(say("cases_about", language))
    return (
        f'<section class="cases"><h2>{title}</h2><p class="about">{about}</p>{filters}'
        f'<div class="list">{shown}</div>{more}</section>'
    )


def anchor(case: str) -> str:
    """The name of a case's place on the page, for ids may hold anything; a link to it unfolds the case."""
    return "case-" + hashlib.sha256(case.encode("utf-8", "replace")).hexdigest()[:12]


def _filters(found: Counter[str], language: Language, alone: bool) -> str:
    """Radio buttons that the style sheet turns into filters: the page has no script."""
    buttons = ""
    for kind, number in (("all", found.total()), *((kind, found[kind]) for kind in (*CHANGES, "leaked"))):
        if number:
            checked = " checked" if kind == "all" else ""
            buttons += (
                f'<input type="radio" name="show" id="show-{kind}"{checked}><label for="show-{kind}">'
                f"{escape(_kind_name(kind, language, alone))} <small>{number}</small></label>"
            )
    return f'<div class="filters">{buttons}</div>'


def _kind_name(kind: str, language: Language, alone: bool) -> str:
    if kind == "failed" and not alone:
        return say("failed_both", language)
    return say("leaked_case" if kind == "leaked" else kind, language)


def _case(case: Case, kind: str, findings: Findings, opened: bool) -> str:
    language = findings.language
    scores = [findings.scores[who.name][case.id] for who in findings.contestants]
    name = _kind_name(kind, language, len(scores) == 1)
    sign, colour = SIGNS.get(kind, "⚑"), KINDS.get(kind, "warn")
    marks = "".join(_mark(who, score, case) for who, score in zip(findings.contestants, scores, strict=True))
    preview = escape(" ".join(case.question.split())[:200])
    tags = f'<p class="tags">{escape(" · ".join(case.tags))}</p>' if case.tags else ""
    content = _texts(case, findings) if scores[0].rung is None else _values(case, scores, findings)
    body = _turns(case, language) + tags + content + _notes(case, scores, findings) + _raw(case, findings)
    return (
        f'<details class="case {kind}"{" open" if opened else ""}><summary>'
        f'<span class="kind {colour}"><b aria-hidden="true">{sign}</b> {escape(name)}</span><b>{escape(case.id)}</b>'
        f'<span class="preview" dir="auto">{preview}</span><span class="marks">{marks}</span></summary>'
        f'<div class="body" id="{anchor(case.id)}">{body}</div></details>'
    )


def _mark(who: ContestantResult, score: CaseScore, case: Case) -> str:
    right = who.right[case.id]
    sign, kind = ("?", "warn") if right is None else ("✓", "ok") if right else ("!" if score.errored else "✗", "bad")
    return f'<span class="{kind}" title="{escape(who.name)}">{sign}</span>'


def _turns(case: Case, language: Language) -> str:
    if not case.history:
        return f'<p class="said" dir="auto">{escape(case.question)}</p>'
    return "".join(
        f'<p class="said" dir="auto"><b>{escape(say(f"said_{turn.role}", language))}</b> {escape(turn.content)}</p>'
        for turn in case.history
    )


# --- value by value ----------------------------------------------------------------------------------------


def _values(case: Case, scores: Sequence[CaseScore], findings: Findings) -> str:
    """A row per place where an answer is wrong: what was expected, and what each contestant wrote."""
    language = findings.language
    tables = [{one.pointer: one for one in score.fields} for score in scores]
    order = dict.fromkeys(pointer for table in tables for pointer in table)
    wrong = [name for name in order if any(not table[name].ok for table in tables if name in table)]
    right = [place(name, language) for name in order if name not in wrong]
    rest = f'<p class="about">{escape(say("right_everywhere", language, names=", ".join(right)))}</p>' if right else ""
    if not wrong:
        return rest
    heads = "".join(
        f'<th scope="col">{escape(who.name)}<small>{escape(describe_rung(score.rung, language))}</small></th>'
        for who, score in zip(findings.contestants, scores, strict=True)
    )
    rows = ""
    for name in wrong:
        known = [table[name] for table in tables if name in table]
        expected = next((show(one.expected, language) for one in known if one.code != "unexpected"), "–")
        cells = "".join(_value(table.get(name), score, language) for table, score in zip(tables, scores, strict=True))
        rows += (
            f'<tr><th scope="row">{escape(place(name, language))}</th>'
            f'<td class="expected" dir="auto">{escape(expected)}</td>{cells}</tr>'
        )
    head = "".join(f'<th scope="col">{escape(say(key, language))}</th>' for key in ("field", "expected"))
    return (
        f'<div class="scroll"><table class="values"><thead><tr>{head}{heads}</tr></thead><tbody>{rows}</tbody></table>'
        f"</div>{rest}"
    )


def _value(one: FieldScore | None, score: CaseScore, language: Language) -> str:
    if not score.parsed:
        return f'<td class="quiet">{escape(say("unreadable", language))}</td>'
    if one is None:
        return '<td class="quiet">–</td>'
    shown = "–" if one.code == "missing" else show(one.actual, language)
    if one.ok:
        return f'<td class="ok" dir="auto"><b aria-hidden="true">✓</b> {escape(shown)}</td>'
    return (
        f'<td class="bad" dir="auto" title="{escape(explain(one, language))}"><b aria-hidden="true">✗</b> '
        f"{escape(shown)}<small>{escape(_short(one, language))}</small></td>"
    )


def _short(one: FieldScore, language: Language) -> str:
    """Why a value is wrong, where the value beside the expected one does not say it already."""
    if one.code in ("missing", "unexpected"):
        return say(f"field_{one.code}", language)
    return "" if one.code in ("differs", "outside_tolerance", "null", "not_null") else explain(one, language)


def _texts(case: Case, findings: Findings) -> str:
    wanted = case.expected if isinstance(case.expected, str) else json.dumps(case.expected, ensure_ascii=False)
    label = escape(f"{say('expected', findings.language)} ({case.rule})")
    return f'<p class="said" dir="auto"><b>{label}</b> {escape(wanted)}</p>'


def _notes(case: Case, scores: Sequence[CaseScore], findings: Findings) -> str:
    """What is wrong with each answer beside its rung and values: errors, flags, a broken schema."""
    language, found = findings.language, ""
    for who, score in zip(findings.contestants, scores, strict=True):
        shown = of_form(score, who.answers.get(case.id), language)
        if who.repeats is not None:
            known = who.repeats.cases[case.id]
            shown.append(say("repeats", language, passed=known.passed, n=known.n))
        if shown:
            found += f"<li><b>{escape(who.name)}</b> {escape(' '.join(shown))}</li>"
    return f'<ul class="notes">{found}</ul>' if found else ""


def _raw(case: Case, findings: Findings) -> str:
    language, found = findings.language, ""
    for who in findings.contestants:
        answered = who.answers.get(case.id)
        text = answered.answer.text if answered else ""
        inside = escape(text) if text else f'<span class="quiet">{escape(say("no_words", language))}</span>'
        cached = f" <small>{escape(say('cached', language))}</small>" if answered and answered.cached else ""
        found += f'<h4>{escape(who.name)}{cached}</h4><pre dir="auto">{inside}</pre>'
    return f'<details class="raw"><summary>{escape(say("raw", language))}</summary>{found}</details>'
