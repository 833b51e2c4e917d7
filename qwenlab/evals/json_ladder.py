"""The JSON ladder: on which one of five rungs a reply stands, and the value that was read from it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from qwenlab.conversations import strict_json
from qwenlab.conversations.strict_json import NotJsonError, closing_bracket

Rung = Literal["strict", "fenced", "extracted", "repaired", "none"]
RUNGS: tuple[Rung, ...] = ("strict", "fenced", "extracted", "repaired", "none")

MAX_FALSE_STARTS = 64
"""Brackets in the prose that turn out not to open JSON; more, and the search ends. Keeps the time linear."""
MAX_REPAIRED = 20_000
"""Longest text, in characters, that is given to the repair library."""

_FENCE = re.compile(r"(?P<fence>`{3,}+|~{3,}+)[^\n`]*\n(?P<inside>.*)\n[ \t]*(?P=fence)", re.DOTALL)
_THINK = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_MEANT_AS_JSON = re.compile(
    r"""\{\s*(?:["'}{\[]|[\w-]+\s*:)                         # an object: a key, quoted or not
      | \[\s*(?:[\[{"'\]]|(?:-?\d[\w.+-]*|true|false|null)\s*[,\]])  # a list: a first value
    """,
    re.VERBOSE,
)
"""A bracket in the text that was meant to open JSON, unlike one in prose: "[see below]"."""
_AS_ASCII = str.maketrans("“”＂‘’＇：，", '"""' + "'" * 3 + ":,")
"""Signs of Chinese and typographic text, one for one as those of JSON that they stand for."""

_FLAGS = {
    "json_duplicate_key": "duplicate_keys",
    "json_constant": "not_a_number",
    "json_number": "number_too_large",
    "json_surrogate": "lone_surrogate",
    "json_deep": "too_deep",
    "json_bom": "byte_order_mark",
}
"""The traps that have a name of their own; everything else is plain bad syntax."""


@dataclass(frozen=True)
class Reading:
    """How a reply could be read.

    Attributes:
        rung: strict - the whole reply is one RFC 8259 value; fenced - one Markdown fence around it and nothing
            else; extracted - exactly one object or array once prose and thinking are removed; repaired - one was
            begun, but only a repair library could read it (never a pass); none.
        value: the JSON value; None on rung "none" (and for a JSON null: ask `parsed`).
        flags: what else was noticed, sorted: "empty", "think_leak", "several_values", "duplicate_keys",
            "not_a_number", "number_too_large", "lone_surrogate", "too_deep", "byte_order_mark".
    """

    rung: Rung
    value: Any = None
    flags: tuple[str, ...] = ()

    @property
    def parsed(self) -> bool:
        """Whether the content may be scored: strict, fenced or extracted."""
        return self.rung in ("strict", "fenced", "extracted")


def classify(text: str) -> Reading:
    """Put a reply on its rung. Never raises; linear in the length of the text."""
    if not text.strip():
        return Reading("none", flags=("empty",))
    flags: set[str] = set()
    try:
        return Reading("strict", strict_json.read(text))
    except NotJsonError as finding:
        flags.add(_FLAGS.get(finding.code, ""))
    inside = _inside_fence(text)
    if inside is not None:
        try:
            return Reading("fenced", strict_json.read(inside))
        except NotJsonError as finding:
            flags.add(_FLAGS.get(finding.code, ""))
    if _THINK.search(text):
        flags.add("think_leak")
    spoken = _without_thinking(text)
    values, broken, found = _values_in(spoken)
    flags |= found
    if len(values) + broken > 1:
        flags.add("several_values")
    elif len(values) == 1:
        return Reading("extracted", values[0], _sorted(flags))
    else:
        repaired = _repaired(spoken)
        if repaired is not None:
            return Reading("repaired", repaired, _sorted(flags))
    return Reading("none", None, _sorted(flags))


def _sorted(flags: set[str]) -> tuple[str, ...]:
    return tuple(sorted(flags - {""}))


def _inside_fence(text: str) -> str | None:
    match = _FENCE.fullmatch(text.strip())
    return match["inside"] if match else None


def _without_thinking(text: str) -> str:
    """The text outside <think>...</think>; an unclosed block runs to the end, a lone close began at the start."""
    kept: list[str] = []
    position, thinking = 0, False
    for match in _THINK.finditer(text):
        closes = bool(match[1])
        if closes and not thinking:
            kept.clear()
        elif not closes and not thinking:
            kept.append(text[position : match.start()])
        thinking = not closes
        position = match.end()
    if not thinking:
        kept.append(text[position:])
    return "".join(kept)


def _values_in(text: str) -> tuple[list[Any], int, set[str]]:
    """Objects and arrays that stand in the text, how many were begun but are broken, and the traps met.

    What stands inside a broken value is not offered as the answer: half a ticket is not the ticket.
    """
    values: list[Any] = []
    broken, flags = 0, set[str]()
    position, false_starts = 0, 0
    opening = re.compile(r"[\[{]")
    while (match := opening.search(text, position)) and false_starts < MAX_FALSE_STARTS:
        start = match.start()
        end = closing_bracket(text, start)
        if end is not None:
            try:
                values.append(strict_json.read(text[start:end]))
                position = end
                continue
            except NotJsonError as finding:
                flags.add(_FLAGS.get(finding.code, ""))
        false_starts += 1
        if _MEANT_AS_JSON.match(text, start):
            broken += 1
            position = len(text) if end is None else end
        else:
            position = start + 1
    return values, broken, flags


def _repaired(text: str) -> Any | None:
    """What was meant as JSON, as a repair library reads it: an object or array that can be written, or None.

    That is what a bracket meant to open JSON encloses. One that never closes was cut off, so what is read from it
    must make up most of the rest of the text; else the rest is prose, and the text is no JSON.
    """
    signs = text.translate(_AS_ASCII)
    opening = _MEANT_AS_JSON.search(signs)
    if opening is None:
        return None
    end = closing_bracket(signs, opening.start())
    meant = text[opening.start() : end]
    value = _repair(meant)
    if value is None or end is not None:
        return value
    read = json.dumps(value, ensure_ascii=False)
    return value if 2 * _visible(read) >= _visible(meant) else None


def _visible(text: str) -> int:
    """Characters that are no white space."""
    return len("".join(text.split()))


def _repair(text: str) -> Any | None:
    if len(text) > MAX_REPAIRED or strict_json.too_deep(text):
        return None
    import json_repair

    try:
        value = json_repair.loads(text, skip_json_loads=True)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except Exception:  # a diagnostic must not break the score, whatever the library stumbles over
        return None
    return value if isinstance(value, dict | list) else None
