"""Questions that also stand in another text: exactly, or nearly."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

GRAM = 3
"""Length of the compared runs, in words or Chinese characters."""
SHORTEST = 8
"""Texts with fewer words or characters are only compared exactly: short ones are alike by nature."""
CONTAINED = 0.8
"""Share of a question's runs that must stand in one text."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U000323af"
_WORD = re.compile(f"[{_CHINESE}]|[^\\W_{_CHINESE}]+")
Key = TypeVar("Key", bound=Hashable)


class Questions(Generic[Key]):
    """Questions to look for in texts.

    Texts are compared after NFKC, casefold and without punctuation: the same text, or at least 80 % of the
    question's runs of three words (Chinese: characters) in one text.

    Args:
        questions: (key, text) pairs; several may have the same key.
    """

    def __init__(self, questions: Iterable[tuple[Key, str]]) -> None:
        self._exact: dict[tuple[str, ...], list[Key]] = defaultdict(list)
        self._with: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._long: list[tuple[Key, int]] = []
        for key, text in questions:
            words = _words(text)
            self._exact[words].append(key)
            if len(words) >= SHORTEST:
                grams = _grams(words)
                for gram in grams:
                    self._with[gram].add(len(self._long))
                self._long.append((key, len(grams)))

    def inside(self, text: str) -> list[Key]:
        """Keys of the questions that stand in `text`, each once, in the order of the questions."""
        words = _words(text)
        found = dict.fromkeys(self._exact.get(words, ()))
        shared = Counter(number for gram in _grams(words) & self._with.keys() for number in self._with[gram])
        for number, count in sorted(shared.items()):
            key, grams = self._long[number]
            if count >= CONTAINED * grams:
                found[key] = None
        return list(found)

    def same(self, text: str) -> list[Key]:
        """Keys of the questions that are `text`, but for capitals, width and punctuation."""
        return list(self._exact.get(_words(text), ()))


def is_short(text: str) -> bool:
    """Whether a text is too short to be told from others that are only like it."""
    return len(_words(text)) < SHORTEST


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _grams(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {words[start : start + GRAM] for start in range(len(words) - GRAM + 1)}
