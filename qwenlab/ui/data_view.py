"""The Data tab as HTML: the list of samples and the open conversation. Every text of a file is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qwenlab.conversations import checks, fixes
from qwenlab.conversations.checks import Problem
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import ROLES, Sample, Turn
from qwenlab.conversations.words import DataError
from qwenlab.ui import check_view, json_form
from qwenlab.ui.components import NOTHING, SIGNS, Html, badge, escape, notice
from qwenlab.ui.editor import DELETED, LENGTHS, SORTS, EditorState, Verdict, looks_like_json
from qwenlab.ui.texts import Translator

LISTED_DELETED = 200


def _button(do: str, label: str, words: str = "", off: bool = False, extra: str = "") -> str:
    """A button that sends `do`; an icon alone still has its words for screen readers."""
    return (
        f'<button type="button" data-do="{do}" title="{escape(label)}" aria-label="{escape(label)}"'
        f"{' disabled' if off else ''} {extra}>{escape(words or label)}</button>"
    )


def sample_list(state: EditorState, t: Translator) -> Html:
    """Search, filters, what the check found, one page of rows, and the way to other pages."""
    document = state.document
    if state.wanted == DELETED:
        rows, turning = _deleted_rows(state, t), ""
        found = len(document.deleted())
    else:
        rows = "".join(_row(state, index, t) for index in state.rows())
        found = len(state.matches())
        turning = (
            f"{_button('page_back', t('previous_page'), '‹', state.page == 0)}"
            f'<span class="quiet">{escape(t("page_of", page=state.page + 1, pages=state.pages()))}</span>'
            f"{_button('page_on', t('next_page'), '›', state.page + 1 >= state.pages())}"
        )
    number = len(document.samples)
    nothing = f'<p class="quiet">{escape(t("no_match") if number else t("empty_set"))}</p>'
    return Html(
        f'<div class="samples"><div class="bar">'
        f'<input type="search" data-part="search" placeholder="{escape(t("search"))}" '
        f'aria-label="{escape(t("search"))}" value="{escape(state.search)}">'
        f'<span class="count">{escape(t("found", number=f"{found:,}", all=f"{number:,}"))}</span></div>'
        f'<div class="bar">{_filter(state, t)}{_tag_filter(state, t)}{_sort(state, t)}</div>'
        f'<div class="bar">{turning}'
        f'<span class="push"></span>{_button("check", t("check_all"))}{_button("new", t("new_sample"))}</div>'
        f'{check_view.summary(state.document, t)}<div class="rows">{rows or nothing}</div></div>'
    )


def _select(part: str, label: str, chosen: str, options: Sequence[tuple[str, str]]) -> str:
    lines = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(words)}</option>'
        for value, words in options
    )
    return (
        f'<select data-part="{part}" aria-label="{escape(label)}" title="{escape(label)}" '
        f'data-value="{escape(chosen)}">{lines}</select>'
    )


def _filter(state: EditorState, t: Translator) -> str:
    counts = state.document.counts()
    options = [("", t("filter_all")), ("any", t("filter_any", number=counts["any"]))]
    for code in sorted(counts.keys() - {"any"}):
        options.append((code, f"{t('kind_' + code)} ({counts[code]})"))
    options += [(key, t("filter_" + key)) for key in ("edited", "noted", *LENGTHS, DELETED)]
    if state.wanted and state.wanted not in dict(options):
        options.append((state.wanted, f"{t('kind_' + state.wanted)} (0)"))
    return _select("wanted", t("filter"), state.wanted, options)


def _tag_filter(state: EditorState, t: Translator) -> str:
    tags = state.document.tags()
    if state.tag and state.tag not in tags:
        tags.append(state.tag)
    if not tags:
        return ""
    return _select("tag", t("filter_tag"), state.tag, [("", t("filter_no_tag")), *((tag, tag) for tag in tags)])


def _sort(state: EditorState, t: Translator) -> str:
    return _select("sort", t("sort"), state.sort, [(key, t("sort_" + key)) for key in (*SORTS, "newest")])


def _row(state: EditorState, index: int, t: Translator) -> str:
    known = state.document.facts[index]
    kind = _worst(known)
    mark = f'<i class="{kind}">{SIGNS[kind]}</i>' if kind else '<i class="ok">✓</i>'
    if not kind and known.findings is None:
        mark = f'<i title="{escape(t("not_checked"))}">{SIGNS["none"]}</i>'
    tags = "".join(f"<small>{escape(tag)}</small>" for tag in known.labels.tags[:3])
    here = ' aria-current="true"' if index == state.at else ""
    return (
        f'<button type="button" class="row" data-do="open" data-index="{index}"{here}>'
        f'<span class="no">{index + 1}</span>'
        f'<span class="preview">{escape(_preview(state.document.samples[index]))}</span>'
        f"{tags}{mark}</button>"
    )


def _worst(known: Facts) -> str | None:
    """The worst kind of problem of a sample, or None."""
    kinds = {checks.severity(code) for _, code, _ in known.problems}
    return "bad" if "error" in kinds else "warn" if kinds else None


def _deleted_rows(state: EditorState, t: Translator) -> str:
    return "".join(
        f'<div class="row"><span class="no">{index + 1}</span><span class="preview">{escape(_preview(sample))}</span>'
        f'<button type="button" data-do="restore" data-index="{number}">{escape(t("restore"))}</button></div>'
        for number, (index, sample) in enumerate(state.document.deleted()[:LISTED_DELETED])
    )


def _preview(sample: Sample) -> str:
    """The first words a user says; of a broken sample, the beginning of what stands there."""
    text = next((turn.text for turn in sample.turns if turn.role == "user"), "")
    if sample.broken():
        text = json.dumps(sample.raw, ensure_ascii=False)
    return " ".join(text[:300].split())[:110] or sample.id or "-"


def conversation(state: EditorState, t: Translator, message: Html = NOTHING, seq: int = 0) -> Html:
    """The open conversation with everything that can be done to it.

    Args:
        state: what this window looks at; it notes which sample is shown.
        message: a box to show above the turns.
        seq: the number of the last thing the page sent, so that it keeps words typed after it.
    """
    sample = state.sample
    state.shown = sample
    if state.document.orphan and not message:
        changed = DataError("file_changed", name=state.document.dataset.path.name)
        message = conflict(*changed.say(t.language), t)
    if sample is None:
        body = f'<p class="quiet">{escape(t("empty_set"))}</p>{_button("new", t("new_sample"))}'
    elif sample.broken():
        body = _raw(sample, t)
    else:
        verdicts = state.verdicts()
        turns = sample.turns
        body = "".join(_turn(state, turn, at, len(turns), verdicts[at], t) for at, turn in enumerate(turns))
        body += _below(sample, t) + _labels(sample, t)
    problems = _sample_problems(state, t) if sample is not None else ""
    return Html(
        f'<div class="conversation" data-seq="{seq}" data-open="{state.at}">{_toolbar(state, sample, t)}'
        f"{message}{problems}{body}</div>"
    )


def _toolbar(state: EditorState, sample: Sample | None, t: Translator) -> str:
    document = state.document
    where = t("sample_at", number=state.at + 1, all=len(document.samples)) if sample is not None else ""
    if document.edited and document.kept:
        saved = badge("ok", t("kept_at", time=f"{document.kept:%H:%M:%S}"), t("kept_about"))
    elif document.edited:
        saved = badge("warn", t("kept_before"), t("kept_about"))
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
        f"{_button('save', t('save'), off=not document.edited, extra='class=primary')}</div>"
    )


def _turn(state: EditorState, turn: Turn, at: int, turns: int, verdicts: list[Verdict], t: Translator) -> str:
    roles = [*ROLES] if turn.role in ROLES else [*ROLES, turn.role]
    options = "".join(
        f'<option value="{escape(role)}"{" selected" if role == turn.role else ""}>'
        f"{escape(t('role_' + role) if role in ROLES else role)}</option>"
        for role in roles
    )
    fine = "".join(badge("ok", t(one.code)) for one in verdicts if one.kind == "ok")
    sample = state.document.samples[state.at]
    schema = state.document.schema_for(sample.id) if turn.role == "assistant" else None
    typed = {pointer: error for (where, pointer), error in state.wrong.items() if where == at}
    form = json_form.form(turn.text, schema, at, t, typed) if state.shape == "form" else None
    if form is not None:  # its fields say themselves what breaks the schema
        verdicts = [one for one in verdicts if one.code != "schema"]
    wrong = "".join(_wrong(one, _fix(state, one.code, at, one.detail, t), t) for one in verdicts if one.kind != "ok")
    shape = turn.role == "assistant" and looks_like_json(turn.text)
    tools = (
        json_form.toggle(turn.text, schema, form is not None, t)
        + (_button("pretty", t("pretty"), "{ }") if shape and form is None else "")
        + _button("up", t("turn_up"), "↑", at == 0)
        + _button("down", t("turn_down"), "↓", at == turns - 1)
        + _button("add", t("turn_insert"), "+", extra='data-role="next"')
        + _button("split", t("turn_split"), "✂", at < 2 or turn.role != "user")
        + _button("drop", t("turn_delete"), "×")
    )
    return (
        f'<div class="turn {escape(turn.role) if turn.role in ROLES else "other"}" data-turn="{at}">'
        f'<div class="bar"><select data-part="role" aria-label="{escape(t("role"))}" data-value="{escape(turn.role)}">'
        f"{options}</select>{fine}"
        f'<span class="push"></span>{tools}</div>'
        f"{form or _box(turn, at, shape, t)}{wrong}</div>"
    )


def _box(turn: Turn, at: int, code: bool, t: Translator) -> str:
    """The words of a turn, to be edited as text."""
    return (
        # The parser drops a line break right after the tag, so one stands there for it to drop.
        f'<textarea data-part="text" rows="1" spellcheck="false" class="{"code" if code else "words"}" '
        f'aria-label="{escape(t("turn_text", number=at + 1))}">\n{escape(turn.text)}</textarea>'
    )


def _wrong(verdict: Verdict, fix: Html, t: Translator) -> str:
    what, remedy = checks.explain(verdict.code, verdict.detail, t.language)
    sign = f"<i>{SIGNS[verdict.kind]}</i>"
    return f'<p class="{verdict.kind}">{sign} {escape(what)} {escape(remedy)} {fix}</p>'


def _sample_problems(state: EditorState, t: Translator) -> str:
    """What concerns the sample as a whole; turns carry their own verdicts."""
    return "".join(
        notice(
            "bad" if checks.severity(code) == "error" else "warn",
            checks.explain(code, detail, t.language)[0],
            Html(f"{escape(checks.explain(code, detail, t.language)[1])} {_fix(state, code, None, detail, t)}"),
        )
        for turn, code, detail in state.document.facts[state.at].problems
        if turn is None
    )


def _fix(state: EditorState, code: str, turn: int | None, detail: Mapping[str, Any], t: Translator) -> Html:
    """A button where the finding can be mended safely; nothing where only a person can decide."""
    sample = state.document.samples[state.at]
    problem = Problem(state.at, sample.id, turn, code, detail)
    if fixes.fix_for(code) and fixes.fixable(sample, problem, state.document.schema_for(sample.id)):
        return check_view.fix_button(code, turn, t)
    return NOTHING


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
        f'<div class="bar">{adds}<span class="push"></span>{_button("sample_up", t("sample_up"), "↑")}'
        f"{_button('sample_down', t('sample_down'), '↓')}{_button('duplicate', t('duplicate'))}"
        f"{_button('delete', t('delete_sample'))}</div>"
    )


def _labels(sample: Sample, t: Translator) -> str:
    """Tags, note and origin: what the lab keeps beside the file."""
    labels = sample.labels
    origin = f'<span class="quiet">{escape(t("from_where", where=labels.origin))}</span>' if labels.origin else ""
    return (
        f'<div class="bar labels"><input data-part="tags" value="{escape(", ".join(labels.tags))}" '
        f'placeholder="{escape(t("tags"))}" aria-label="{escape(t("tags"))}" title="{escape(t("labels_about"))}">'
        f'<input data-part="note" value="{escape(labels.note)}" placeholder="{escape(t("note"))}" '
        f'aria-label="{escape(t("note"))}" title="{escape(t("labels_about"))}">{origin}</div>'
        f'<p class="quiet keys">{escape(t("keys"))}</p>'
    )


def conflict(what: str, remedy: str, t: Translator) -> Html:
    """The file changed on disk: what can be done about it, as buttons."""
    buttons = (
        _button("save_copy", t("save_copy")) + _button("overwrite", t("overwrite")) + _button("reload", t("reload"))
    )
    return notice("bad", what, Html(f'{escape(remedy)}<div class="bar">{buttons}</div>'))
