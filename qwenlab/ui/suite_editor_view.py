"""The editor of a suite as HTML: its cases, the open case, and an answer tried under the rules as they are now."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from qwenlab.conversations import strict_json
from qwenlab.conversations.sample import ROLES
from qwenlab.errors import QwenlabError
from qwenlab.evals import pointer as pointers
from qwenlab.evals.scoring import score_answer
from qwenlab.evals.suite_model import TextRule
from qwenlab.ui import answer_view, json_form
from qwenlab.ui.components import NOTHING, SIGNS, Html, badge, error_words, escape, notice
from qwenlab.ui.suite_editing import PAGE, Desk
from qwenlab.ui.texts import Translator
from qwenlab.workspace import SHIPPED

TEXT_RULES = get_args(TextRule)
SEVERAL = ("contains", "not_contains", "any_of")


def button(do: str, words: str, label: str = "", off: bool = False, **data: object) -> str:
    """A button that sends `do`; an icon alone has its words as `label`."""
    values = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    name = escape(label or words)
    return (
        f'<button type="button" data-do="{do}" title="{name}" aria-label="{name}"{values}'
        f"{' disabled' if off else ''}>{escape(words)}</button>"
    )


def select(name: str, label: str, chosen: str, options: Sequence[tuple[str, str]], **data: object) -> str:
    """A choice that is sent when it changes."""
    values = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    lines = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(said)}</option>'
        for value, said in options
    )
    return (
        f'<select data-set="{name}"{values} data-value="{escape(chosen)}" aria-label="{escape(label)}" '
        f'title="{escape(label)}">{lines}</select>'
    )


def line(name: str, label: str, text: str, holder: str = "", kind: str = "text", **data: object) -> str:
    """A box of one line."""
    values = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return (
        f'<input type="{kind}" data-set="{name}"{values} value="{escape(text)}" data-value="{escape(text)}" '
        f'aria-label="{escape(label)}" title="{escape(label)}" placeholder="{escape(holder)}">'
    )


def box(name: str, label: str, text: str, style: str = "words", holder: str = "", **data: object) -> str:
    """A box that grows with its text; the parser drops the line break after the tag."""
    values = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return (
        f'<textarea data-set="{name}"{values} rows="1" spellcheck="false" class="{style}" '
        f'aria-label="{escape(label)}" placeholder="{escape(holder)}">\n{escape(text)}</textarea>'
    )


def bad(words: str) -> str:
    """A line that says what is wrong."""
    return f'<p class="bad"><i>{SIGNS["bad"]}</i> {escape(words)}</p>' if words else ""


def fault_box(error: QwenlabError, desk: Desk, t: Translator) -> Html:
    """What is wrong, with the names of files and not the way to them."""
    here = f"{desk.now.file.parent}/"
    what, remedy = error_words(error, t)
    return notice("bad", what.replace(here, ""), remedy.replace(here, ""))


# --- the whole suite -------------------------------------------------------------------------------------


def top(desk: Desk, t: Translator, seq: int = 0) -> Html:
    """Whose suite it is, whether it is saved, what is wrong with it as a whole, and the buttons for all of it."""
    editing = desk.editing
    ships = (SHIPPED / "eval_suites").resolve() in editing.path.resolve().parents
    name, path = desk.now.name, f"{editing.path.parent.name}/{editing.path.name}"
    about = t("cases_shipped", name=name) if ships else t("cases_own", name=name, path=path)
    state = badge("warn", t("cases_unsaved")) if editing.edited else NOTHING
    versions = "".join(
        f"<li>{escape(when(path))} {button('restore', t('restore'), version=path)}</li>" for path in editing.versions()
    )
    kept = f"<details><summary>{escape(t('cases_versions'))}</summary><ul>{versions}</ul></details>" if versions else ""
    if editing.outdated and editing.edited:
        again = button("reload", t("cases_reload"), t("cases_reload_about"))
        kept = notice("bad", t("cases_changed"), Html(f"{escape(t('cases_reload_about'))} {again}")) + kept
    faults = "".join(fault_box(fault, desk, t) for fault in editing.examined.of(None))
    save = button("save", t("save"), off=not editing.edited).replace("<button ", '<button class="primary" ', 1)
    return Html(
        f'<div class="conversation suite-desk" data-seq="{seq}"><div class="bar">'
        f'<span class="quiet" title="{escape(editing.path)}">{escape(about)}</span>'
        f'<span class="push"></span>{state}{button("undo", t("undo"), off=not editing.can_undo)}'
        f"{button('redo', t('redo'), off=not editing.can_redo)}{save}</div>{faults}{kept}</div>"
    )


def when(version: Path) -> str:
    """When a version was replaced, in local time."""
    try:
        made = datetime.strptime(version.parent.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return version.parent.name
    return f"{made.astimezone():%Y-%m-%d %H:%M:%S}"


# --- the list --------------------------------------------------------------------------------------------


def case_list(desk: Desk, t: Translator, seq: int = 0, burned: Collection[str] = ()) -> Html:
    """Search, filter and one page of cases, with what is wrong and which were sent to training data."""
    matches, number = desk.matches(), len(desk.now.cases)
    pages = max(1, -(-len(matches) // PAGE))
    desk.page = min(max(desk.page, 0), pages - 1)
    faulty = {fault.case for fault in desk.editing.examined.faults}
    rows = "".join(_row(desk, at, at in faulty, burned, t) for at in matches[desk.page * PAGE : (desk.page + 1) * PAGE])
    wrong = len(faulty - {None})
    options = [("", t("cases_all")), ("faults", t("cases_faults", number=wrong)), *((tag, tag) for tag in desk.tags())]
    turning = (
        button("page", "‹", t("previous_page"), desk.page == 0, page=desk.page - 1)
        + f'<span class="quiet">{escape(t("page_of", page=desk.page + 1, pages=pages))}</span>'
        + button("page", "›", t("next_page"), desk.page + 1 >= pages, page=desk.page + 1)
    )
    nothing = f'<p class="quiet">{escape(t("test_no_match"))}</p>'
    return Html(
        f'<div class="samples suite-desk" data-seq="{seq}"><div class="bar">'
        f"{line('search', t('cases_search'), desk.search, t('cases_search'), 'search')}"
        f'<span class="count">{escape(t("cases_found", number=len(matches), all=number))}</span></div>'
        f'<div class="bar">{select("wanted", t("cases_filter"), desk.wanted, options)}{turning}'
        f'<span class="push"></span>{button("add", t("cases_add"))}</div>'
        f'<div class="rows">{rows or nothing}</div></div>'
    )


def _row(desk: Desk, at: int, faulty: bool, burned: Collection[str], t: Translator) -> str:
    raw = desk.now.cases[at].raw
    known = raw if isinstance(raw, dict) else {}
    history = known.get("history")
    last = (
        history[-1].get("content", "")
        if isinstance(history, list) and history and isinstance(history[-1], dict)
        else ""
    )
    preview = " ".join(str(known.get("prompt") or last or "-")[:300].split())[:110]
    here = ' aria-current="true"' if at == desk.at else ""
    mark = f'<i class="bad" title="{escape(t("cases_wrong"))}">{SIGNS["bad"]}</i>' if faulty else ""
    name = str(known.get("id", ""))
    if name in burned:
        mark = f'<small title="{escape(t("cases_burned_about"))}">{escape(t("cases_burned"))}</small>{mark}'
    return (
        f'<button type="button" class="row" data-do="open" data-at="{at}"{here}>'
        f'<span class="name">{escape(name)}</span>'
        f'<span class="preview">{escape(preview)}</span>{mark}</button>'
    )


# --- the open case ---------------------------------------------------------------------------------------


def case_form(desk: Desk, t: Translator, seq: int = 0, burned: Collection[str] = ()) -> Html:
    """The open case with everything that can be changed in it, and a box to try an answer."""
    if not desk.now.cases:
        inner = f'<p class="quiet">{escape(t("cases_none"))}</p>{button("add", t("cases_add"))}'
        return Html(f'<div class="conversation suite-desk" data-seq="{seq}">{desk.said}{inner}</div>')
    raw, name = desk.raw, str(desk.raw.get("id", ""))
    number = len(desk.now.cases)
    head = (
        f'<div class="bar top">{button("step", "‹", t("test_previous"), by=-1)}'
        f"{button('step', '›', t('test_next'), by=1)}"
        f'<span class="quiet">{escape(t("cases_at", number=desk.at + 1, all=number))}</span>'
        f"{_id_line(name, t)}"
        f'<span class="push"></span>{button("duplicate", t("cases_duplicate"))}'
        f"{button('delete', t('cases_delete'))}</div>"
    )
    faults = "".join(fault_box(fault, desk, t) for fault in desk.faults())
    if name in burned:
        faults += notice("warn", t("cases_burned_case"), t("test_burned_remedy"))
    return Html(
        f'<div class="conversation suite-desk case-form" data-seq="{seq}" data-open="{desk.at}">'
        f"{desk.said}{head}{faults}"
        f"{_question(desk, raw, t)}{_expected(desk, t)}{_labels(desk, raw, t)}{_trial(desk, t)}</div>"
    )


def _id_line(name: str, t: Translator) -> str:
    return line("id", t("cases_id"), name).replace("<input ", '<input class="id" ', 1)


def _question(desk: Desk, raw: dict[str, Any], t: Translator) -> str:
    turns = desk.turns()
    own = raw.get("system")
    suite_system = str(desk.now.head.get("system") or "")
    options = [("suite", t("cases_system_suite")), ("own", t("cases_system_own"))]
    system = (
        f'<div class="turn other"><div class="bar"><b>{escape(t("role_system"))}</b>'
        f"{select('system_kind', t('role_system'), 'suite' if own is None else 'own', options)}</div>"
        + (
            f'<p class="quiet clipped" title="{escape(suite_system)}">'
            f"{escape(suite_system or t('cases_no_system'))}</p>"
            if own is None
            else box("system", t("role_system"), str(own), holder=t("cases_no_system"))
        )
        + "</div>"
    )
    shown = "".join(
        f'<div class="turn {"user" if role == "user" else "other"}"><div class="bar"><b>'
        f'{escape(t(f"role_{role}") if role in ROLES else role)}</b><span class="push"></span>'
        f"{button('drop_turn', '×', t('turn_delete'), len(turns) == 1, at=at)}</div>"
        f"{box('turn', t('turn_text', number=at + 1), text, at=at)}</div>"
        for at, (role, text) in enumerate(turns)
    )
    return (
        f'{system}{shown}<div class="bar">{button("add_turns", t("cases_add_turns"), t("cases_add_turns_about"))}</div>'
    )


def _expected(desk: Desk, t: Translator) -> str:
    text, as_json = desk.expected_text(), desk.as_json
    rule = "json" if as_json else str(desk.raw.get("rule", "equals"))
    kinds = [(one, t(f"cases_rule_{one}")) for one in TEXT_RULES]
    if desk.now.schema is not None:
        kinds.insert(0, ("json", t("cases_rule_json")))
    schema = desk.schema if as_json else None
    form = (
        json_form.form(text, schema, 0, t, desk.wrong)
        if desk.shape == "form" and "expected" not in desk.typed
        else None
    )
    typed, wrong = desk.typed.get("expected", (text, ""))
    about = t("cases_several") if rule in SEVERAL else ""
    words = box("expected", t("compare_wanted"), typed, "code" if as_json else "words", about)
    toggle = json_form.toggle(text, schema, form is not None, t) if as_json else NOTHING
    return (
        f'<div class="turn assistant" data-turn="0"><div class="bar"><b>{escape(t("compare_wanted"))}</b>'
        f"{select('rule_of_text', t('cases_rule'), rule, kinds)}"
        f'<span class="push"></span>{toggle}</div>{form or words}{bad(wrong)}'
        f"{f'<p class=quiet>{escape(about)}</p>' if about else ''}</div>"
    )


def _labels(desk: Desk, raw: dict[str, Any], t: Translator) -> str:
    tags = raw.get("tags")
    listed = ", ".join(map(str, tags)) if isinstance(tags, list) else ""
    boxes = [("tags", t("cases_tags"), listed), ("group", t("cases_group"), str(raw.get("group") or ""))]
    labels = "".join(f"<label>{escape(label)}{line(name, label, text)}</label>" for name, label, text in boxes)
    found = f'<div class="bar labels">{labels}</div>'
    if not desk.as_json:
        return found
    accept = raw.get("accept")
    known = accept if isinstance(accept, dict) else {}
    lines = "".join(_accepted(pointer, values, desk, t) for pointer, values in known.items())
    free = [pointer for pointer in _places(raw.get("expected")) if pointer not in known]
    options = [("", t("cases_accept_add")), *((one, answer_view.place_name(one) or t("compare_whole")) for one in free)]
    return f'{found}<div class="accepts">{lines}{select("accept_add", t("cases_accept_add"), "", options)}</div>'


def _accepted(pointer: str, values: Any, desk: Desk, t: Translator) -> str:
    listed = values if isinstance(values, list) else [values]
    text = "\n".join(
        one if isinstance(one, str) and not like_json(one) else json.dumps(one, ensure_ascii=False) for one in listed
    )
    typed, wrong = desk.typed.get(f"accept {pointer}", (text, ""))
    place = escape(answer_view.place_name(pointer) or t("compare_whole"))
    return (
        f'<div class="accept"><span>{escape(t("cases_accept"))} <b>{place}</b></span>'
        f"{box('accept', t('cases_accept'), typed, holder=t('cases_accept_about'), pointer=pointer)}"
        f"{button('drop_accept', '×', t('cases_accept_drop'), pointer=pointer)}{bad(wrong)}</div>"
    )


def _places(value: Any, pointer: str = "") -> list[str]:
    """Pointers of the single values in an expected answer."""
    if isinstance(value, dict) and value:
        return [one for key, inner in value.items() for one in _places(inner, pointers.join(pointer, key))]
    return [pointer]


def like_json(text: str) -> bool:
    """Whether a text, written as it is, would be read as a JSON value."""
    try:
        strict_json.read(text)
    except strict_json.NotJsonError:
        return False
    return True


# --- an answer tried -------------------------------------------------------------------------------------


def _trial(desk: Desk, t: Translator) -> str:
    return (
        f'<div class="trial"><div class="bar"><b>{escape(t("cases_try"))}</b>'
        f'<span class="quiet">{escape(t("cases_try_about"))}</span></div>'
        f"{box('trial', t('cases_try'), desk.trial, 'code', t('cases_try_holder'))}{trial_result(desk, t)}</div>"
    )


def trial_result(desk: Desk, t: Translator) -> Html:
    """What the tried answer is worth under the rules as they are now, saved or not."""
    suite, case = desk.editing.examined.suite, desk.case
    if not desk.trial.strip():
        return NOTHING
    if suite is None or case is None:
        return notice("warn", t("cases_try_broken"))
    score = score_answer(suite, case, desk.trial)
    chips = badge("ok", t("test_mark_passed")) if score.passed else badge("bad", t("cases_try_failed"))
    if score.rung:
        chips = Html(chips + " " + answer_view.rung(score.rung, t))
        if score.parsed:
            chips = Html(f"{chips} {answer_view.schema(score.violations, t)}")
        chips = Html(f"{chips} {answer_view.values_right(score.fields, t)}" if score.fields else chips)
    cost = badge("none" if score.cost == 0 else "warn", t("cases_costs", share=f"{100 * score.cost:.0f}"))
    return Html(
        f'<div class="chips">{chips} {cost} {answer_view.flags(score.flags, t)}</div>'
        f"{answer_view.violation_list(score.violations, t)}{answer_view.differences(score.fields, t, everything=True)}"
    )
