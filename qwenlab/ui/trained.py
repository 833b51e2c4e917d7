"""The two folds of the Data tab that show what will be trained; nothing is computed before one is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.conversations.document import Document
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.training import preview
from qwenlab.training import recipe as recipes
from qwenlab.training.estimate import Machine
from qwenlab.training.forecast import forecast, pace
from qwenlab.training.preview import Lengths
from qwenlab.ui import trained_view
from qwenlab.ui.background import Task
from qwenlab.ui.components import Html, error_words, listen, notice
from qwenlab.ui.editor import EditorState
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator

LOOKS_EVERY = 1.0
"""Seconds between two looks while a fold is open."""


class Trained:
    """What the folds show, shared by all windows: the chosen model, its suggested recipe, the open data."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._viewed: tuple[Any, ...] = (None,)

    def tokens(self, sample: Sample | None, t: Translator) -> Html:
        """The tokens of a sample, or that the vocabulary is being read."""
        if sample is None:
            return trained_view.tokens(None, t)
        model = self.lab.model_name()
        try:
            tokenizer = self.lab.counted.tokenizer(model)
        except QwenlabError as error:
            return _error(error, t)
        if tokenizer is None:
            return trained_view.waiting(t)
        # Many looks, one sample: only the first computes.
        if self._viewed[0] is not sample or self._viewed[1] is not tokenizer:
            recipe, languages = _recipe(model), catalogue.languages(model)
            view = preview.token_view(sample, tokenizer, recipe.max_length, languages, recipe.labels, recipe.too_long)
            self._viewed = (sample, tokenizer, view)
        return trained_view.tokens(self._viewed[2], t, _title(model))

    def lengths(self, document: Document | None, t: Translator) -> Html:
        """How long the samples of the set are, or how far the counting is."""
        if document is None:
            return trained_view.tokens(None, t)
        model = self.lab.model_name()
        try:
            found = self.lab.counted.look(document, model)
            if found is None:
                return trained_view.waiting(t)
            if isinstance(found, Task):
                return trained_view.waiting(t, found.done, found.all or len(document.samples))
            return self._lengths(*found, model, t)
        except QwenlabError as error:
            return _error(error, t)

    def _lengths(self, counted: Lengths, machine: Machine, model: str, t: Translator) -> Html:
        recipe, workspace = _recipe(model), self.lab.workspace
        config = model_folder.read_config(catalogue.locate(workspace, model))
        expected = forecast(recipe, counted, config, machine, pace(workspace, model, machine))
        stats = counted.within(recipe.max_length, catalogue.languages(model), recipe.too_long)
        return trained_view.lengths(stats, t, expected if stats.tokens else None, recipe.epochs)


def _recipe(model: str) -> recipes.Recipe:
    """The recipe that the Train tab begins with."""
    return recipes.read({"model": model, **recipes.recommended(model)})


def _title(model: str) -> str:
    known = catalogue.entry(model)
    return known.title if known else Path(model).name


def _error(error: QwenlabError, t: Translator) -> Html:
    return Html(f'<div class="trained">{notice("bad", *error_words(error, t))}</div>')


# --- the folds -------------------------------------------------------------------------------------------


def sample_fold(trained: Trained, state: Any, t: Translator) -> None:
    """The tokens of the open sample, folded; `state` is the gr.State with the window's EditorState."""

    def look(view: EditorState | None) -> Html:
        return trained.tokens(view.sample if view is not None else None, t)

    _fold(t("trained_title"), look, state, t)


def set_fold(trained: Trained, state: Any, t: Translator, script: str) -> Any:
    """The lengths of the whole set, folded; returns the gr.HTML, which submits as the list of samples does.

    Args:
        script: editor.js, so that a sample named there can be opened.
    """

    def look(view: EditorState | None) -> Html:
        return trained.lengths(view.document if view is not None else None, t)

    return _fold(t("trained_title_set"), look, state, t, js_on_load=script)


def _fold(title: str, look: Callable[[EditorState | None], Html], state: Any, t: Translator, **how: Any) -> Any:
    """An accordion that looks when it is opened and every second while it is open."""
    with gr.Accordion(title, open=False, elem_classes="files") as fold:
        part = gr.HTML(apply_default_css=False, **how)
    timer, last = gr.Timer(LOOKS_EVERY, active=False), gr.State("")

    def again(view: EditorState | None, before: str) -> Any:
        found = look(view)
        return (gr.skip(), gr.skip()) if found == before else (found, found)

    listen(fold.expand, lambda: gr.Timer(active=True), t, None, timer)
    listen(fold.collapse, lambda: gr.Timer(active=False), t, None, timer)
    options = {"trigger_mode": "once", "concurrency_limit": None}
    listen(fold.expand, again, t, [state, last], [part, last], **options)
    listen(timer.tick, again, t, [state, last], [part, last], **options)
    return part
