"""What stands below the Compare tab's message box: verdicts so far, earlier conversations, what is in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qwenlab.evals import preferences
from qwenlab.ui import talk_lists
from qwenlab.ui.components import Html
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import room_of
from qwenlab.ui.talk import Talk
from qwenlab.ui.texts import Translator
from qwenlab.ui.visitor import visitor

LISTED = 50
"""Conversations shown; the others are in the folder."""


@dataclass
class TalksPanel:
    """The components, and what to draw in them."""

    lab: Lab
    translator: Translator
    tally: Any
    list: Any
    memory: Any
    unload: Any

    @property
    def shown(self) -> Any:
        """What `redraw` has values for."""
        return [self.tally, self.list, self.memory]

    def redraw(self, view: Talk | None, deleted: str = "") -> tuple[Html, Html, Html]:
        """The tally, the list and the memory as they are now; `deleted` can be brought back."""
        room, t = room_of(self.lab.workspace), self.translator
        owner = view.owner if view else visitor()
        votes = room.votes(owner).read()
        found, number = room.talks(owner).newest(LISTED)
        return (
            talk_lists.tally(preferences.tally(votes), len(votes), t),
            talk_lists.kept(found, number, view.id if view else "", deleted, t),
            self.memory_words(),
        )

    def memory_words(self) -> Html:
        """What is in memory."""
        return talk_lists.memory(room_of(self.lab.workspace).pool.held(), self.translator)


def build(lab: Lab, t: Translator, part: Mapping[str, Any]) -> TalksPanel:
    """The panel where it is called."""
    with gr.Accordion(t("votes_title"), open=False, elem_classes="files"):
        tally = gr.HTML(elem_id="compare-tally", **part)
    with gr.Accordion(t("talks_title"), open=False, elem_classes="files"):
        kept = gr.HTML(elem_id="compare-talks", **part)
    with gr.Accordion(t("compare_memory"), open=False, elem_classes="files"), gr.Row(elem_classes="low"):
        memory = gr.HTML(elem_id="compare-memory", **part)
        unload = gr.Button(t("compare_unload"), size="sm", scale=0, min_width=150)
    return TalksPanel(lab, t, tally, kept, memory, unload)
