"""One case as HTML: the question, and everybody's answer beside what was expected. Everything read is escaped."""

from __future__ import annotations

import json

from qwenlab.evals import leaks
from qwenlab.evals.json_ladder import Reading
from qwenlab.evals.result import ContestantResult
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import Case, Suite
from qwenlab.models.contestant import Message
from qwenlab.ui import answer_diff, answer_view
from qwenlab.ui.components import NOTHING, Html, badge, escape, fold, notice
from qwenlab.ui.judging import Judgement
from qwenlab.ui.matrix import Matrix, View, mark_of
from qwenlab.ui.matrix_view import MARKS, filter_name, mark
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator
from qwenlab.ui.values_table import values_table

RULES = {
    "equals": "test_rule_equals",
    "any_of": "test_rule_any_of",
    "contains": "test_rule_contains",
    "not_contains": "test_rule_not_contains",
    "regex": "test_rule_regex",
}
"""What the rule of a text case asks for, in words."""
PLAIN = {"differs", "unreadable", "missing", "unexpected", "null", "not_null"}
"""Why a value is wrong where the two values beside each other say it."""


def case_part(shown: Shown | None, view: View, t: Translator) -> Html:
    """The question, what was expected, and what everybody answered, value by value."""
    case = open_case(shown, view)
    if shown is None or case is None:
        begun = shown is not None or view.folder is not None
        return Html(f'<p class="quiet">{escape(t("test_open_hint"))}</p>') if begun else NOTHING
    result = shown.result
    turns = "".join(_turn(message, t) for message in case.messages(result.suite))
    scores = [_score(one, case) for one in result.contestants]
    values = _values(result.contestants, scores, t) if _as_json(case, result.suite) else ""
    answers = "".join(
        _answer(one, score, case, result.suite, t) for one, score in zip(result.contestants, scores, strict=True)
    )
    pressed = "true" if view.keeping else "false"
    return Html(
        f'<div class="suite-part case">{_head(Matrix(result, view), case, t)}{_leaked(shown, case, t)}{turns}{values}'
        f"{_expected(case, result.suite, t)}{answers}"
        f'<button type="button" data-do="keep" aria-pressed="{pressed}" title="{escape(t("test_keep_about"))}">'
        f"{escape(t('compare_keep'))}</button></div>"
    )


def open_case(shown: Shown | None, view: View) -> Case | None:
    """The case that is open, if the chosen result has it."""
    return shown.result.suite.by_id.get(view.case) if shown is not None and view.case else None


def _as_json(case: Case, suite: Suite) -> bool:
    """Whether answers to the case are judged value by value."""
    return suite.as_json(case)


# --- the case --------------------------------------------------------------------------------------------


def _head(found: Matrix, case: Case, t: Translator) -> str:
    """Its name and tags, where it stands in the list, and the way to its neighbours there."""
    at, before, after = found.around(case.id)
    place = ""
    if at is not None:
        name = filter_name(found.wanted, found, t)
        place = t("test_place", at=at + 1, number=len(found.listed), filter=name)
    return (
        f'<div class="filters"><b>{escape(case.id)}</b> <span class="quiet">{escape(" · ".join(case.tags))}</span>'
        f'<span class="push"></span><span class="quiet">{escape(place)}</span>'
        f"{_step(before, '‹', 'previous', t('test_previous'))}{_step(after, '›', 'next', t('test_next'))}</div>"
    )


def _step(case: str, sign: str, key: str, label: str) -> str:
    off = "" if case else " disabled"
    return (
        f'<button type="button" data-do="open" data-key="{key}" data-case="{escape(case)}" title="{escape(label)}" '
        f'aria-label="{escape(label)}"{off}>{sign}</button>'
    )


def _leaked(shown: Shown, case: Case, t: Translator) -> Html:
    if case.id not in shown.result.leaked:
        return NOTHING
    known = [
        leaks.sentence(leak, name, t.language)
        for name, found in shown.leaks.items()
        for leak in found
        if leak.case == case.id
    ]
    return notice("warn", t("test_leaked_this"), " ".join([*known, t("test_leaked_this_about")]))


def _turn(message: Message, t: Translator) -> str:
    role, text = message["role"], escape(message["content"])
    name = escape(t(f"role_{role}"))
    if role == "system":
        return f'<details class="turn" data-fold="system"><summary>{name}</summary><p>{text}</p></details>'
    return f'<div class="turn {escape(role)}"><b>{name}</b><p dir="auto">{text}</p></div>'


def _expected(case: Case, suite: Suite, t: Translator) -> str:
    """What was expected, as text: folded where the table says it, else with what its rule asks for."""
    if _as_json(case, suite):
        text = json.dumps(case.expected, ensure_ascii=False, indent=2)
        return fold("expected", t("test_expected_text"), Html(f'<pre class="reply">{escape(text)}</pre>'))
    wanted = case.expected if isinstance(case.expected, str) else "\n".join(case.expected)
    return (
        f'<h2>{escape(t("compare_wanted"))} <small class="quiet">{escape(t(RULES[case.rule]))}</small></h2>'
        f'<pre class="reply expected">{escape(wanted)}</pre>'
    )


# --- the answers -----------------------------------------------------------------------------------------


def _score(one: ContestantResult, case: Case) -> CaseScore | None:
    return next((score for score in one.scores if score.case_id == case.id), None)


def _values(contestants: list[ContestantResult], scores: list[CaseScore | None], t: Translator) -> str:
    """Value by value: the ones that differ or are wrong in a table, the others in a folded one."""
    judged = [_judgement(score) for score in scores]
    names = [one.name for one in contestants]
    rows, others = answer_diff.rows(judged), answer_diff.rows(judged, alike=True)
    shown = values_table(rows, names, t, plain=PLAIN) if rows else ""
    if not rows and others:
        shown = f"<p>{badge('ok', t('test_all_right'))}</p>"
    if others:
        shown += fold("alike", t("test_right_values", number=len(others)), values_table(others, names, t))
    return shown


def _judgement(score: CaseScore | None) -> Judgement | None:
    if score is None or score.errored or score.unjudged or score.rung is None:
        return None
    return Judgement(Reading(score.rung), score.violations, score.fields)


def _answer(one: ContestantResult, score: CaseScore | None, case: Case, suite: Suite, t: Translator) -> str:
    """One contestant: where its answer stands, what breaks the schema, and its words as they came."""
    answered = one.answers.get(case.id)
    kind, sign, key = MARKS[mark(one, score)]
    head = f'<b>{escape(one.name)}</b> <span class="badge {kind}"><i>{sign}</i> {escape(t(key))}</span>'
    head += _repeats(one, case, t)
    if answered is None or score is None:
        return f'<section class="answer"><div class="chips">{head}</div></section>'
    answer = answered.answer
    if answer.error:
        failed = notice("bad", t("compare_failed"), answer.error_in(t.language))
        return f'<section class="answer"><div class="chips">{head}</div>{failed}</section>'
    tokens = (
        badge("none", t("compare_tokens", number=answer.tokens), t("compare_tokens_about")) if answer.tokens else ""
    )
    known = badge("none", t("test_known"), t("test_known_about")) if answered.cached else ""
    raw = _words(answer.text, case, suite, t)
    if _as_json(case, suite) and score.parsed:
        raw = fold(f"raw {one.name}", t("test_raw"), raw)
    return (
        f'<section class="answer"><div class="chips">{head} {_chips(score, t)} {tokens} {known}</div>'
        f"{_unjudged(score, t)}{answer_view.violation_list(score.violations, t)}{raw}{_others(one, case, t)}</section>"
    )


def _repeats(one: ContestantResult, case: Case, t: Translator) -> str:
    """How many of the answers to the case pass, and how far they agree."""
    if one.repeats is None:
        return ""
    found = one.repeats.cases[case.id]
    said = " " + badge("none", t("test_times_passed", passed=found.passed, number=found.n))
    if found.agreement is not None:
        said += " " + badge("none", t("test_alike", share=f"{100 * found.agreement:.0f}"), t("test_about_agreement"))
    return said


def _others(one: ContestantResult, case: Case, t: Translator) -> Html:
    """The second answer to the case, the third, and so on, folded."""
    if one.repeats is None:
        return NOTHING
    said = ""
    for answers, scores in zip(one.given[1:], one.rounds[1:], strict=True):
        score = next((score for score in scores if score.case_id == case.id), None)
        kind, sign, _ = MARKS[mark_of(score)]
        text = answers[case.id].answer.text if case.id in answers else ""
        said += f'<p class="chips"><i class="{kind}">{sign}</i></p><pre class="reply" dir="auto">{escape(text)}</pre>'
    return fold(f"others {one.name}", t("test_other_answers", number=len(one.given) - 1), Html(said))


def _unjudged(score: CaseScore, t: Translator) -> Html:
    if not score.unjudged:
        return NOTHING
    return notice("warn", t("test_unjudged"), getattr(score.unjudged, t.language))


def _words(text: str, case: Case, suite: Suite, t: Translator) -> Html:
    """The answer as it came; against one expected text, what differs and what is missing is marked."""
    if not text:
        return Html(f'<p class="quiet">{escape(t("compare_no_words"))}</p>')
    said: str = escape(text)
    if not _as_json(case, suite) and case.rule == "equals" and isinstance(case.expected, str):
        tags = {"differs": "mark", "missing": "del"}
        said = "".join(
            f"<{tags[mark]}>{escape(piece)}</{tags[mark]}>" if mark in tags else escape(piece)
            for mark, piece in answer_diff.against(case.expected, text)
        )
    return Html(f'<pre class="reply" dir="auto">{said}</pre>')


def _chips(score: CaseScore, t: Translator) -> str:
    chips = []
    if score.rung is not None:
        chips.append(answer_view.rung(score.rung, t))
        if score.parsed:
            fits = badge("ok", t("compare_schema_ok")) if score.schema_valid else badge("bad", t("test_schema_bad"))
            chips.append(fits)
            chips.append(answer_view.values_right(score.fields, t) if score.fields else NOTHING)
    return " ".join([*chips, answer_view.flags(score.flags, t)])
