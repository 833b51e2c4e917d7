"""The one error a user is meant to read: what happened, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QwenlabError(Exception):
    """An anticipated failure.

    Args:
        what: one sentence saying what happened, naming the file, sample or setting.
        remedy: one sentence saying what to do about it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what if not remedy else f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``' Did you mean "x"?'`` for the known word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""
