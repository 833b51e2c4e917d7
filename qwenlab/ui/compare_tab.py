"""The Compare tab."""

from __future__ import annotations

import gradio as gr

from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator


def build(lab: Lab, t: Translator) -> None:
    """Build the tab inside the open gr.Tab."""
    gr.HTML(t("coming"))
