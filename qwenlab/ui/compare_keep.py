"""Correcting an answer in the Compare tab, and keeping it as a training sample or a test case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.ui import suites
from qwenlab.ui.components import Html, listen
from qwenlab.ui.keep import keep, keep_case
from qwenlab.ui.lab import Lab
from qwenlab.ui.talk import Talk
from qwenlab.ui.texts import Translator

Outputs = tuple[Any, ...]


@dataclass
class KeepPanel:
    """The components, and what happens to them."""

    lab: Lab
    translator: Translator
    box: Any
    right: Any
    into: Any
    save: Any
    save_case: Any
    cancel: Any

    def wire(self, talk: Any, columns: Any, said: Any, shown: Callable[[Talk], Html]) -> None:
        """Bind the events; `shown` draws the conversation anew."""
        t = self.translator

        def done(view: Talk, note: Html) -> Outputs:
            if "notice ok" in note:
                view.keeping = -1
            return shown(view), gr.update(visible=view.keeping >= 0), note

        def keep_sample(view: Talk | None, words: str | None) -> Outputs:
            if view is None or view.keeping < 0 or not view.exchanges:
                return (gr.skip(),) * 3
            messages = view.messages(view.keeping, len(view.exchanges) - 1)
            wanted = view.exchanges[-1].wanted
            case = (wanted.suite.name, wanted.case.id) if wanted.suite and wanted.case else None
            return done(view, keep(self.lab, t, messages, words or "", "from-compare", t("tab_compare"), case))

        def keep_as_case(view: Talk | None, words: str | None, name: str | None) -> Outputs:
            if view is None or view.keeping < 0 or not view.exchanges:
                return (gr.skip(),) * 3
            messages = view.messages(view.keeping, len(view.exchanges) - 1)
            return done(view, keep_case(self.lab, t, name or "", messages, words or ""))

        def leave(view: Talk | None) -> Outputs:
            if view is None:
                return (gr.skip(),) * 2
            view.keeping = -1
            return shown(view), gr.update(visible=False)

        drawn = [columns, self.box, said]
        listen(self.save.click, keep_sample, t, [talk, self.right], drawn)
        listen(self.save_case.click, keep_as_case, t, [talk, self.right, self.into], drawn)
        listen(self.cancel.click, leave, t, talk, [columns, self.box])

    def form(self, view: Talk) -> Outputs:
        """The right answer to correct, and the suites it may go to."""
        if view.keeping < 0:
            return gr.skip(), gr.skip()
        last, t = view.exchanges[-1], self.translator
        try:
            document = self.lab.document()
        except QwenlabError:
            document = None
        about = t("compare_keep_about", data=document.dataset.name) if document else t("no_data_set")
        known = last.wanted.expected.strip() or last.replies[view.keeping].text
        names = list(suites.suite_paths(self.lab))
        name = last.wanted.suite.name if last.wanted.suite else ""
        into = name if name in names else suites.chosen_suite(self.lab) or None
        return gr.update(value=known, info=about), gr.update(choices=names, value=into)


def build(lab: Lab, t: Translator) -> KeepPanel:
    """The panel where it is called; hidden until an answer is to be kept."""
    with gr.Column(visible=False) as box:
        right = gr.Textbox(label=t("compare_keep_answer"), lines=3, max_lines=14)
        with gr.Row(elem_classes="low"):
            save = gr.Button(t("compare_keep_save"), variant="primary", size="sm", min_width=170, scale=0)
            into = gr.Dropdown(
                label=t("compare_keep_suite"), choices=[], value=None, filterable=False, min_width=220, scale=0
            )
            save_case = gr.Button(t("compare_keep_case"), size="sm", min_width=150, scale=0)
            cancel = gr.Button(t("compare_keep_cancel"), size="sm", min_width=90, scale=0)
    return KeepPanel(lab, t, box, right, into, save, save_case, cancel)
