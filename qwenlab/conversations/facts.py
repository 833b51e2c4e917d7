"""What is known of each sample without parsing it again: the base of search, filters, sorting and checks.

A set of 100,000 conversations is paged, searched and filtered in a blink because each sample is read once, here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwenlab.conversations.sample import ALIASES, UNREAD, Labels, Sample, as_text, broken, id_of, language_of

Finding = tuple[int | None, str, dict[str, Any]]
"""The turn (None: the sample as a whole), the code in `words.PROBLEMS`, and what its sentence names."""


class Facts:
    """What is known of one sample.

    Args:
        sample: the sample.
        raw: its object, where it is parsed already.

    Attributes:
        id: the sample's id, possibly empty.
        text, label_text: its id and words, its tags and note, casefolded for searching.
        length: characters in all turns.
        language: "zh" or "en".
        same: hash of all turns; equal for equal conversations.
        asked: hash of the turns before the last answer; None when it does not end with an answer.
        answer: hash of that answer.
        labels: the sample's labels.
        findings: problems within the sample; None before it was checked.
        across: problems that only the set shows: duplicates, contradictions.
        spoken_at: where the words after id and system turn begin in `text`.
        near: signature for near-duplicates; None before it was computed.
    """

    __slots__ = (
        "across",
        "answer",
        "asked",
        "findings",
        "id",
        "label_text",
        "labels",
        "language",
        "length",
        "near",
        "same",
        "spoken_at",
        "text",
    )

    def __init__(self, sample: Sample, raw: Any = UNREAD) -> None:
        if raw is UNREAD:
            raw = sample.raw
        turns = [] if broken(raw) else [(turn["from"], as_text(turn["value"])) for turn in raw["conversations"]]
        words = [text for _, text in turns]
        spoken = [(ALIASES.get(role, role), text.strip()) for role, text in turns]
        self.id = id_of(raw)
        self.text = searchable((self.id, *(words or [str(raw)[:2000]])))
        system = words[:1] if spoken and spoken[0][0] == "system" else []
        self.spoken_at = len(searchable((self.id, *system, "")))
        self.relabel(sample.labels)
        self.length = sum(map(len, words))
        self.language = language_of(words)
        self.same = hash(tuple(spoken)) if spoken else None
        answered = len(spoken) > 1 and spoken[-1][0] == "assistant"
        self.asked = hash(tuple(spoken[:-1])) if answered else None
        self.answer = hash(spoken[-1][1]) if answered else None
        self.findings: tuple[Finding, ...] | None = None
        self.across: tuple[Finding, ...] = ()
        self.near: Any = None

    def relabel(self, labels: Labels) -> None:
        """Know other labels of the same sample."""
        self.labels = labels
        self.label_text = searchable((*labels.tags, labels.note)) if labels.tags or labels.note else ""

    @property
    def problems(self) -> tuple[Finding, ...]:
        """All problems that are known."""
        return (self.findings or ()) + self.across


def searchable(parts: Sequence[str]) -> str:
    """Text in which capitals make no difference."""
    return "\n".join(parts).casefold()
