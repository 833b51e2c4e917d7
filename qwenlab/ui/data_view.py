"""The Data tab as HTML: the list of samples and the open conversation. Every text of a file is escaped."""

from __future__ import annotations

import json

from qwenlab.conversations import checks
from qwenlab.conversations.checks import Problem
from qwenlab.conversations.sample import ROLES, Sample, Turn
from qwenlab.ui.components import NOTHING, SIGNS, Html, badge, escape, notice
from qwenlab.ui.editor import EditorState, Verdict, looks_like_json
from qwenlab.ui.texts import Translator

LISTED_PROBLEMS = 50


def _button(do: str, label: str, words: str = "", off: bool = False, extra: str = "") -> str:
    """A button that sends `do`; an icon alone still has its words for screen readers."""
    return (
        f'<button type="button" data-do="{do}" title="{escape(label)}" aria-label="{escape(label)}"'
        f"{' disabled' if off else ''} {extra}>{escape(words or label)}</button>"
    )


def sample_list(state: EditorState, t: Translator) -> Html:
    """Search, filter, what the check found, one page of rows, and the way to other pages."""
    problems = state.document.problems()
    worst: dict[int, str] = {}
    for problem in problems:
        kind = "bad" if problem.severity == "error" else "warn"
        if worst.get(problem.sample_index) != "bad":
            worst[problem.sample_index] = kind
    rows = "".join(_row(state, index, worst.get(index)) for index in state.rows())
    found, all_samples = len(state.matches()), len(state.document.samples)
    nothing = f'<p class="quiet">{escape(t("no_match") if all_samples else t("empty_set"))}</p>'
    return Html(
        f'<div class="samples"><div class="bar">'
        f'<input type="search" data-part="search" placeholder="{escape(t("search"))}" '
        f'aria-label="{escape(t("search"))}" value="{escape(state.search)}">'
        f'{_filter(state, t)}<span class="count">{escape(t("found", number=found, all=all_samples))}</span></div>'
        f'<div class="bar">{_button("page_back", t("previous_page"), "‹", state.page == 0)}'
        f'<span class="quiet">{escape(t("page_of", page=state.page + 1, pages=state.pages()))}</span>'
        f"{_button('page_on', t('next_page'), '›', state.page + 1 >= state.pages())}"
        f'<span class="push"></span>{_button("check", t("check_all"))}{_button("new", t("new_sample"))}</div>'
        f'{_problem_list(state, problems, t)}<div class="rows">{rows or nothing}</div></div>'
    )


def _filter(state: EditorState, t: Translator) -> str:
    counts = state.counts()
    options = [("", t("filter_all")), ("any", t("filter_any", number=counts["any"]))]
    for code in sorted(counts.keys() - {"any"}):
        options.append((code, f"{t('kind_' + code)} ({counts[code]})"))
    if state.wanted and state.wanted not in dict(options):
        options.append((state.wanted, f"{t('kind_' + state.wanted)} (0)"))
    return (
        f'<select data-part="wanted" aria-label="{escape(t("filter_all"))}" data-value="{escape(state.wanted)}">'
        + "".join(
            f'<option value="{escape(value)}"{" selected" if value == state.wanted else ""}>{escape(words)}</option>'
            for value, words in options
        )
        + "</select>"
    )


def _row(state: EditorState, index: int, kind: str | None) -> str:
    sample = state.document.samples[index]
    mark = f'<i class="{kind}">{SIGNS[kind]}</i>' if kind else '<i class="ok">✓</i>'
    here = ' aria-current="true"' if index == state.at else ""
    return (
        f'<button type="button" class="row" data-do="open" data-index="{index}"{here}>'
        f'<span class="no">{index + 1}</span>'
        f'<span class="preview">{escape(_preview(sample))}</span>'
        f"{mark}</button>"
    )


def _preview(sample: Sample) -> str:
    """The first words a user says; of a broken sample, the beginning of what stands there."""
    text = next((turn.text for turn in sample.turns if turn.role == "user"), "")
    if sample.broken():
        text = json.dumps(sample.raw, ensure_ascii=False)
    return " ".join(text[:300].split())[:110] or sample.id or "-"


def _problem_list(state: EditorState, problems: list[Problem], t: Translator) -> str:
    if not problems:
        return ""
    lines = "".join(
        f'<li><button type="button" class="link" data-do="open" data-index="{problem.sample_index}">'
        f"{problem.sample_index + 1} {escape(problem.sample_id)}</button> "
        f"{escape(checks.describe(problem, t.language))}</li>"
        for problem in problems[:LISTED_PROBLEMS]
    )
    rest = len(problems) - LISTED_PROBLEMS
    more = f"<li>{escape(t('more_problems', number=rest))}</li>" if rest > 0 else ""
    words = t("check_found", number=len(state.document.samples), bad=state.counts()["any"])
    return f'<details class="problems"><summary>{badge("warn", words)}</summary><ul>{lines}{more}</ul></details>'


def conversation(state: EditorState, t: Translator, message: Html = NOTHING, seq: int = 0) -> Html:
    """The open conversation with everything that can be done to it.

    Args:
        state: what this window looks at; it notes which sample is shown.
        message: a box to show above the turns.
        seq: the number of the last thing the page sent, so that it keeps words typed after it.
    """
    sample = state.sample
    state.shown = sample
    if sample is None:
        body = f'<p class="quiet">{escape(t("empty_set"))}</p>{_button("new", t("new_sample"))}'
    elif sample.broken():
        body = _raw(sample, t)
    else:
        verdicts = state.verdicts()
        body = "".join(_turn(turn, at, len(sample.turns), verdicts[at], t) for at, turn in enumerate(sample.turns))
        body += _below(sample, t)
    problems = _sample_problems(state, sample, t) if sample is not None else ""
    return Html(
        f'<div class="conversation" data-seq="{seq}" data-open="{state.at}">{_toolbar(state, sample, t)}'
        f"{message}{problems}{body}</div>"
    )


def _toolbar(state: EditorState, sample: Sample | None, t: Translator) -> str:
    document = state.document
    where = t("sample_at", number=state.at + 1, all=len(document.samples)) if sample is not None else ""
    if document.dataset.edited:
        saved = badge("warn", t("unsaved"))
    elif document.saved:
        saved = badge("ok", t("saved_at", time=f"{document.saved:%H:%M:%S}"))
    else:
        saved = Html(f'<span class="quiet">{escape(t("unchanged"))}</span>')
    name = ""
    if sample is not None and not sample.broken():
        name = (
            f'<input data-part="id" class="id" value="{escape(sample.id)}" aria-label="{escape(t("sample_id"))}" '
            f'title="{escape(t("sample_id"))}">'
        )
    return (
        f'<div class="bar top">{_button("previous", t("previous"), "‹")}{_button("next", t("next"), "›")}'
        f'<span class="quiet">{escape(where)}</span>{name}<span class="push"></span>'
        f"{_button('undo', t('undo'), off=not document.can_undo)}"
        f"{_button('redo', t('redo'), off=not document.can_redo)}"
        f'<span class="saved">{saved}</span>'
        f"{_button('save', t('save'), off=not document.dataset.edited, extra='class=primary')}</div>"
    )


def _turn(turn: Turn, at: int, turns: int, verdicts: list[Verdict], t: Translator) -> str:
    roles = [*ROLES] if turn.role in ROLES else [*ROLES, turn.role]
    options = "".join(
        f'<option value="{escape(role)}"{" selected" if role == turn.role else ""}>'
        f"{escape(t('role_' + role) if role in ROLES else role)}</option>"
        for role in roles
    )
    fine = "".join(badge("ok", t(one.code)) for one in verdicts if one.kind == "ok")
    wrong = "".join(_wrong(one, t) for one in verdicts if one.kind != "ok")
    shape = turn.role == "assistant" and looks_like_json(turn.text)
    tools = (
        (_button("pretty", t("pretty"), "{ }") if shape else "")
        + _button("up", t("turn_up"), "↑", at == 0)
        + _button("down", t("turn_down"), "↓", at == turns - 1)
        + _button("drop", t("turn_delete"), "×")
    )
    return (
        f'<div class="turn {escape(turn.role) if turn.role in ROLES else "other"}" data-turn="{at}">'
        f'<div class="bar"><select data-part="role" aria-label="{escape(t("role"))}" data-value="{escape(turn.role)}">'
        f"{options}</select>{fine}"
        f'<span class="push"></span>{tools}</div>'
        # The parser drops a line break right after the tag, so one stands there for it to drop.
        f'<textarea data-part="text" rows="1" spellcheck="false" class="{"code" if shape else "words"}" '
        f'aria-label="{escape(t("turn_text", number=at + 1))}">\n{escape(turn.text)}</textarea>{wrong}</div>'
    )


def _wrong(verdict: Verdict, t: Translator) -> str:
    what, remedy = checks.explain(verdict.code, verdict.detail, t.language)
    return f'<p class="{verdict.kind}"><i>{SIGNS[verdict.kind]}</i> {escape(what)} {escape(remedy)}</p>'


def _sample_problems(state: EditorState, sample: Sample, t: Translator) -> str:
    """What concerns the sample as a whole; turns carry their own verdicts."""
    found = [
        problem
        for problem in state.document.problems()
        if problem.sample_index == state.at
        and problem.sample_id == sample.id
        and (problem.turn_index is None or problem.code == "contradiction")
    ]
    return "".join(
        notice(
            "bad" if problem.severity == "error" else "warn", *checks.explain(problem.code, problem.detail, t.language)
        )
        for problem in found
    )


def _raw(sample: Sample, t: Translator) -> str:
    text = json.dumps(sample.raw, ensure_ascii=False, indent=2)
    return (
        f'<p>{escape(t("raw_sample"))}</p><div class="turn other"><textarea data-part="raw" class="code" rows="6" '
        f'spellcheck="false" aria-label="{escape(t("raw_sample"))}">\n{escape(text)}</textarea></div>'
        f'<div class="bar">{_button("delete", t("delete_sample"))}</div>'
    )


def _below(sample: Sample, t: Translator) -> str:
    has_system = any(turn.role == "system" for turn in sample.turns)
    adds = "" if has_system else _button("add", t("add_system"), extra='data-role="system"')
    adds += _button("add", t("add_user"), extra='data-role="user"')
    adds += _button("add", t("add_assistant"), extra='data-role="assistant"')
    return (
        f'<div class="bar">{adds}<span class="push"></span>{_button("duplicate", t("duplicate"))}'
        f'{_button("delete", t("delete_sample"))}</div><p class="quiet keys">{escape(t("keys"))}</p>'
    )


def conflict(what: str, remedy: str, t: Translator) -> Html:
    """The file changed on disk: what can be done about it, as buttons."""
    buttons = (
        _button("save_copy", t("save_copy")) + _button("overwrite", t("overwrite")) + _button("reload", t("reload"))
    )
    return notice("bad", what, Html(f'{escape(remedy)}<div class="bar">{buttons}</div>'))


def start_hint(t: Translator) -> Html:
    """The five steps, shown until a first run exists."""
    steps = ("start_data", "start_train", "start_compare", "start_test", "start_export")
    lines = "".join(f"<li>{_bold_first(t(step))}</li>" for step in steps)
    return Html(f'<details class="start" open><summary>{escape(t("start_title"))}</summary><ol>{lines}</ol></details>')


def _bold_first(text: str) -> str:
    head, colon, rest = text.partition("：" if "：" in text else ":")
    return f"<b>{escape(head)}</b>{escape(colon)}{escape(rest)}"
