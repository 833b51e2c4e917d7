"""A new test suite from the open data set: looked at first, then made in one step that can be undone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qwenlab.conversations import attached
from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.evals import suite_draft
from qwenlab.evals.suite_draft import Draft
from qwenlab.ui import answer_view, suites
from qwenlab.ui.components import Html, error_words, escape, listen, notice, table
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator


def build(lab: Lab, t: Translator, suite: gr.Dropdown) -> gr.State:
    """The fold where it is called; the state that is returned changes when a suite was made, which is chosen then."""
    begin = _Begin(lab, t)
    made = gr.State(0)
    with gr.Accordion(t("new_title"), open=False, elem_classes="files") as fold:
        about = gr.HTML()
        with gr.Row(elem_classes="low"):
            name = gr.Textbox(label=t("new_name"), value="", max_lines=1, scale=2, min_width=200)
            count = gr.Number(label=t("new_count"), value=suite_draft.HELD_OUT, minimum=1, precision=0, min_width=130)
            seed = gr.Number(label=t("new_seed"), value=0, minimum=0, precision=0, min_width=130)
        infer = gr.Checkbox(label=t("new_infer"), value=False, visible=False)
        with gr.Row():
            look = gr.Button(t("new_look"), size="sm", scale=0, min_width=140)
            make = gr.Button(t("new_make"), variant="primary", size="sm", scale=0, min_width=160)
        shown = gr.HTML(elem_id="suite-new", apply_default_css=False)
    asked = [name, count, seed, infer]
    listen(fold.expand, begin.opened, t, None, [about, name, infer])
    listen(look.click, begin.look, t, asked, shown)
    listen(make.click, begin.make, t, [made, *asked], [shown, suite, made])
    return made


@dataclass
class _Begin:
    """What happens in the fold."""

    lab: Lab
    translator: Translator

    def opened(self) -> tuple[Any, ...]:
        """about, name, infer"""
        t = self.translator
        try:
            document = self.lab.document()
        except QwenlabError as error:
            return notice("bad", *error_words(error, t)), gr.skip(), gr.skip()
        if document is None:
            return notice("warn", t("new_none")), gr.skip(), gr.skip()
        said = t("new_about", data=document.dataset.name, number=len(document.samples))
        name = gr.update(placeholder=_free_name(self.lab, document))
        return Html(f'<p class="quiet">{escape(said)}</p>'), name, gr.update(visible=document.schema is not None)

    def _draft(
        self, named: str | None, number: float | None, chance: float | None, inferred: bool
    ) -> tuple[Document, Draft]:
        document = self.lab.document()
        if document is None:
            raise QwenlabError(self.translator("new_none"))
        schema = None if inferred else attached.schema_of(document.dataset.path)
        name = (named or "").strip() or _free_name(self.lab, document)
        samples, facts = document.samples, document.facts
        return document, suite_draft.draft(name, samples, facts, int(number or 0), int(chance or 0), schema)

    def look(self, *asked: Any) -> Html:
        """What would be made."""
        return preview(self._draft(*asked)[1], self.translator)

    def make(self, done: int, *asked: Any) -> tuple[Any, ...]:
        """shown, suite, made"""
        lab, t = self.lab, self.translator
        document, found = self._draft(*asked)
        before = document.dataset.path
        begun = suite_draft.begin(lab.workspace, document, found)
        if document.dataset.path != before:
            lab.saved_as(document)
        lab.choose(suite=str(begun.folder))
        said = t("new_made", name=found.name, number=len(found.held))
        left = t("new_left" if begun.saved else "new_left_unsaved", left=found.left, data=document.dataset.name)
        choices = gr.update(choices=list(suites.suite_paths(lab)), value=found.name)
        return notice("ok" if begun.saved else "warn", said, left), choices, done + 1


def _free_name(lab: Lab, document: Document) -> str:
    """The name of the suite where a person gives none."""
    known = suites.suite_paths(lab)
    return next(one for at in range(1, len(known) + 2) if (one := f"{document.dataset.name}-{at}") not in known)


def preview(made: Draft, t: Translator) -> Html:
    """What would be made: how many cases, and each field's rule with its reason and how sure it is."""
    zh = t.language == "zh"
    lines = [t("new_would", number=len(made.held), left=made.left)]
    schema = made.content.get("schema")
    if schema is None:
        lines.append(t("new_text"))
    else:
        lines.append(t("new_schema_own") if made.attached else t("new_schema_inferred", number=made.answers))
    remarks = "".join(notice("warn", remark.zh if zh else remark.en) for remark in made.remarks)
    rows = [
        [
            answer_view.place_name(one.pointer) or t("compare_whole"),
            _rule_words(one.rule, t),
            one.reason.zh if zh else one.reason.en,
            one.evidence.zh if zh else one.evidence.en,
        ]
        for one in made.proposals
    ]
    rules = table([t("rules_field"), t("rules_rule"), t("new_why"), t("new_seen")], rows) if rows else ""
    text = json.dumps(schema, ensure_ascii=False, indent=2) if schema is not None else ""
    folded = (
        f"<details><summary>{escape(t('new_schema_show'))}</summary><pre>{escape(text)}</pre></details>" if text else ""
    )
    return Html(f"<p>{escape(' '.join(lines))}</p>{remarks}{rules}{folded}")


def _rule_words(rule: dict[str, Any], t: Translator) -> Html:
    said = t(f"rule_{rule['rule']}")
    if rule.get("tolerance"):
        said += f" ± {rule['tolerance']:g}"
    if "weight" in rule:
        said += f", {t('rules_weight')} {rule['weight']:g}"
    critical = f" <b>{escape(t('new_critical'))}</b>" if rule.get("critical") else ""
    return Html(f"{escape(said)}{critical}")
