"""The Start page: what to do now, and everything that was made with what it came from; each a click away."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.ui import components, lineage, start_view, suites
from qwenlab.ui.components import NOTHING, Html, listen, poll
from qwenlab.ui.journey import Guide
from qwenlab.ui.lab import Lab
from qwenlab.ui.matrix import View
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import Readers

HERE = Path(__file__).parent
SECONDS = 4
FRESH = 2.0
"""Seconds for which one look at the workspace serves all windows."""
OPEN = "() => window.qwenlab.open()"


@dataclass(frozen=True)
class Places:
    """Components of other tabs that say what they show: a run, a result with the open case, a run to export."""

    run: gr.State
    result: gr.State
    case: gr.HTML
    export: gr.Dropdown


class Start:
    """Draws the page; one look serves all windows of a language."""

    def __init__(self, lab: Lab, t: Translator) -> None:
        self.lab, self.t = lab, t
        self._guide = Guide(lab, Readers(), t)
        self._lock = threading.Lock()
        self._drawn: tuple[float, Html] | None = None

    def draw(self) -> Html:
        """The page as the workspace stands now."""
        with self._lock:
            if self._drawn is None or time.monotonic() - self._drawn[0] > FRESH:
                self._drawn = (time.monotonic(), self._look())
            return self._drawn[1]

    def _look(self) -> Html:
        try:
            found = lineage.trace(self.lab)
            path = start_view.guided_path(self._guide.look(found), self.t)
            return Html(path + start_view.came_from(found, self.lab.dataset_path(), self.t))
        except QwenlabError as error:
            return start_view.failed(*components.error_words(error, self.t))


def build(lab: Lab, t: Translator) -> gr.HTML:
    """Build the page inside the open gr.Tab; returns what is clicked on, for `wire`."""
    start = Start(lab, t)
    drawn = gr.HTML(
        start_view.loading(t),
        elem_id="start",
        js_on_load=(HERE / "start_tab.js").read_text(encoding="utf-8"),
        css_template=(HERE / "style_start.css").read_text(encoding="utf-8"),
        apply_default_css=False,
    )
    poll(SECONDS, start.draw, t, outputs=[drawn])
    return drawn


def wire(lab: Lab, t: Translator, drawn: gr.HTML, places: Places) -> None:
    """Let a click on a name show it in its tab, which is opened once it does."""

    def show(event: gr.EventData) -> tuple[Any, ...]:
        data = event._data or {}
        return found(lab, str(data.get("tab", "")), str(data.get("name", "")))

    done = listen(drawn.submit, show, t, None, [places.run, places.result, places.case, places.export])
    done.then(None, js=OPEN, api_visibility="private")


def found(lab: Lab, tab: str, name: str) -> tuple[Any, ...]:
    """What the other tabs are to show, in the order of `Places`; names that are not there change nothing."""
    run, result, case, export = (gr.skip(),) * 4
    known = {job.id for job in lab.runs()}
    if tab == "tab_data":
        path = next((path for path in _data_sets(lab) if str(path) == name), None)
        if path is not None:
            lab.choose(dataset=str(path))
    elif tab == "tab_train" and name in known:
        run = name
    elif tab == "tab_test":
        folder = next((folder for folder in suites.results(lab.workspace) if folder.name == name), None)
        if folder is not None:
            result, case = View(folder), NOTHING
    elif tab == "tab_export" and name in known:
        export = gr.update(value=name)
    return run, result, case, export


def _data_sets(lab: Lab) -> list[Path]:
    """The data sets that may be chosen by name: those that are offered, and those that runs learned from."""
    return [*lab.data_sets(), *(source.path for source in lineage.trace(lab).sources)]
