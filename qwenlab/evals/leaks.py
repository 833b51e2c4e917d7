"""Cases that also stand in the training data: exactly, or nearly."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from qwenlab.evals.suite_model import Suite

GRAM = 3
"""Length of the compared runs, in words or Chinese characters."""
SHORTEST = 8
"""Texts with fewer words or characters are only compared exactly: short ones are alike by nature."""
CONTAINED = 0.8
"""Share of a case's runs that must stand in one training text."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U000323af"
_WORD = re.compile(f"[{_CHINESE}]|[^\\W_{_CHINESE}]+")


def leaked(suite: Suite, training_texts: Iterable[str]) -> set[str]:
    """Ids of the cases whose question also stands in the training data.

    Questions are compared after NFKC, casefold and without punctuation: the same text, or at least 80 % of the
    question's runs of three words (Chinese: characters) in one training text.

    Args:
        training_texts: what the model was trained to answer: the user turns of the training samples.
    """
    found: set[str] = set()
    exact: dict[tuple[str, ...], list[str]] = defaultdict(list)
    cases_with: dict[tuple[str, ...], set[str]] = defaultdict(set)
    size: dict[str, int] = {}
    for case in suite.cases:
        words = _words(case.question)
        exact[words].append(case.id)
        if len(words) >= SHORTEST:
            grams = _grams(words)
            size[case.id] = len(grams)
            for gram in grams:
                cases_with[gram].add(case.id)
    for text in training_texts:
        words = _words(text)
        found.update(exact.get(words, ()))
        shared = Counter(case for gram in _grams(words) for case in cases_with.get(gram, ()))
        found.update(case for case, count in shared.items() if count >= CONTAINED * size[case])
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _grams(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {words[start : start + GRAM] for start in range(len(words) - GRAM + 1)}
