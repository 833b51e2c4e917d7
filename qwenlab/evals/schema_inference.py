"""The JSON Schema that given answers follow, and how often each part of it was seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonschema_rs

from qwenlab.evals import field_names
from qwenlab.evals import pointer as pointers
from qwenlab.evals.bilingual import Words
from qwenlab.evals.pointer import EVERY

MOST_CHOICES = 20
"""A text field with more different values is no choice from a list."""
REPEATED = 5
"""How often the values of a choice are seen on average, at least."""
NEW_VALUE = 0.02
"""A choice is named only where the next answer brings a new value less often (Good-Turing: once-seen / all)."""
ENOUGH = 8
"""Different texts from which a form can be told."""
FEW = 20
"""Below so many sightings a field is said to be guessed from few answers."""
MOST_KEYS = 50
"""An object with more different keys, none of them regular, is a table of names and not a form."""
DEEPEST = 20
_FORMATS = ("date", "date-time", "email")
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_ORDER = ("object", "array", "string", "number", "integer", "boolean", "null")
_RUN = re.compile(r"[0-9]+|[A-Z]+|[a-z]+|.", re.DOTALL)


class Seen:
    """What stood at one place of many answers.

    Attributes:
        kinds: JSON type -> how often.
        keys: of the objects here: key -> what stood below it, in the order first seen.
        items: the entries of all lists here; None without lists.
        texts: text -> how often.
        decimals: most digits behind a decimal point.
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.keys: dict[str, Seen] = {}
        self.items: Seen | None = None
        self.texts: Counter[str] = Counter()
        self.decimals = 0

    def add(self, value: Any, depth: int = 0) -> None:
        """Take note of one value; below `DEEPEST` levels nothing is told apart any more."""
        kind = _KINDS.get(type(value), "null")
        self.kinds[kind] += 1
        if kind == "string":
            self.texts[value] += 1
        elif kind == "number":
            self.decimals = max(self.decimals, len(repr(value).partition(".")[2].partition("e")[0]))
        elif kind == "object" and depth < DEEPEST:
            for key, inner in value.items():
                self.keys.setdefault(key, Seen()).add(inner, depth + 1)
        elif kind == "array" and depth < DEEPEST:
            self.items = self.items or Seen()
            for inner in value:
                self.items.add(inner, depth + 1)

    @property
    def count(self) -> int:
        """How many values stood here."""
        return self.kinds.total()

    @property
    def is_table(self) -> bool:
        """Whether the objects here have keys that are data themselves, such as names of people."""
        objects = self.kinds["object"]
        return len(self.keys) > MOST_KEYS and all(inner.count < objects for inner in self.keys.values())

    def choices(self) -> list[str] | None:
        """The texts that can stand here, the most frequent first, where few of them repeat; else None."""
        said = self.texts.total()
        if not said or self.kinds.keys() - {"string", "null"} or len(self.texts) > MOST_CHOICES:
            return None
        once = sum(count == 1 for count in self.texts.values())
        if said < REPEATED * len(self.texts) or once > NEW_VALUE * said or any(len(text) > 60 for text in self.texts):
            return None
        return [text for text, _ in self.texts.most_common()]

    def form(self) -> dict[str, str]:
        """The format or pattern that every text here has: {"format": "date"}, {"pattern": "^[0-9]+$"}, or {}."""
        if len(self.texts) < 2:
            return {}
        for name in _FORMATS:
            if all(_has_format(name).is_valid(text) for text in self.texts):
                return {"format": name}
        pattern = _pattern(list(self.texts)) if len(self.texts) >= ENOUGH else None
        return {"pattern": pattern} if pattern else {}


@dataclass(frozen=True)
class Place:
    """One place of the answers.

    Attributes:
        pointer: where, with "*" for the entries of lists. seen: what stood there.
        of: how many objects could have had it (for "*": entries).
    """

    pointer: str
    seen: Seen
    of: int

    @property
    def nullable(self) -> bool:
        """Whether null stood here."""
        return self.seen.kinds["null"] > 0

    def evidence(self) -> Words:
        """How often it was seen, and what; with a warning where that is little."""
        seen, kinds = self.seen, self.seen.kinds
        en, zh = f"seen in {seen.count} of {self.of}", f"{self.of} 个中出现 {seen.count} 次"
        if kinds["null"]:
            en, zh = f"{en}, empty (null) in {kinds['null']}", f"{zh}，其中 {kinds['null']} 次为空（null）"
        if seen.texts:
            en, zh = f"{en}, {len(seen.texts)} different texts", f"{zh}，{len(seen.texts)} 种不同的文本"
        others = [kind for kind in kinds if kind not in ("null", "string")]
        if len(others) + bool(seen.texts) > 1 and set(others) != {"integer", "number"}:
            en, zh = f"{en}, of several types", f"{zh}，类型不一"
        if seen.count < FEW:
            en, zh = f"{en}; few answers to judge by", f"{zh}；样本较少，请核对"
        return Words(en, zh)


def observe(answers: Iterable[Any]) -> Seen:
    """Look through answers (JSON values as `strict_json.read` gives them)."""
    root = Seen()
    for answer in answers:
        root.add(answer)
    return root


def places(seen: Seen, pointer: str = "", of: int | None = None) -> Iterator[Place]:
    """Every place, from the outside in; entries of lists are pooled under "*", tables are not entered."""
    yield Place(pointer, seen, seen.count if of is None else of)
    if not seen.is_table:
        for key, inner in seen.keys.items():
            yield from places(inner, pointers.join(pointer, key), seen.kinds["object"])
    if seen.items is not None and seen.items.count:
        yield from places(seen.items, f"{pointer}/{EVERY}", seen.items.count)


def schema_of(seen: Seen) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) that every answer seen satisfies."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema(seen, "", 0)}


def _schema(seen: Seen, pointer: str, depth: int) -> dict[str, Any]:
    kinds = [kind for kind in _ORDER if seen.kinds[kind]]
    if not kinds or depth >= DEEPEST:
        return {}
    choices = seen.choices()
    if choices is not None:
        return {"enum": [*choices, None] if "null" in kinds else choices}
    if "integer" in kinds and ("number" in kinds or field_names.is_amount(pointer)):
        # Amounts that happened to be whole so far will have cents one day.
        kinds = list(dict.fromkeys("number" if kind == "integer" else kind for kind in kinds))
    found: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if "object" in kinds:
        found |= _object(seen, pointer, depth)
    if "array" in kinds and seen.items is not None and seen.items.count:
        found["items"] = _schema(seen.items, pointers.join(pointer, EVERY), depth + 1)
    if "string" in kinds:
        found |= seen.form()
    return found


def _object(seen: Seen, pointer: str, depth: int) -> dict[str, Any]:
    if seen.is_table:
        pooled = Seen()
        for inner in seen.keys.values():
            _pour(inner, pooled)
        return {"additionalProperties": _schema(pooled, pointer, depth + 1)}
    required = [key for key, inner in seen.keys.items() if inner.count == seen.kinds["object"]]
    properties = {key: _schema(inner, pointers.join(pointer, key), depth + 1) for key, inner in seen.keys.items()}
    return {"additionalProperties": False, **({"required": required} if required else {}), "properties": properties}


def _pour(seen: Seen, into: Seen) -> None:
    """Add everything seen at one place to another."""
    into.kinds += seen.kinds
    into.texts += seen.texts
    into.decimals = max(into.decimals, seen.decimals)
    for key, inner in seen.keys.items():
        _pour(inner, into.keys.setdefault(key, Seen()))
    if seen.items is not None:
        into.items = into.items or Seen()
        _pour(seen.items, into.items)


@lru_cache(maxsize=8)
def _has_format(name: str) -> Any:
    return jsonschema_rs.validator_for({"format": name}, validate_formats=True)


def _pattern(texts: list[str]) -> str | None:
    """A pattern of digits and letters that all texts share, such as ^[A-Z]{2}[0-9]+$; None when there is none."""
    shapes = [_RUN.findall(text) for text in texts]
    first = shapes[0]
    if not first or any(len(shape) != len(first) for shape in shapes) or len(first) > 12 or " " in texts[0]:
        return None
    parts = []
    for runs in zip(*shapes, strict=True):
        kinds = {_class(run) for run in runs}
        if len(kinds) > 1:
            return None
        (kind,) = kinds
        lengths = {len(run) for run in runs}
        if kind.startswith("["):
            parts.append(kind + (f"{{{lengths.pop()}}}" if len(lengths) == 1 else "+"))
        else:
            parts.append(kind)
    return f"^{''.join(parts)}$" if any(part.startswith("[0-9]") for part in parts) else None


def _class(run: str) -> str:
    if run[0] in "0123456789":
        return "[0-9]"
    if "A" <= run[0] <= "Z":
        return "[A-Z]"
    if "a" <= run[0] <= "z":
        return "[a-z]"
    return re.escape(run) if run.isascii() else run
