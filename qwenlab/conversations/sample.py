"""One training conversation: the raw object of the file, and its turns as a person sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenlab.models.contestant import Message

ROLES = ("system", "user", "assistant")
ALIASES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
"""Other names in which ShareGPT-like files write the roles."""
DEEPEST = 100
"""Lists and objects inside each other in one sample; more would exhaust other readers of the file, and Python's own."""

_CJK = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True)
class Turn:
    """One turn.

    Attributes:
        role: system, user or assistant; any other word stands as it is in the file.
        text: the words; an object or list in the file is shown, and trained, as its JSON text.
        raw: the object in the file, with keys that the lab does not know.
    """

    role: str
    text: str
    raw: dict[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Turn:
        """Read a turn of the file."""
        role, value = raw["from"], raw["value"]
        return cls(ALIASES.get(role, role), as_text(value), raw)

    def to_raw(self) -> dict[str, Any]:
        """The object to write: unknown keys and key order stay, untouched values are not rewritten."""
        raw = dict(self.raw)
        if "from" not in raw or ALIASES.get(raw["from"], raw["from"]) != self.role:
            raw["from"] = self.role
        if "value" not in raw or as_text(raw["value"]) != self.text:
            raw["value"] = self.text
        return raw


@dataclass(frozen=True)
class Labels:
    """What the lab knows about a sample beside its words; kept apart from the train.json.

    Attributes:
        tags: words a person sorts samples by.
        note: a remark for colleagues.
        origin: where the sample came from, such as "test tickets-17"; "" when it was imported or typed.
        edited: when it was last changed in the lab, ISO 8601 in UTC; "" when never.
    """

    tags: tuple[str, ...] = ()
    note: str = ""
    origin: str = ""
    edited: str = ""

    @classmethod
    def of(cls, found: Any) -> Labels:
        """Read what `to_json` wrote; anything odd in it is left out."""
        if not isinstance(found, dict):
            return NO_LABELS
        tags = found.get("tags")
        words = {key: found[key] for key in ("note", "origin", "edited") if isinstance(found.get(key), str)}
        return cls(tuple(str(tag) for tag in tags) if isinstance(tags, list) else (), **words)

    def to_json(self) -> dict[str, Any]:
        """Only what is there."""
        found = {"tags": list(self.tags), "note": self.note, "origin": self.origin, "edited": self.edited}
        return {key: value for key, value in found.items() if value}


NO_LABELS = Labels()
UNREAD: Any = object()
"""Stands for an object that was not parsed yet, or not kept."""


class Sample:
    """One conversation of a data set. It never changes; edits make a new one.

    Attributes:
        source: its exact text in the file, None once edited; a save writes it back byte for byte.
        labels: tags, note and origin; they are no part of the file and of equality.
    """

    __slots__ = ("_raw", "labels", "source")

    def __init__(self, raw: Any, source: str | None = None, labels: Labels = NO_LABELS) -> None:
        self._raw = raw
        self.source = source
        self.labels = labels

    @classmethod
    def unread(cls, source: str, labels: Labels = NO_LABELS) -> Sample:
        """A sample that is parsed each time it is looked at: a large set stays as small as its text."""
        return cls(UNREAD, source, labels)

    @classmethod
    def make(cls, sample_id: str, turns: Sequence[tuple[str, str]], origin: str = "") -> Sample:
        """A new sample from (role, text) pairs."""
        raw = {"id": sample_id, "conversations": [{"from": role, "value": text} for role, text in turns]}
        return cls(raw, labels=Labels(origin=origin) if origin else NO_LABELS)

    @property
    def raw(self) -> Any:
        """The object as it stands in the file (anything at all when the file is odd there)."""
        return json.loads(self.source) if self._raw is UNREAD and self.source is not None else self._raw

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        if self is other or (self.source is not None and self.source == other.source):
            return True
        # As text: to Python 1, 1.0 and True are equal, and so are objects with their keys in another order.
        return to_json(self.raw, tight=True) == to_json(other.raw, tight=True)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Sample({self.raw!r})"

    def with_labels(self, labels: Labels) -> Sample:
        """A copy with other labels."""
        return Sample(self._raw, self.source, labels)

    @property
    def id(self) -> str:
        """The sample's id, or an empty string."""
        return id_of(self.raw)

    def broken(self) -> str | None:
        """The code in `words` for why no turns can be read from it; None for a readable sample."""
        return broken(self.raw)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns; none when the sample is broken."""
        raw = self.raw
        return () if broken(raw) else tuple(Turn.of(turn) for turn in raw["conversations"])

    def with_turns(self, turns: Sequence[Turn]) -> Sample:
        """A copy with other turns; everything else of the object stays."""
        return Sample({**self.raw, "conversations": [turn.to_raw() for turn in turns]}, labels=self.labels)

    def with_id(self, sample_id: str) -> Sample:
        """A copy under another id."""
        raw = self.raw
        if not isinstance(raw, dict):
            return self
        return Sample({"id": sample_id, **raw} | {"id": sample_id}, labels=self.labels)

    def to_messages(self) -> list[Message]:
        """The turns in chat form, [{"role": ..., "content": ...}]; empty when the sample is broken."""
        return [Message(role=turn.role, content=turn.text) for turn in self.turns]

    @property
    def language(self) -> str:
        """ "zh" when any CJK character stands in a turn, else "en"."""
        return language_of([turn.text for turn in self.turns])


def language_of(texts: Iterable[str]) -> str:
    """ "zh" when any CJK character stands in the texts, else "en"."""
    return "zh" if any(map(_CJK.search, texts)) else "en"


def id_of(raw: Any) -> str:
    """The id in a sample's object, or an empty string."""
    value = raw.get("id", "") if isinstance(raw, dict) else ""
    return value if isinstance(value, str) else as_text(value)


def broken(raw: Any) -> str | None:
    """The code in `words` for why no turns can be read from a sample's object; None when they can."""
    if not isinstance(raw, dict):
        return "broken_not_object"
    turns = raw.get("conversations")
    if not isinstance(turns, list):
        return "broken_not_list" if "conversations" in raw else "broken_no_conversations"
    for turn in turns:
        if not isinstance(turn, dict):
            return "broken_turn"
        if not isinstance(turn.get("from"), str) or "value" not in turn:
            return "broken_keys"
    return None


def too_deep(raw: Any) -> bool:
    """Whether there are more than `DEEPEST` lists and objects inside each other."""
    level = [raw]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def as_text(value: Any) -> str:
    """A file's value as words: text as it is, nothing for null, JSON text for everything else."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def to_json(value: Any, indent: int | str | None = None, tight: bool = False) -> str:
    """JSON text with non-ASCII characters as they are; escaped only where UTF-8 cannot hold them."""
    separators = (",", ":") if tight else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only carry as an escape
        text = json.dumps(value, ensure_ascii=True, indent=indent, separators=separators)
    return text
