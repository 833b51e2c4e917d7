"""Words in both languages, from which the sentences of errors are built."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.conversations.words import json_reason
from qwenlab.errors import nearest


class Words(NamedTuple):
    """The same words in English and in Chinese."""

    en: str
    zh: str


class ReasonError(ValueError):
    """A value that cannot be used; why, as part of a sentence in both languages."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.words = Words(en, zh)


def why_not_json(error: NotJsonError, placed: bool = True) -> Words:
    """Why a text is not JSON, as part of a sentence.

    Args:
        placed: with line and column, where the reader met the fault. They mislead in a text that is itself part of
            a line.
    """
    values = {key: value for key, value in error.values.items() if placed or key not in ("line", "column")}
    return Words(json_reason(error.code, "en", **values), json_reason(error.code, "zh", **values))


def line_of(path: Path, number: int) -> Words:
    """A line of a file."""
    return Words(f"{path}, line {number}", f"{path} 第 {number} 行")


def meant(word: str, known: Collection[str], otherwise: Words) -> Words:
    """The known word that may be meant, as a question; `otherwise` when none is near."""
    return Words(nearest(word, known).strip() or otherwise.en, nearest(word, known, "zh") or otherwise.zh)
