"""Help and names for every choice and box of the page, so that nobody has to guess, by eye or by ear."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from qwenlab.ui.texts import Translator, help

PREFIX = "help_"


def explain(page: gr.Blocks, t: Translator) -> None:
    """Say what each control does where it does not say so itself; the key of its label names the help.

    A box that shows no label is read out by its placeholder.
    """
    said = {t(key.removeprefix(PREFIX)): t(key) for key in help.TEXTS}
    for block in page.blocks.values():
        if not isinstance(block, Component):
            continue
        if not block.label:
            block.label = getattr(block, "placeholder", None)
        if hasattr(block, "info") and not block.info:
            block.info = said.get(str(block.label))
