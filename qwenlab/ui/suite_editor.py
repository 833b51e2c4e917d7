"""The editor of test suites in the Test tab: cases, rules, settings, and earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.evals import burned, suite_tables
from qwenlab.ui import suite_actions, suite_begin, suite_editor_view, suite_rules_view, suites
from qwenlab.ui.components import NOTHING, Html, error_words, listen, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.suite_editing import Desk, open_suite
from qwenlab.ui.texts import Translator

HERE = Path(__file__).parent
PART: dict[str, Any] = {
    "js_on_load": "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("suite_editor.js", "json_form.js")),
    "css_template": "".join(
        (HERE / name).read_text(encoding="utf-8") for name in ("style_compare.css", "style_suite.css")
    ),
    "apply_default_css": False,
}
# Actions of one person come one after the other, as they were made.
IN_ORDER: dict[str, Any] = {"concurrency_id": "suite-editor", "concurrency_limit": 1, "trigger_mode": "multiple"}
View = tuple[Any, ...]


def build(lab: Lab, t: Translator, suite: gr.Dropdown) -> None:
    """The folds where it is called; `suite` is the page's choice of a suite, which they follow and may change."""
    begun = suite_begin.build(lab, t, suite)
    with gr.Accordion(t("cases_title"), open=False, elem_classes="files") as fold:
        state = gr.State(None)
        top = gr.HTML(elem_id="suite-top", **PART)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                listed = gr.HTML(elem_id="suite-cases", **PART)
            with gr.Column(scale=3, min_width=320):
                case = gr.HTML(elem_id="suite-case", **PART)
        with gr.Accordion(t("rules_title"), open=False, elem_classes="files"):
            rules = gr.HTML(elem_id="suite-rules", **PART)
        with gr.Accordion(t("settings_title"), open=False, elem_classes="files"):
            settings = gr.HTML(elem_id="suite-settings", **PART)
    drawn = [state, top, listed, case, rules, settings]

    def look(name: str | None) -> View:
        return _show(lab, t, *_desk(lab, t, name))

    def act(desk: Desk | None, name: str | None, event: gr.EventData) -> View:
        data = event._data or {}
        fresh, problem = _desk(lab, t, name)
        if desk is None or fresh is None or desk.editing is not fresh.editing:
            return (*_show(lab, t, fresh, problem), gr.skip())
        chosen = gr.skip()
        with desk.editing.lock:
            desk.said = _perform(lab, desk, data, t)
            if data.get("do") == "save" and not desk.editing.edited:
                chosen = gr.update(choices=list(suites.suite_paths(lab)), value=desk.editing.path.stem)
        return (*_show(lab, t, desk, NOTHING, int(data.get("seq", 0))), chosen)

    listen(fold.expand, look, t, suite, drawn, **IN_ORDER)
    listen(suite.change, look, t, suite, drawn, **IN_ORDER)
    listen(begun.change, look, t, suite, drawn, **IN_ORDER)
    for part in (top, listed, case, rules, settings):
        listen(part.submit, act, t, [state, suite], [*drawn, suite], **IN_ORDER)


def _desk(lab: Lab, t: Translator, name: str | None) -> tuple[Desk | None, Html]:
    """A desk with the chosen suite, or why there is none."""
    path = suites.suite_paths(lab).get(name or "")
    if path is None:
        return None, notice("warn", t("test_no_suite"), t("test_no_suite_remedy"))
    try:
        return Desk(open_suite(lab.workspace, path)), NOTHING
    except QwenlabError as error:
        return None, notice("bad", *error_words(error, t))


def _perform(lab: Lab, desk: Desk, data: dict[str, Any], t: Translator) -> Html:
    """Do one action; returns what to say about it."""
    action = str(data.get("do", ""))
    try:
        suite_actions.perform(desk, data, t)
        if action == "save":
            return _save(lab, desk, t)
        if action == "reload":
            desk.editing.read_again()
            desk.open(desk.at)
        if action == "restore":
            version = Path(str(data.get("version", "")))
            desk.editing.restore(version)
            return notice("warn", t("cases_restored", when=suite_editor_view.when(version)))
    except QwenlabError as error:
        return notice("bad", *error_words(error, t))
    return NOTHING


def _save(lab: Lab, desk: Desk, t: Translator) -> Html:
    faults = desk.editing.examined.faults
    if faults:
        what, remedy = error_words(faults[0].error, t)
        if faults[0].case is not None:
            desk.open(faults[0].case)
        return notice("bad", t("cases_first", number=len(faults)), f"{what} {remedy}")
    tables = {case.home for case in desk.editing.saved.cases if case.home.endswith(suite_tables.SUFFIXES)}
    desk.editing.save(lab.workspace)
    lab.choose(suite=str(desk.editing.path))
    tables -= {case.home for case in desk.editing.saved.cases}
    moved = t("cases_moved", name=", ".join(sorted(tables))) if tables else ""
    return notice("ok", t("cases_saved"), moved)


def _show(lab: Lab, t: Translator, desk: Desk | None, problem: Html, seq: int = 0) -> View:
    """state, top, list, case, rules, settings"""
    if desk is None:
        return None, problem, NOTHING, NOTHING, NOTHING, NOTHING
    sent = burned.cases(lab.workspace, desk.now.name)
    return (
        desk,
        suite_editor_view.top(desk, t, seq),
        suite_editor_view.case_list(desk, t, seq, sent),
        suite_editor_view.case_form(desk, t, seq, sent),
        suite_rules_view.rules_table(desk, t, seq),
        suite_rules_view.settings(desk, t, seq),
    )
