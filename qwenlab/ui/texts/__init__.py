"""Every text of the page, in English and in Chinese: one table per tab, key -> (English, Chinese)."""

from __future__ import annotations

from qwenlab.conversations.words import Language
from qwenlab.ui.texts import (
    compare,
    data,
    data_checks,
    data_form,
    data_import,
    data_trained,
    export,
    login,
    looks,
    models,
    shell,
    start,
    suite_editor,
    talks,
    test,
    test_cases,
    training,
)

TEXTS: dict[str, tuple[str, str]] = {}
for _table in (
    shell.TEXTS,
    start.TEXTS,
    data.TEXTS,
    data_checks.TEXTS,
    data_form.TEXTS,
    data_import.TEXTS,
    data_trained.TEXTS,
    training.TEXTS,
    login.TEXTS,
    looks.TEXTS,
    models.TEXTS,
    compare.TEXTS,
    talks.TEXTS,
    test.TEXTS,
    suite_editor.TEXTS,
    test_cases.TEXTS,
    export.TEXTS,
):
    _twice = TEXTS.keys() & _table.keys()
    if _twice:
        raise ValueError(f"texts are defined twice: {sorted(_twice)}")
    TEXTS.update(_table)


class Translator:
    """Says texts in one language: `t("save")`, `t("samples", number=3)`.

    Attributes:
        language: "en" or "zh".
    """

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key`, its placeholders filled. Raises KeyError for an unknown key."""
        text = TEXTS[key][self.language == "zh"]
        return text.format(**values) if values else text
