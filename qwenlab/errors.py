"""The one error a user is meant to read: what happened, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QwenlabError(Exception):
    """An anticipated failure.

    Args:
        what: one sentence saying what happened, naming the file, sample or setting.
        remedy: one sentence saying what to do about it.
        zh: both in Chinese.
    """

    def __init__(self, what: str, remedy: str = "", zh: tuple[str, str] | None = None) -> None:
        super().__init__(what if not remedy else f"{what} {remedy}")
        self.what = what
        self.remedy = remedy
        self.zh = zh

    def say(self, language: str) -> tuple[str, str]:
        """What happened and what to do; in English where it is not known in `language`."""
        return self.zh if language == "zh" and self.zh else (self.what, self.remedy)


def nearest(word: str, known: Iterable[str], language: str = "en") -> str:
    """Return ``' Did you mean "x"?'`` for the known word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close and language == "zh":
        return f"是不是“{close[0]}”？"
    return f' Did you mean "{close[0]}"?' if close else ""
