"""The Test tab as HTML: scoreboard, verdicts, the matrix of cases, and one case. Everything read is escaped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwenlab.evals import words
from qwenlab.evals.compare import sentence
from qwenlab.evals.gates import gates
from qwenlab.evals.rates import Rate
from qwenlab.evals.result import ContestantResult, Result
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import Case
from qwenlab.models.contestant import Message
from qwenlab.ui import answer_view
from qwenlab.ui.components import NOTHING, SIGNS, Html, badge, duration, escape, notice, table
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

PAGE = 25
MEASURES = ("passed", "strict", "usable", "field_accuracy", "document_exact")
TIPS = {
    "passed": "test_about_passed",
    "strict": "test_about_strict",
    "usable": "test_about_usable",
    "field_accuracy": "test_about_field_accuracy",
    "document_exact": "test_about_document_exact",
}
MARKS = {
    "passed": ("ok", "test_mark_passed"),
    "wrong": ("warn", "test_mark_wrong"),
    "unusable": ("bad", "test_mark_unusable"),
    "error": ("bad", "test_mark_error"),
    "waiting": ("none", "test_mark_waiting"),
}
FILTERS = {
    "all": "test_filter_all",
    "broken": "test_filter_broken",
    "fixed": "test_filter_fixed",
    "failed": "test_filter_failed",
    "format": "test_filter_format",
    "content": "test_filter_content",
    "leaked": "test_filter_leaked",
}
PAIRED = ("broken", "fixed")
VERDICTS = {"better": "ok", "worse": "bad", "cannot_tell": "none"}


@dataclass
class View:
    """What one browser window looks at. Kept in gr.State: never compared or copied by value.

    Attributes:
        folder: the chosen result; None for the newest.
        wanted: the filter. page: from 0. case: the open case, or "".
        keeping: whether the open case is being made a training sample.
    """

    folder: Path | None = None
    wanted: str = "all"
    page: int = 0
    case: str = ""
    keeping: bool = False


def mark_of(score: CaseScore | None) -> str:
    """Where one answer stands: a key of MARKS."""
    if score is None:
        return "waiting"
    if score.errored:
        return "error"
    if score.passed:
        return "passed"
    return "wrong" if score.usable else "unusable"


class Matrix:
    """Cases by contestants, with what the filters find.

    Broken and fixed compare the last contestant with the first, as the verdicts do.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        self.cases = result.suite.cases
        self.scores = [{score.case_id: score for score in one.scores} for one in result.contestants]
        tests: dict[str, Callable[[str], bool]] = {
            "all": lambda case: True,
            "broken": lambda case: self._passed(0, case) is True and self._passed(-1, case) is False,
            "fixed": lambda case: self._passed(0, case) is False and self._passed(-1, case) is True,
            "failed": lambda case: bool(self.scores) and all(self._failed(at, case) for at in range(len(self.scores))),
            "format": lambda case: self._last(case, lambda score: score.document_exact and not score.usable),
            "content": lambda case: self._last(case, lambda score: score.usable and not score.document_exact),
            "leaked": lambda case: case in result.leaked,
        }
        self.found = {name: [case for case in self.cases if test(case.id)] for name, test in tests.items()}

    def filters(self) -> list[str]:
        """The filters that make sense here."""
        few = len(self.result.contestants) < 2
        return [name for name in FILTERS if not (few and name in PAIRED) and (name != "leaked" or self.found["leaked"])]

    def marks(self, case: str) -> list[str]:
        """Where each contestant's answer stands."""
        return [mark_of(scores.get(case)) for scores in self.scores]

    def _passed(self, at: int, case: str) -> bool | None:
        score = self.scores[at].get(case) if self.scores else None
        return score.passed if score is not None else None

    def _failed(self, at: int, case: str) -> bool:
        return self._passed(at, case) is False

    def _last(self, case: str, test: Callable[[CaseScore], bool]) -> bool:
        score = self.scores[-1].get(case) if self.scores else None
        return score is not None and not score.errored and test(score)


# --- overview --------------------------------------------------------------------------------------------


def overview(shown: Shown | None, t: Translator, chosen: bool = False) -> Html:
    """Scoreboard, verdicts in words, thresholds, leaks, and accuracy field by field.

    Args:
        chosen: whether a result is chosen that has nothing to show yet.
    """
    if shown is None:
        return Html(f'<p class="quiet">{escape(t("test_no_answers" if chosen else "test_none"))}</p>')
    result = shown.result
    if not any(one.scores for one in result.contestants):
        return Html(f'<p class="quiet">{escape(t("test_no_answers"))}</p>')
    return Html(
        f'<div class="suite-part">{_scoreboard(result, t)}{_verdicts(shown, t)}{_leaks(result, t)}{_fields(result, t)}'
        "</div>"
    )


def _scoreboard(result: Result, t: Translator) -> Html:
    measures = [one for one in MEASURES if any(contestant.summary.rates.get(one) for contestant in result.contestants)]
    headers: list[object] = [words.measure_name("contestant", t.language), words.measure_name("n", t.language)]
    headers += [_tip(words.measure_name(one, t.language), t(TIPS[one])) for one in measures]
    headers += [words.measure_name("errors", t.language), words.measure_name("tokens_per_s", t.language)]
    rows = [_row(one, result, measures, t) for one in result.contestants]
    return table(headers, rows, numeric=range(1, len(headers)))


def _tip(name: str, about: str) -> Html:
    return Html(f'<span title="{escape(about)}">{escape(name)}</span>')


def _row(one: ContestantResult, result: Result, measures: list[str], t: Translator) -> list[object]:
    name = Html(f"<b>{escape(one.name)}</b>")
    if not one.complete:
        words_so_far = t("test_so_far", done=len(one.answers), number=len(result.suite.cases))
        name = Html(f"{name} {badge('busy', words_so_far)}")
    speed = f"{one.tokens_per_s:.1f}" if one.tokens_per_s is not None else "–"
    return [name, one.summary.n, *(_rate(one.summary.rates[key]) for key in measures), one.summary.errors, speed]


def _rate(found: Rate | None) -> Html:
    if found is None:
        return Html('<span class="quiet">–</span>')
    interval = f"{100 * found.low:.0f}–{100 * found.high:.0f}"
    return Html(f'<span class="rate">{100 * found.value:.1f} %<small>{interval}</small></span>')


def _verdicts(shown: Shown, t: Translator) -> Html:
    lines = [badge(VERDICTS[one.code], sentence(one, t.language)) for one in shown.verdicts]
    result = shown.result
    if result.contestants and result.complete:
        last = result.contestants[-1]
        for gate in gates(last.summary, result.suite.thresholds):
            reached = "–" if gate.reached is None else f"{100 * gate.reached:.1f} %"
            said = t(
                "test_gate_passed" if gate.passed else "test_gate_missed",
                name=last.name,
                measure=words.measure_name(gate.measure, t.language),
                reached=reached,
                wanted=f"{100 * gate.wanted:.1f} %",
            )
            lines.append(badge("ok" if gate.passed else "bad", said))
    about = f'<p class="quiet">{escape(t("test_intervals"))}</p>'
    return Html(f'<div class="verdicts">{"".join(lines)}</div>{about}')


def _leaks(result: Result, t: Translator) -> Html:
    if not result.leaked:
        return NOTHING
    passed = "; ".join(f"{one.name}: {one.summary.leaked_passed}" for one in result.contestants if one.summary.leaked)
    remedy = t("test_leaked_passed", passed=passed)
    if result.leaked >= result.suite.by_id.keys():
        remedy += " " + t("test_leaked_none_left")
    return notice("warn", t("test_leaked", number=len(result.leaked)), remedy)


def _fields(result: Result, t: Translator) -> Html:
    """A bar per field and contestant."""
    known = dict.fromkeys(name for one in result.contestants for name in one.summary.by_field)
    if not known:
        return NOTHING
    blocks = "".join(_field(name, result, t) for name in known)
    return Html(
        f'<details class="fields" open><summary><b>{escape(t("test_fields"))}</b></summary>'
        f'<div class="bars">{blocks}</div></details>'
    )


def _field(name: str, result: Result, t: Translator) -> str:
    rows = ""
    for one in result.contestants:
        rate = one.summary.by_field.get(name)
        if rate is not None:
            share = 100 * rate.value
            rows += (
                f'<span class="quiet">{escape(one.name)}</span>'
                f'<div class="rail"><div style="width:{share:.1f}%"></div></div><span>{share:.0f} %</span>'
            )
    head = escape(answer_view.place_name(name) or t("compare_whole"))
    return f'<div class="field"><b>{head}</b>{rows}</div>'


# --- matrix ----------------------------------------------------------------------------------------------


def matrix(shown: Shown | None, view: View, t: Translator) -> Html:
    """Filters, one page of cases, and the way to other pages."""
    if shown is None or not shown.result.contestants:
        return NOTHING
    found = Matrix(shown.result)
    wanted = view.wanted if view.wanted in found.filters() else "all"
    cases = found.found[wanted]
    pages = max(1, -(-len(cases) // PAGE))
    view.page = min(max(view.page, 0), pages - 1)
    rows = "".join(_case_row(case, found, view, t) for case in cases[view.page * PAGE : (view.page + 1) * PAGE])
    heads = "".join(f"<th>{escape(one.name)}</th>" for one in shown.result.contestants)
    body = (
        f'<div class="matrix"><table><thead><tr><th>{escape(t("test_case"))}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        if rows
        else f'<p class="quiet">{escape(t("test_no_match"))}</p>'
    )
    return Html(f'<div class="suite-part">{_filters(found, wanted, t)}{body}{_pages(view.page, pages, t)}</div>')


def _filters(found: Matrix, wanted: str, t: Translator) -> str:
    names = found.result.contestants
    about = t("test_filter_about", first=names[0].name, last=names[-1].name)
    buttons = "".join(
        f'<button type="button" data-do="filter" data-wanted="{name}" aria-pressed="{str(name == wanted).lower()}" '
        f'title="{escape(about)}">{escape(t(FILTERS[name]))} {len(found.found[name])}</button>'
        for name in found.filters()
    )
    return f'<div class="filters">{buttons}</div>'


def _pages(page: int, pages: int, t: Translator) -> str:
    if pages < 2:
        return ""
    back, on = " disabled" if page == 0 else "", " disabled" if page + 1 >= pages else ""
    return (
        f'<div class="filters"><button type="button" data-do="page" data-page="{page - 1}"{back} '
        f'aria-label="{escape(t("previous_page"))}">‹</button>'
        f'<span class="quiet">{escape(t("page_of", page=page + 1, pages=pages))}</span>'
        f'<button type="button" data-do="page" data-page="{page + 1}"{on} '
        f'aria-label="{escape(t("next_page"))}">›</button></div>'
    )


def _case_row(case: Case, found: Matrix, view: View, t: Translator) -> str:
    marks = "".join(f'<td class="marks">{_mark(name, t)}</td>' for name in found.marks(case.id))
    here = ' aria-current="true"' if case.id == view.case else ""
    leaked = f" {badge('warn', t('test_leaked_case'))}" if case.id in found.result.leaked else ""
    preview = " ".join(case.question.split())[:160]
    return (
        f'<tr{here}><td><button type="button" class="link" data-do="open" data-case="{escape(case.id)}">'
        f'{escape(case.id)}</button>{leaked}<span class="preview">{escape(preview)}</span></td>{marks}</tr>'
    )


def _mark(name: str, t: Translator) -> Html:
    kind, key = MARKS[name]
    return Html(f'<i class="{kind}">{SIGNS[kind]}</i> {escape(t(key))}')


# --- one case --------------------------------------------------------------------------------------------


def case_part(shown: Shown | None, view: View, t: Translator) -> Html:
    """The question, what was expected, and what everybody answered, value by value."""
    case = open_case(shown, view)
    if shown is None or case is None:
        return Html(f'<p class="quiet">{escape(t("test_open_hint"))}</p>') if shown else NOTHING
    result = shown.result
    turns = "".join(_turn(message, t) for message in case.messages(result.suite))
    answers = "".join(_answer(one, case, t) for one in result.contestants)
    pressed = "true" if view.keeping else "false"
    head = (
        f'<div class="filters"><b>{escape(case.id)}</b> '
        f'<span class="quiet">{escape(" · ".join(case.tags))}</span><span class="push"></span>'
        f"{_step(result, view, -1, '‹', t('test_previous'))}{_step(result, view, 1, '›', t('test_next'))}</div>"
    )
    return Html(
        f'<div class="suite-part case">{head}{turns}'
        f'<h3>{escape(t("compare_wanted"))}</h3><pre class="reply expected">{escape(_expected(case, result))}</pre>'
        f"{answers}"
        f'<button type="button" data-do="keep" aria-pressed="{pressed}">{escape(t("compare_keep"))}</button></div>'
    )


def open_case(shown: Shown | None, view: View) -> Case | None:
    """The case that is open, if the chosen result has it."""
    return shown.result.suite.by_id.get(view.case) if shown is not None else None


def _step(result: Result, view: View, by: int, sign: str, label: str) -> str:
    found = Matrix(result)
    ids = [case.id for case in found.found.get(view.wanted, found.cases)]
    at = ids.index(view.case) + by if view.case in ids else -1
    there = 0 <= at < len(ids)
    name = escape(ids[at]) if there else ""
    return (
        f'<button type="button" data-do="open" data-case="{name}" title="{escape(label)}" aria-label="{escape(label)}"'
        f"{'' if there else ' disabled'}>{sign}</button>"
    )


def _turn(message: Message, t: Translator) -> str:
    role, text = message["role"], escape(message["content"])
    name = escape(t(f"role_{role}"))
    if role == "system":
        return f'<details class="turn"><summary>{name}</summary><p>{text}</p></details>'
    return f'<div class="turn {escape(role)}"><b>{name}</b><p dir="auto">{text}</p></div>'


def _expected(case: Case, result: Result) -> str:
    if result.suite.is_json:
        return json.dumps(case.expected, ensure_ascii=False, indent=2)
    wanted = case.expected if isinstance(case.expected, str) else "\n".join(case.expected)
    return f"{case.rule}: {wanted}"


def _answer(one: ContestantResult, case: Case, t: Translator) -> str:
    score = next((score for score in one.scores if score.case_id == case.id), None)
    answered = one.answers.get(case.id)
    kind, key = MARKS[mark_of(score)]
    head = f'<div class="who"><b>{escape(one.name)}</b> {badge(kind, t(key))}</div>'
    if answered is None or score is None:
        return f'<section class="column">{head}</section>'
    answer = answered.answer
    if answer.error:
        failed = notice("bad", t("compare_failed"), answer.error_in(t.language))
        return f'<section class="column">{head}{failed}</section>'
    chips = _chips(score, t)
    if answer.tokens:
        chips += badge("none", t("compare_tokens", number=answer.tokens), t("compare_tokens_about"))
    text = escape(answer.text) if answer.text else Html(f'<span class="quiet">{escape(t("compare_no_words"))}</span>')
    wrong = answer_view.differences(score.fields, t)
    everything = ""
    if score.fields and any(field.ok for field in score.fields):
        full = answer_view.differences([field for field in score.fields if field.ok], t, everything=True)
        everything = f"<details><summary>{escape(t('test_right_values'))}</summary>{full}</details>"
    return (
        f'<section class="column">{head}<pre class="reply" dir="auto">{text}</pre><div class="chips">{chips}</div>'
        f"{answer_view.violation_list(score.violations, t)}{wrong}{everything}</section>"
    )


def _chips(score: CaseScore, t: Translator) -> str:
    chips = ""
    if score.rung is not None:
        chips += answer_view.rung(score.rung, t)
        if score.parsed:
            chips += badge("ok", t("compare_schema_ok")) if score.schema_valid else badge("bad", t("test_schema_bad"))
        if score.fields:
            chips += answer_view.values_right(score.fields, t)
    return chips + answer_view.flags(score.flags, t)


def seconds_left(event: dict[str, object], t: Translator) -> str:
    """What a progress event says of one contestant: done of how many, and the time left for it."""
    said = t("test_progress", name=event.get("contestant", ""), done=event.get("done", 0), number=event.get("total", 0))
    left = event.get("seconds_left")
    return f"{said}, {t('time_left', time=duration(t, left))}" if isinstance(left, int | float) else said
