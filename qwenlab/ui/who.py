"""Choosing who answers: the list follows what has been trained and exported since the page was opened."""

from __future__ import annotations

from typing import Any

import gradio as gr

from qwenlab.models import templates
from qwenlab.ui import components, roster
from qwenlab.ui.components import listen, on_load
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import room_of
from qwenlab.ui.talk import Talk
from qwenlab.ui.texts import Translator

SECONDS = 4


def choices(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    """(label, spec) of everything that can answer."""
    return [(one.label(t), one.spec) for one in roster.entrants(lab)]


def offer_thinking(lab: Lab, t: Translator, who: Any, switch: Any) -> None:
    """Show the switch while somebody is chosen whose chat template knows thinking."""

    def look(chosen: list[str] | None) -> Any:
        wanted = [one for one in roster.entrants(lab) if one.spec in (chosen or [])]
        paths = map(room_of(lab.workspace).weights_of, wanted)
        known = any(path is not None and templates.thinks(path) for path in paths)
        return gr.update(visible=True) if known else gr.update(visible=False, value=False)

    on_load(look, t, who, switch)
    listen(who.change, look, t, who, switch)


def follow(lab: Lab, t: Translator, who: Any, talk: Any = None) -> None:
    """Keep the dropdown `who` current; a new run is chosen too, unless the person has chosen otherwise.

    Args:
        talk: the state of a conversation, in the middle of which nobody new is chosen.
    """
    offered = gr.State(None)
    talk = talk or gr.State(None)

    def look(chosen: list[str] | None, before: list[str] | None, view: Talk | None) -> tuple[Any, list[str]]:
        now = roster.usual(lab)
        if view is not None and view.exchanges:
            return gr.update(choices=choices(lab, t)), before or now
        if before is not None and now != before and chosen == before:
            return gr.update(choices=choices(lab, t), value=now), now
        return gr.update(choices=choices(lab, t)), now

    components.poll(SECONDS, look, t, [who, offered, talk], [who, offered])
