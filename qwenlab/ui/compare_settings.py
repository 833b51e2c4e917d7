"""The Compare tab's settings: what models are told first, what is expected, how they decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Generation
from qwenlab.ui import roster
from qwenlab.ui.components import NOTHING, Html, listen, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import room_of
from qwenlab.ui.texts import Translator

Values = Mapping[Any, Any]
"""What stands in the components when an event happens, by component."""


@dataclass
class Settings:
    """The components."""

    system: Any
    expected: Any
    blind: Any
    force: Any
    thinking: Any
    longest: Any
    temperature: Any
    top_p: Any
    top_k: Any
    penalty: Any
    seed: Any
    own: Any
    said: Any

    @property
    def inputs(self) -> set[Any]:
        """What an answer depends on."""
        return {getattr(self, one.name) for one in fields(self) if one.name not in ("own", "said")}

    def generation(self, values: Values) -> Generation:
        """How to decode; an emptied box means its default."""
        plain = Generation()
        return Generation(
            max_new_tokens=int(values[self.longest] or plain.max_new_tokens),
            temperature=float(values[self.temperature] or 0),
            top_p=float(values[self.top_p] or 1),
            top_k=int(values[self.top_k] or 0),
            repetition_penalty=float(values[self.penalty] or 1),
            seed=int(values[self.seed] or 0),
            thinking=bool(values[self.thinking]),
        )


def build(t: Translator) -> Settings:
    """The components where they are called, inside an accordion."""
    system = gr.Textbox(label=t("compare_system"), lines=3, max_lines=10)
    expected = gr.Textbox(label=t("compare_expected"), lines=2, max_lines=10)
    with gr.Row():
        blind = gr.Checkbox(label=t("compare_blind"), info=t("compare_blind_about"), value=False)
        force = gr.Checkbox(label=t("compare_force"), info=t("compare_force_about"), value=False)
        thinking = gr.Checkbox(label=t("thinking"), info=t("thinking_about"), value=False, visible=False)
    with gr.Row(elem_classes="numbers"):
        longest = gr.Number(label=t("compare_max_tokens"), value=256, minimum=1, maximum=4096, precision=0)
        temperature = gr.Number(label=t("compare_temperature"), value=0, minimum=0, maximum=2, step=0.1)
        top_p = gr.Number(label=t("compare_top_p"), value=1, minimum=0.01, maximum=1, step=0.05)
        top_k = gr.Number(label=t("compare_top_k"), value=0, minimum=0, maximum=1000, precision=0)
        penalty = gr.Number(label=t("compare_penalty"), value=1, minimum=0.5, maximum=2, step=0.05)
        seed = gr.Number(label=t("compare_seed"), value=0, minimum=0, precision=0)
    own = gr.Button(t("compare_own"), size="sm", scale=0, min_width=200)
    said = gr.HTML()
    numbers = (longest, temperature, top_p, top_k, penalty, seed)
    return Settings(system, expected, blind, force, thinking, *numbers, own, said)


def wire_own(settings: Settings, lab: Lab, t: Translator, who: Any) -> None:
    """Let the button fill in how the first chosen model's makers want it sampled."""

    def fill(specs: list[str] | None) -> tuple[Any, ...]:
        """temperature, top_p, top_k, penalty, said"""
        found = next((one for one in roster.pick(lab, specs or [], t) if one.kind != "endpoint"), None)
        folder = room_of(lab.workspace).weights_of(found) if found else None
        if found is None or folder is None or not folder.is_dir():
            raise QwenlabError(t("compare_own_none"), t("compare_own_none_remedy"))
        own = Generation.of_model(folder)
        said: Html = notice("none", t("compare_own_silent", name=found.name)) if own == Generation() else NOTHING
        return own.temperature, own.top_p, own.top_k, own.repetition_penalty, said

    filled = [settings.temperature, settings.top_p, settings.top_k, settings.penalty, settings.said]
    listen(settings.own.click, fill, t, who, filled)
