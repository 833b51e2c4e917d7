"""The matrix of cases and contestants as HTML: filters, search, one page of cases. Everything read is escaped."""

from __future__ import annotations

from collections.abc import Mapping

from qwenlab.evals import words
from qwenlab.evals.result import ContestantResult
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import Case
from qwenlab.ui import answer_view
from qwenlab.ui.components import NOTHING, Html, badge, escape
from qwenlab.ui.matrix import PAGE, PAIRED, Matrix, View, languages, mark_of, tags
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

MARKS = {
    "passed": ("ok", "✓", "test_mark_passed"),
    "wrong": ("warn", "≠", "test_mark_wrong"),
    "unusable": ("bad", "✗", "test_mark_unusable"),
    "error": ("bad", "!", "test_mark_error"),
    "partly": ("warn", "◐", "test_mark_partly"),
    "unjudged": ("warn", "?", "test_mark_unjudged"),
    "waiting": ("none", "·", "test_mark_waiting"),
}
"""Colour, sign and words of where an answer stands: the signs differ in shape, so colour is not needed."""
USUAL = {"passed", "wrong", "unusable", "error", "waiting"}
"""Marks that the legend always explains; the others where they are seen."""
WORDS = {
    "all": "test_filter_all",
    "broken": "test_filter_broken",
    "fixed": "test_filter_fixed",
    "both_wrong": "test_filter_both_wrong",
    "both_right": "test_filter_both_right",
    "all_right": "test_filter_all_right",
    "format": "test_filter_format",
    "content": "test_filter_content",
    "enforced": "test_filter_enforced",
    "errors": "test_filter_errors",
    "unjudged": "test_filter_unjudged",
    "leaked": "test_filter_leaked",
}
ALONE = {"both_wrong": "test_filter_wrong", "both_right": "test_filter_right"}
"""What these filters are called where there is only one contestant."""
RUNGS = {"fenced": "test_rung_fenced", "extracted": "test_rung_extracted", "repaired": "test_rung_repaired"}
GROUPS = ("test_group_broken", "test_group_fixed", "test_group_others")
MOST_REASONS = 3
"""Wrong values that a cell tells the mouse."""


def matrix(shown: Shown | None, view: View, t: Translator) -> Html:
    """Filters, search, one page of cases, and the way to other pages."""
    if shown is None or not shown.result.contestants:
        return NOTHING
    found = Matrix(shown.result, view)
    view.page = min(max(view.page, 0), max(0, -(-len(found.listed) // PAGE) - 1))
    return Html(
        f'<div class="suite-part">{_filters(found, t)}{_narrowing(found, view, t)}{_table(found, view, t)}'
        f"{_pages(view.page, len(found.listed), t)}{_legend(found, t)}</div>"
    )


def filter_name(name: str, found: Matrix, t: Translator) -> str:
    """What a filter is called here."""
    return t(ALONE[name] if found.pair is None and name in ALONE else WORDS[name])


# --- what is shown ---------------------------------------------------------------------------------------


def _filters(found: Matrix, t: Translator) -> str:
    names = [one.name for one in found.result.contestants]
    first, last = names[found.reference], names[found.judged]
    about = t("test_filter_about", first=first, last=last) if found.pair else ""
    buttons = "".join(
        f'<button type="button" data-do="choose" data-part="wanted" data-value="{name}" '
        f'aria-pressed="{str(name == found.wanted).lower()}" title="{escape(about)}">'
        f"{escape(filter_name(name, found, t))} {len(found.found[name]):,}</button>"
        for name in found.filters()
    )
    return f'<div class="filters" role="group" aria-label="{escape(t("test_filters"))}">{buttons}</div>'


def _narrowing(found: Matrix, view: View, t: Translator) -> str:
    hint, words_now = escape(t("test_search")), escape(view.words)
    search = (
        f'<input type="search" data-do="choose" data-part="words" data-value="{words_now}" value="{words_now}" '
        f'placeholder="{hint}" aria-label="{hint}">'
    )
    named = {"en": t("test_language_en"), "zh": t("test_language_zh")}
    spoken = {code: named.get(code, code) for code in languages(found.result)}
    choices = _select("language", view.language, spoken, t("test_all_languages"), t) if len(spoken) > 1 else ""
    known = tags(found.result)
    labels = {tag: f"{tag} ({number:,})" for tag, number in sorted(known.items())}
    choices += _select("tag", view.tag, labels, t("test_all_tags"), t) if known else ""
    field = ""
    if view.field:
        name = answer_view.place_name(view.field) or t("compare_whole")
        field = (
            f'<button type="button" data-do="choose" data-part="field" data-value="" '
            f'title="{escape(t("test_field_off"))}">{escape(t("test_field_wrong", name=name))} ×</button>'
        )
    return f'<div class="filters">{search}{choices}{field}</div>'


def _select(part: str, chosen: str, labels: Mapping[str, str], every: str, t: Translator) -> str:
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(label)}</option>'
        for value, label in {"": every, **labels}.items()
    )
    return (
        f'<select data-do="choose" data-part="{part}" data-value="{escape(chosen)}" aria-label="{escape(every)}">'
        f"{options}</select>"
    )


def _legend(found: Matrix, t: Translator) -> str:
    seen = {mark(one, score) for one in found.result.contestants for score in one.scores} | USUAL
    marks = "".join(
        f'<span><i class="{kind}">{sign}</i> {escape(t(key))}</span>'
        for name, (kind, sign, key) in MARKS.items()
        if name in seen
    )
    return f'<p class="legend quiet">{marks}<span>{escape(t("test_cell_about"))}</span></p>'


def _pages(page: int, number: int, t: Translator) -> str:
    pages = -(-number // PAGE)
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


# --- the cases -------------------------------------------------------------------------------------------


def _table(found: Matrix, view: View, t: Translator) -> str:
    cases = found.listed[view.page * PAGE : (view.page + 1) * PAGE]
    if not cases:
        return f'<p class="quiet">{escape(t("test_no_match"))}</p>'
    heads = "".join(_head(at, found, t) for at in range(len(found.scores)))
    rows, group = "", -1
    grouped = found.wanted == "all" and any(found.found[name] for name in PAIRED)
    for case in cases:
        if grouped and found.flip(case.id) != group:
            group = found.flip(case.id)
            rows += _group(group, found, t)
        rows += _row(case, found, view, t)
    return (
        f'<div class="matrix"><table><thead><tr><th>{escape(t("test_case"))}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _head(at: int, found: Matrix, t: Translator) -> str:
    name = found.result.contestants[at].name
    part = ""
    if found.pair is not None and at in (found.reference, found.judged):
        part = f"<small>{escape(t('test_reference' if at == found.reference else 'test_judged'))}</small>"
    return f'<th title="{escape(name)}"><span>{escape(name)}</span>{part}</th>'


def _group(group: int, found: Matrix, t: Translator) -> str:
    name = found.result.contestants[found.judged].name
    number = len(found.cases) - sum(len(found.found[one]) for one in PAIRED)
    number = len(found.found[PAIRED[group]]) if group < len(PAIRED) else number
    said = escape(t(GROUPS[group], name=name, number=number))
    return f'<tr class="group"><th colspan="{len(found.scores) + 1}">{said}</th></tr>'


def _row(case: Case, found: Matrix, view: View, t: Translator) -> str:
    cells = "".join(_cell(one, found.score(at, case.id), case, t) for at, one in enumerate(found.result.contestants))
    here = ' aria-current="true"' if case.id == view.case else ""
    leaked = f" {badge('warn', t('test_leaked_case'))}" if case.id in found.result.leaked else ""
    preview = " ".join(case.question.split())[:160]
    return (
        f'<tr{here}><td><button type="button" class="link" data-do="open" data-case="{escape(case.id)}">'
        f'{escape(case.id)}</button>{leaked}<span class="preview">{escape(preview)}</span></td>{cells}</tr>'
    )


def _cell(one: ContestantResult, score: CaseScore | None, case: Case, t: Translator) -> str:
    kind, sign, key = MARKS[mark(one, score)]
    said = short(score, t)
    known = one.repeats.cases[case.id] if one.repeats else None
    if known is not None:  # the mark is of all answers, and so are the words
        said = t("test_times", passed=known.passed, number=known.n)
    return (
        f'<td class="marks" title="{escape(_tip(score, t))}"><i class="{kind}" role="img" '
        f'aria-label="{escape(t(key))}">{sign}</i> {escape(said)}</td>'
    )


def mark(one: ContestantResult, score: CaseScore | None) -> str:
    """Where a contestant stands on a case; "partly" where some of its answers pass, and some do not."""
    known = one.repeats.cases[score.case_id] if one.repeats and score else None
    if known is not None and 0 < known.passed < known.n:
        return "partly"
    return mark_of(score)


def short(score: CaseScore | None, t: Translator) -> str:
    """An answer in a few signs: how many values are right, and its form where that is not strict JSON."""
    if score is None or score.errored or score.unjudged:
        return ""
    parts = []
    if score.rung == "none":
        return t("test_rung_none")
    if score.fields and score.parsed:
        parts.append(f"{sum(field.ok for field in score.fields)}/{len(score.fields)}")
    if score.rung in RUNGS:
        parts.append(t(RUNGS[score.rung]))
    elif score.rung == "strict" and not score.schema_valid:
        parts.append(t("test_rung_schema"))
    elif not score.usable and "truncated" in score.flags:
        parts.append(t("test_rung_cut"))
    return " ".join(parts)


def _tip(score: CaseScore | None, t: Translator) -> str:
    """An answer in words: where it stands, its form, and the first of its wrong values."""
    said = [t(MARKS[mark_of(score)][2])]
    if score is not None and score.unjudged:
        said.append(getattr(score.unjudged, t.language))
    elif score is not None and not score.errored:
        said += [words.describe_rung(score.rung, t.language)] if score.rung else []
        said += [words.describe_flag(flag, t.language) for flag in score.flags]
        said += [answer_view.violation(one, t) for one in score.violations[:MOST_REASONS]]
        wrong = [field for field in score.fields if not field.ok and field.code != "unreadable"]
        colon = "：" if t.language == "zh" else ": "
        said += [
            f"{answer_view.place_name(field.pointer) or t('compare_whole')}{colon}{words.explain(field, t.language)}"
            for field in wrong[:MOST_REASONS]
        ]
        if len(wrong) > MOST_REASONS:
            said.append(t("test_more_wrong", number=len(wrong) - MOST_REASONS))
    return "\n".join(said)
