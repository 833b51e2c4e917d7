"""A test result at a glance as HTML: scoreboard, verdicts, thresholds, leaks, and each field. Everything is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from qwenlab.evals import gates, words
from qwenlab.evals.history import read_history
from qwenlab.evals.leaks import Leak
from qwenlab.evals.rates import Rate
from qwenlab.evals.remarks import remarks
from qwenlab.evals.result import ContestantResult, Result
from qwenlab.ui import answer_view, past_view, verdict_view
from qwenlab.ui.components import NOTHING, Html, badge, escape, fold, notice, table
from qwenlab.ui.matrix import View, pair
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

REPORTS = {"html": "HTML", "markdown": "Markdown", "csv": "CSV", "junit": "JUnit XML", "json": "JSON"}
MEASURES = ("passed", "pass_all", "agreement", "strict", "usable", "field_accuracy", "document_exact")
KNOWN = {"exact": "test_leaked_exact", "near": "test_leaked_near", "burned": "test_leaked_burned"}
TIPS = {
    "passed": "test_about_passed",
    "pass_all": "test_about_pass_all",
    "agreement": "test_about_agreement",
    "strict": "test_about_strict",
    "usable": "test_about_usable",
    "field_accuracy": "test_about_field_accuracy",
    "document_exact": "test_about_document_exact",
}


def overview(workspace: Workspace, shown: Shown | None, view: View, t: Translator, chosen: bool = False) -> Html:
    """Scoreboard, verdicts in words, the way to int4, thresholds, leaks, and accuracy by field, by slice and over time.

    Args:
        chosen: whether a result is chosen that has nothing to show yet.
    """
    if shown is None:
        return Html(f'<p class="quiet">{escape(t("test_no_answers" if chosen else "test_none"))}</p>')
    result = shown.result
    if not any(one.scores for one in result.contestants):
        return Html(f'<p class="quiet">{escape(t("test_no_answers"))}</p>')
    return Html(
        f'<div class="suite-part">{_reports(result, t)}{_scoreboard(result, t)}{_gates(result, t)}'
        f"{verdict_view.verdicts(shown, view, t)}{_remarks(result, t)}"
        f"{verdict_view.way(shown.steps, t)}{_leaks(shown, t)}{_fields(result, view, t)}"
        f"{past_view.slices_table(shown.parts, t)}"
        f"{past_view.over_time(read_history(workspace.results, result.suite.name), result, view, t)}</div>"
    )


def _reports(result: Result, t: Translator) -> Html:
    """Links to the report in every form, once somebody was asked every case."""
    if not any(one.complete for one in result.contestants):
        return NOTHING
    links = " ".join(
        f'<a href="/download/result/{quote(result.folder.name)}/{form}" download>{name}</a>'
        for form, name in REPORTS.items()
    )
    return Html(f'<p class="links">{escape(t("test_report"))} {links}</p>')


def _scoreboard(result: Result, t: Translator) -> Html:
    measures = [one for one in MEASURES if any(contestant.summary.rates.get(one) for contestant in result.contestants)]
    headers: list[object] = [words.measure_name("contestant", t.language), words.measure_name("n", t.language)]
    headers += [_tip(words.measure_name(one, t.language), t(TIPS[one])) for one in measures]
    headers += [words.measure_name("errors", t.language), words.measure_name("tokens_per_s", t.language)]
    if any(one.summary.unjudged for one in result.contestants):
        headers.insert(-1, _tip(words.measure_name("unjudged", t.language), t("test_unjudged_about")))
    rows = [_row(one, result, measures, t) for one in result.contestants]
    about = f'<p class="quiet">{escape(t("test_intervals"))}</p>'
    return Html(table(headers, rows, numeric=range(1, len(headers))) + about)


def _tip(name: str, about: str) -> Html:
    return Html(f'<span title="{escape(about)}">{escape(name)}</span>')


def _row(one: ContestantResult, result: Result, measures: list[str], t: Translator) -> list[object]:
    name = Html(f"<b>{escape(one.name)}</b>")
    if not one.complete:
        number = len(result.suite.cases) * result.suite.generation.repeats
        words_so_far = t("test_so_far", done=one.cached + one.fresh, number=number)
        name = Html(f"{name} {badge('busy', words_so_far)}")
    speed = f"{one.tokens_per_s:.1f}" if one.tokens_per_s is not None else "–"
    failed = [one.summary.unjudged] if any(other.summary.unjudged for other in result.contestants) else []
    rates = (_rate(one.summary.rates.get(key)) for key in measures)
    return [name, one.summary.n, *rates, one.summary.errors, *failed, speed]


def _rate(found: Rate | None) -> Html:
    """A rate with its interval, drawn below it on a line from 0 to 100 %."""
    if found is None:
        return Html('<span class="quiet">–</span>')
    low, high, at = 100 * found.low, 100 * found.high, 100 * found.value
    line = (
        f'<span class="range"><i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<b style="left:{at:.1f}%"></b></span>'
    )
    return Html(f'<span class="rate">{at:.1f} %<small>{low:.0f}–{high:.0f}</small>{line}</span>')


def _gates(result: Result, t: Translator) -> Html:
    """The gates of the suite and of the command line, once everybody has answered."""
    if not result.contestants or not result.complete:
        return NOTHING
    lines = [badge("ok" if gate.passed else "bad", gates.sentence(gate, t.language)) for gate in gates.judge(result)]
    return Html(f'<div class="verdicts">{"".join(lines)}</div>') if lines else NOTHING


def _remarks(result: Result, t: Translator) -> Html:
    said = remarks(result, t.language)
    if any(one.cached for one in result.contestants):
        said.append(t("test_fresh_hint"))
    items = "".join(f"<li>{escape(one)}</li>" for one in said)
    return Html(f'<ul class="remarks">{items}</ul>') if items else NOTHING


def _leaks(shown: Shown, t: Translator) -> Html:
    result = shown.result
    if not result.leaked:
        return NOTHING
    known = [_known(name, found, t) for name, found in shown.leaks.items() if found]
    passed = "; ".join(f"{one.name}: {one.summary.leaked_passed}" for one in result.contestants if one.summary.leaked)
    remedy = t("test_leaked_passed", passed=passed)
    if result.leaked >= result.suite.by_id.keys():
        remedy += " " + t("test_leaked_none_left")
    return notice("warn", t("test_leaked", number=len(result.leaked)), " ".join([*known, remedy]))


def _known(name: str, found: Sequence[Leak], t: Translator) -> str:
    """How many cases a contestant knows, and how."""
    counts = Counter(leak.how for leak in found)
    ways = [t(KNOWN[how], number=number) for how, number in counts.items()]
    return t("test_leaked_by", name=name, number=len(found), ways=("、" if t.language == "zh" else ", ").join(ways))


def _fields(result: Result, view: View, t: Translator) -> Html:
    """A bar per field and contestant; a click lists the cases in which the judged one has it wrong."""
    known = dict.fromkeys(name for one in result.contestants for name in one.summary.by_field)
    if not known:
        return NOTHING
    places = pair(result, view)
    judged = result.contestants[places[1] if places else -1]
    blocks = "".join(_field(name, result, judged, view, t) for name in known)
    return fold("fields", t("test_fields") + _weakest(judged, t), Html(f'<div class="bars">{blocks}</div>'))


def _weakest(judged: ContestantResult, t: Translator) -> str:
    """The field that the judged contestant has wrong most often, for the line that is seen while all is folded."""
    rates = judged.summary.by_field
    if not rates:
        return ""
    name = min(rates, key=lambda one: rates[one].value)
    place = answer_view.place_name(name) or t("compare_whole")
    return t("test_weakest", name=place, value=f"{100 * rates[name].value:.0f}", contestant=judged.name)


def _field(name: str, result: Result, judged: ContestantResult, view: View, t: Translator) -> str:
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
    pressed = view.field == name
    button = (
        f'<button type="button" class="link" data-do="choose" data-part="field" '
        f'data-value="{"" if pressed else escape(name)}" aria-pressed="{str(pressed).lower()}" '
        f'title="{escape(t("test_field_about", name=judged.name))}">{head}</button>'
    )
    return f'<div class="field"><b>{button}</b>{rows}</div>'
