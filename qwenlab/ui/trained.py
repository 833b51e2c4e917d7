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
from qwenlab.training import preview
from qwenlab.training import recipe as recipes
from qwenlab.ui import trained_view
from qwenlab.ui.background import Background, Progress
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
        self._loading = Background()
        self._counting = Background()
        self._viewed: tuple[Any, ...] = (None,)
        self._known: preview.Known = {}
        self._known_for: Any = None

    def tokens(self, sample: Sample | None, t: Translator) -> Html:
        """The tokens of a sample, or that the vocabulary is being read."""
        if sample is None:
            return trained_view.tokens(None, t)
        try:
            tokenizer = self._tokenizer()
        except QwenlabError as error:
            return _error(error, t)
        if tokenizer is None:
            return trained_view.waiting(t)
        model = self.lab.model_name()
        # Many looks, one sample: only the first computes.
        if self._viewed[0] is not sample or self._viewed[1] is not tokenizer:
            recipe, languages = self._recipe(model), catalogue.languages(model)
            view = preview.token_view(sample, tokenizer, recipe.max_length, languages, recipe.labels, recipe.too_long)
            self._viewed = (sample, tokenizer, view)
        return trained_view.tokens(self._viewed[2], t, _title(model))

    def lengths(self, document: Document | None, t: Translator) -> Html:
        """How long the samples of the set are, or how far the counting is."""
        if document is None:
            return trained_view.tokens(None, t)
        try:
            tokenizer = self._tokenizer()
        except QwenlabError as error:
            return _error(error, t)
        if tokenizer is None:
            return trained_view.waiting(t)
        model = self.lab.model_name()
        key = (document.dataset.path, document.revision, id(document), id(tokenizer))
        task = self._counting.look(key, lambda progress: self._count(document, tokenizer, model, progress))
        if isinstance(task.error, QwenlabError):
            return _error(task.error, t)
        if task.error is not None:
            raise task.error
        if not task.finished:
            return trained_view.waiting(t, task.done, task.all or len(document.samples))
        return trained_view.lengths(task.result[0], t, task.result[1])

    def _count(self, document: Document, tokenizer: Any, model: str, progress: Progress) -> Any:
        with document.lock:
            samples = list(document.samples)
        recipe = self._recipe(model)
        if self._known_for is not tokenizer:
            self._known, self._known_for = {}, tokenizer
        languages = catalogue.languages(model)
        stats = preview.lengths(samples, tokenizer, recipe.max_length, progress, languages, self._known)
        workspace = self.lab.workspace
        expected = preview.expected_seconds(workspace, model, stats.tokens, recipe.epochs) if stats.tokens else None
        return stats, expected

    def _tokenizer(self) -> Any:
        """The chosen model's tokenizer; None while it is being read. Raises QwenlabError when it cannot be."""
        workspace, model = self.lab.workspace, self.lab.model_name()
        if preview.is_loaded(workspace, model):
            return preview.tokenizer_for(workspace, model)
        key = preview.tokenizer_key(workspace, model)
        task = self._loading.look(key, lambda _: preview.tokenizer_for(workspace, model))
        if task.error is not None:
            raise task.error
        return task.result

    def _recipe(self, model: str) -> recipes.Recipe:
        return recipes.read(recipes.recommended(model))


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
