"""The line above every tab: what the person works with, and the switch of language."""

from __future__ import annotations

from pathlib import Path

from qwenlab.errors import QwenlabError
from qwenlab.ui import suites
from qwenlab.ui.components import Html, badge, escape
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.visitor import visitor

STATE_KINDS = {"running": "busy", "finished": "ok", "failed": "bad", "interrupted": "warn"}

SCRIPT = (Path(__file__).parent / "header.js").read_text(encoding="utf-8")


def context_line(lab: Lab, t: Translator) -> Html:
    """Qwenlab, data set, model, newest run, suite, languages. Reads a few small files only."""
    parts = [
        _part("tab_data", t("header_data"), _data(lab, t)),
        _part("tab_train", t("header_model"), escape(Path(lab.model_name()).name)),
        _part("tab_train", t("header_run"), _run(lab, t)),
        _part("tab_test", t("header_suite"), escape(suites.chosen_suite(lab) or t("header_none"))),
    ]
    languages = " | ".join(
        f'<b aria-current="true">{name}</b>' if code == t.language else f'<a href="/{code}/" lang="{code}">{name}</a>'
        for code, name in (("en", "EN"), ("zh", "中文"))
    )
    return Html(
        f'<div class="context"><h1 class="name">{escape(t("title"))}</h1>{"".join(parts)}'
        f'<span class="push"></span>{_leave(t)}<span class="languages">{languages}</span></div>'
    )


def _leave(t: Translator) -> str:
    name = visitor()
    words = escape(t("logout", name=name))
    return f'<form method="post" action="/logout"><button type="submit">{words}</button></form>' if name else ""


def _part(tab: str, label: str, value: Html) -> str:
    return f'<button type="button" data-goto="{tab}"><span>{escape(label)}</span> {value}</button>'


def _data(lab: Lab, t: Translator) -> Html:
    try:
        document = lab.document()
    except QwenlabError:
        return badge("bad", t("header_unreadable"))
    if document is None:
        return escape(t("header_none"))
    number = len(document.samples)
    words = [t("header_sample") if number == 1 else t("header_samples", number=number)]
    bad = document.counts()["any"]
    if bad:
        words.append(t("header_problems", number=bad))
    if document.edited:
        words.append(t("header_unsaved"))
    return Html(f"{escape(document.dataset.name)} <small>{escape(', '.join(words))}</small>")


def _run(lab: Lab, t: Translator) -> Html:
    runs = lab.runs()
    if not runs:
        return escape(t("header_none"))
    state = runs[0].state()
    return Html(f"{escape(runs[0].id)} {badge(STATE_KINDS.get(state, 'none'), t('state_' + state))}")
