"""One training conversation: the raw object of the file, and its turns as a person sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qwenlab.models.contestant import Message

ROLES = ("system", "user", "assistant")
ALIASES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
"""Other names in which ShareGPT-like files write the roles."""

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
class Sample:
    """One conversation of a data set. It never changes; edits make a new one.

    Attributes:
        raw: the object as it stands in the file (anything at all when the file is odd there).
        source: its exact text in the file, None once edited; a save writes it back byte for byte.
    """

    raw: Any
    source: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def make(cls, sample_id: str, turns: Sequence[tuple[str, str]]) -> Sample:
        """A new sample from (role, text) pairs."""
        return cls({"id": sample_id, "conversations": [{"from": role, "value": text} for role, text in turns]})

    @property
    def id(self) -> str:
        """The sample's id, or an empty string."""
        value = self.raw.get("id", "") if isinstance(self.raw, dict) else ""
        return value if isinstance(value, str) else as_text(value)

    def broken(self) -> str | None:
        """The code in `words` for why no turns can be read from it; None for a readable sample."""
        if not isinstance(self.raw, dict):
            return "broken_not_object"
        turns = self.raw.get("conversations")
        if not isinstance(turns, list):
            return "broken_not_list" if "conversations" in self.raw else "broken_no_conversations"
        for turn in turns:
            if not isinstance(turn, dict):
                return "broken_turn"
            if not isinstance(turn.get("from"), str) or "value" not in turn:
                return "broken_keys"
        return None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns; none when the sample is broken."""
        return () if self.broken() else tuple(Turn.of(turn) for turn in self.raw["conversations"])

    def with_turns(self, turns: Sequence[Turn]) -> Sample:
        """A copy with other turns; everything else of the object stays."""
        return Sample({**self.raw, "conversations": [turn.to_raw() for turn in turns]})

    def with_id(self, sample_id: str) -> Sample:
        """A copy under another id."""
        if isinstance(self.raw, dict) and "id" not in self.raw:
            return Sample({"id": sample_id, **self.raw})
        return Sample({**self.raw, "id": sample_id}) if isinstance(self.raw, dict) else replace(self)

    def to_messages(self) -> list[Message]:
        """The turns in chat form, [{"role": ..., "content": ...}]; empty when the sample is broken."""
        return [Message(role=turn.role, content=turn.text) for turn in self.turns]

    @property
    def language(self) -> str:
        """ "zh" when any CJK character stands in a turn, else "en"."""
        return "zh" if any(_CJK.search(turn.text) for turn in self.turns) else "en"


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
