"""The form of a new run: data, preset, every setting of the recipe, and what a start would take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.training import recipe as recipes
from qwenlab.training.queue import Queue
from qwenlab.training.recipe import Recipe
from qwenlab.ui import components, deciding, recipe_form, run_details
from qwenlab.ui.components import NOTHING, Html, escape, listen, notice, poll
from qwenlab.ui.getting import fetching
from qwenlab.ui.lab import Lab
from qwenlab.ui.live import LIVE
from qwenlab.ui.recipe_form import FormField
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_need import need_lines
from qwenlab.ui.training_plan import Planner, data_lines, preset_choices, suggestion_lines, warning_lines
from qwenlab.ui.training_view import Readers

STARTS_WITH = "balanced"


@dataclass
class Form:
    """The recipe's form.

    Attributes:
        fields: the recipe's settings in the sections, in the order of `inputs`.
        inputs: one component each, and at last the deciding test.
        start, after: the buttons: at once, and after the run in progress.
    """

    fields: list[FormField]
    inputs: list[Any]
    start: Any
    after: Any

    def values(self, typed: list[Any], t: Translator) -> dict[str, Any]:
        """What was typed, checked. Raises QwenlabError, naming the setting."""
        inside, rest = typed[: len(self.fields)], typed[len(self.fields) :]
        return {**recipe_form.checked(self.fields, inside, t), **({"suite": rest[0] or ""} if rest else {})}


def form_part(lab: Lab, queue: Queue, readers: Readers, model: Any, opened: Any, t: Translator) -> Form:
    """Build the form.

    Args:
        model: the dropdown whose change refills it.
        opened: gr.State: whether a person has looked at the tab, so that it may count what the data takes.
    """
    data = gr.HTML(**LIVE)
    preset = gr.Radio(label=t("train_preset"), choices=preset_choices(None, t), value=STARTS_WITH)
    changes = gr.HTML(**LIVE)
    advice = gr.HTML(**LIVE)
    filled = recipe_form.preset_values(STARTS_WITH, lab.model_name())
    before = gr.State(filled)
    decides = deciding.deciding_part(lab, t)
    sections = recipe_form.in_sections(recipe_form.form_fields(t.language))
    fields, inputs = [field for _, inside in sections for field in inside], []
    with gr.Accordion(t("train_advanced"), open=False, elem_classes="files"):
        for key, inside in sections:
            gr.HTML(Html(f'<div class="head"><b>{escape(t(key))}</b></div>'), **LIVE)
            with gr.Row():
                inputs += [_input(field, filled[field.name], t) for field in inside]
    start = gr.Button(t("train_start"), variant="primary", size="md")
    after = gr.Button(t("train_start_after"), variant="primary", size="md", visible=False)
    expect = gr.HTML(**LIVE)
    form, planner = Form(fields, [*inputs, decides.suite], start, after), Planner(lab, readers.look)

    def look(name: str, base: dict[str, Any], count: bool, *typed: Any) -> tuple[Any, ...]:
        busy = queue.running()
        ready = fetching(lab, lab.model_name(), t)[0] == "ready"
        plan, able = None, False
        try:
            recipe = recipes.read({**form.values(list(typed), t), "model": lab.model_name()})
            plan = planner.plan(recipe, base, count and ready)
            last = need_lines(plan, recipe, t, busy is None) + warning_lines(recipe, plan, t)
            first, able = data_lines(plan, t), plan is not None and plan.able
            if plan is not None:
                last += run_details.of_form(_with_data(lab, recipe), name, t)
        except QwenlabError as error:
            first, last = NOTHING, notice("bad", *components.error_words(error, t))
        if busy is not None:
            last = f'<p class="quiet">{escape(t("train_one_at_a_time", run=busy.id))}</p>{last}'
        return (
            first,
            gr.update(choices=preset_choices(plan, t)),
            recipe_form.preset_lines(name, base, fields, typed[: len(fields)], t),
            suggestion_lines(plan, fields, typed[: len(fields)], t),
            Html(f'<div class="run">{last}</div>'),
            gr.update(interactive=ready and able, visible=busy is None),
            gr.update(interactive=ready and able, visible=busy is not None),
        )

    def fill(name: str) -> tuple[Any, ...]:
        values = recipe_form.preset_values(name, lab.model_name())
        return values, *(values[field.name] for field in fields)

    def fit(name: str, base: dict[str, Any], *typed: Any) -> tuple[Any, ...]:
        values = recipe_form.preset_values(name, lab.model_name())
        return values, *_changed(recipe_form.refilled(fields, typed, base, values), typed)

    def settle(event: gr.EventData, *typed: Any) -> tuple[Any, ...]:
        return tuple(_changed(recipe_form.settled(fields, typed, str((event._data or {}).get("key", ""))), typed))

    by_name = {field.name: one for field, one in zip(fields, inputs, strict=True)}
    deciding.tell_cost(decides, lab, t, by_name, readers.look)
    shown = [data, preset, changes, advice, expect, start, after]
    poll(2, look, t, [preset, before, opened, *form.inputs], shown)
    listen(preset.input, fill, t, preset, [before, *inputs])
    listen(changes.submit, fill, t, preset, [before, *inputs])
    listen(advice.submit, settle, t, inputs, inputs)
    listen(expect.submit, settle, t, inputs, inputs)
    listen(model.change, fit, t, [preset, before, *inputs], [before, *inputs])
    return form


def _changed(values: Iterable[Any], typed: Sequence[Any]) -> Iterator[Any]:
    """The values that differ, the others left alone: somebody may be typing there while this is on its way."""
    return (gr.skip() if value == old else value for value, old in zip(values, typed, strict=True))


def _with_data(lab: Lab, recipe: Recipe) -> Recipe:
    """The recipe with the open data set, as a command line names it."""
    path = lab.dataset_path()
    return recipe.model_copy(update={"data": str(path)}) if path else recipe


def _input(field: FormField, value: Any, t: Translator) -> Any:
    settings: dict[str, Any] = {"label": field.title, "info": field.about(t), "min_width": 200}
    if field.kind == "choice":
        return gr.Dropdown(choices=list(field.choices), value=value, filterable=False, **settings)
    if field.kind == "several":
        choices = [(recipe_form.speaks([one], t), one) for one in field.choices]
        return gr.CheckboxGroup(choices=choices, value=value, **settings)
    if field.kind == "text":
        return gr.Textbox(value=value, max_lines=1, **settings)
    return gr.Number(value=value, precision=0 if field.kind == "whole" else None, **settings)
