"""Every control of the page has a name and says what it does, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio.components import Component

from qwenlab.conversations.words import Language
from qwenlab.ui.lab import Lab
from qwenlab.ui.page import build_page
from qwenlab.ui.texts import TEXTS, Translator, help
from qwenlab.workspace import Workspace

SPEAK_FOR_THEMSELVES = {
    "data_set": "a list of names at the top of its tab, shown without its label",
    "test_result": "a list of results beside the button that makes them, shown without its label",
    "compare_keep_answer": "the form around it says what becomes of it",
}
"""Key of the label -> why nothing more is said."""
INPUTS = {
    "dropdown",
    "textbox",
    "number",
    "radio",
    "checkbox",
    "checkboxgroup",
    "slider",
    "code",
    "file",
    "multimodaltextbox",
}


def controls(language: Language, home: Path) -> list[Component]:
    page = build_page(Lab(Workspace(home)), language)
    return [one for one in page.blocks.values() if isinstance(one, Component) and one.get_block_name() in INPUTS]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_control_has_a_name_and_help(language: Language, tmp_path: Path) -> None:
    t = Translator(language)
    exempt = {t(key) for key in SPEAK_FOR_THEMSELVES}
    found = controls(language, tmp_path)
    assert len(found) > 40
    nameless = [(one.get_block_name(), one.elem_id) for one in found if not one.label]
    # A box whose placeholder is its name has no room for more.
    bare = [one.label for one in found if not getattr(one, "info", "") and one.label != getattr(one, "placeholder", "")]
    assert nameless == []
    assert [label for label in bare if label not in exempt] == []


def test_help_belongs_to_a_label_that_exists() -> None:
    assert [key for key in help.TEXTS if key.removeprefix("help_") not in TEXTS] == []


@pytest.mark.parametrize("language", [0, 1], ids=["en", "zh"])
def test_no_label_stands_for_two_helps(language: int) -> None:
    said: dict[str, set[str]] = {}
    for key, words in help.TEXTS.items():
        said.setdefault(TEXTS[key.removeprefix("help_")][language], set()).add(words[language])
    assert {label: words for label, words in said.items() if len(words) > 1} == {}
