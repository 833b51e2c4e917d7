"""Taking a model off this computer, or off the list: a button, a question, and what the person answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.models import folder as model_folder
from qwenlab.models import listing
from qwenlab.training.queue import Queue
from qwenlab.ui.components import Html, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.models_view import size_words
from qwenlab.ui.texts import Translator


def can_be_removed(lab: Lab, model: str) -> bool:
    """Whether the page offers it: what was fetched, or is on the list; never to whoever reaches the port."""
    return not lab.listen and listing.how_removed(lab.workspace, model) is not None


def question(lab: Lab, model: str, t: Translator) -> Html:
    """What is asked before a model is removed."""
    name = Path(model).name.replace("--", "/")
    if listing.how_removed(lab.workspace, model) == "deleted":
        size = size_words(model_folder.bytes_on_disk(lab.workspace.models / model))
        return notice("warn", t("models_remove_fetched", name=name, size=size), t("models_remove_fetched_do"))
    return notice("warn", t("models_remove_folder", name=name), t("models_remove_folder_do", folder=model))


def yes_words(lab: Lab, model: str, t: Translator) -> str:
    """What stands on the button that does it."""
    return t("models_remove_yes" if listing.how_removed(lab.workspace, model) == "deleted" else "models_remove_off")


def ask(lab: Lab) -> str:
    """The chosen model, about which the question is put.

    Raises:
        QwenlabError: when a run needs it.
    """
    model = lab.model_name()
    Queue(lab.workspace).check_unused(model)
    return model


def remove(lab: Lab, model: str, t: Translator) -> None:
    """Remove a model; the first one that is here is chosen then.

    Raises:
        QwenlabError: when a run needs it by now.
    """
    if not can_be_removed(lab, model):
        return
    Queue(lab.workspace).check_unused(model)
    listing.remove(lab.workspace, model)
    lab.choose(model=next(iter(listing.ready(lab.workspace)), ""))
    gr.Info(t("models_removed", name=Path(model).name.replace("--", "/")))


def shown(lab: Lab, asked: str, model: str, t: Translator) -> tuple[Any, ...]:
    """The question and its two buttons, while it stands open for the chosen model."""
    opened = bool(asked) and asked == model and can_be_removed(lab, model)
    words = question(lab, model, t) if opened else ""
    yes = yes_words(lab, model, t) if opened else ""
    return words, gr.update(visible=opened, value=yes), gr.update(visible=opened)
