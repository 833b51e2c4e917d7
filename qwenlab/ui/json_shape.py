"""What a JSON Schema asks for at each place of an answer, as far as a form can show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from qwenlab.conversations import json_edit

DEEPEST = 10
"""Levels that a blank value is filled in to, and that a form shows."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# The kind of JSON value that each kind of field holds.
HOLDS = {"string": "string", "date": "string", "number": "number", "integer": "number", "boolean": "boolean"}
HOLDS |= {"object": "object", "array": "array", "null": "null"}
_SHAPING = {"type", "properties", "items", "prefixItems", "enum", "const", "anyOf", "oneOf", "additionalProperties"}


@dataclass(frozen=True)
class Shape:
    """What a schema says about one place, given what stands there.

    Attributes:
        kind: of field: a key of `HOLDS`, "enum" or "json".
        schema: the alternative that fits best.
        others: all alternatives but null, as far as they differ in more than conditions.
        chosen: which of them `schema` is.
        nullable: whether null is one of them.
    """

    kind: str
    schema: dict[str, Any]
    others: tuple[dict[str, Any], ...]
    chosen: int
    nullable: bool


def fold(schema: Any, root: Any) -> dict[str, Any]:
    """The schema with local references followed and allOf joined in; {} when it says nothing about a form."""
    found: dict[str, Any] = {}
    parts, followed = [schema], set()
    for part in parts:
        if not isinstance(part, dict):
            continue
        reference = part.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            followed.add(reference)
            parts.append(_target(reference, root))
        parts += part["allOf"] if isinstance(part.get("allOf"), list) else []
        for key, value in part.items():
            if key == "properties" and isinstance(value, dict):
                known = found.setdefault(key, {})
                for name, inner in value.items():
                    known[name] = {"allOf": [known[name], inner]} if name in known else inner
            elif key == "required" and isinstance(value, list):
                found[key] = [*found.get(key, []), *value]
            elif key not in ("$ref", "allOf"):
                found.setdefault(key, value)
    return found


def _target(reference: str, root: Any) -> Any:
    """What "#/$defs/x" points to; nothing for a reference to another document."""
    found = root
    with suppress(IndexError, KeyError, ValueError):
        if reference.startswith("#"):
            for key in json_edit.keys_of(reference[1:]):
                found = found[int(key)] if isinstance(found, list) else found[key]
            return found
    return {}


def shape_of(schema: Any, root: Any, value: Any) -> Shape:
    """What field stands for a value; `value` is None where nothing is there yet."""
    options = _alternatives(schema, root)
    others = [one for one in options if kind_of(one, None) != "null"]
    nullable = len(others) < len(options)
    if others and all("enum" in one or "const" in one for one in others):
        allowed = [word for one in others for word in listed(one)]
        nullable = nullable or None in allowed
        rest = {key: value for key, value in others[0].items() if key != "const"}
        others = [{**rest, "enum": [word for word in allowed if word is not None]}]
    if not others:
        return Shape("null", options[0], (), 0, True)
    chosen = max(range(len(others)), key=lambda at: _score(value, others[at], root))
    return Shape(kind_of(others[chosen], value), others[chosen], tuple(others), chosen, nullable)


def _alternatives(schema: Any, root: Any, depth: int = 0) -> list[dict[str, Any]]:
    plain = fold(schema, root)
    if "enum" in plain or "const" in plain:
        return [plain]
    branches = plain.get("anyOf") or plain.get("oneOf")
    if isinstance(branches, list) and depth < 4:
        rest = {key: value for key, value in plain.items() if key not in ("anyOf", "oneOf")}
        shaping = [branch for branch in branches if fold(branch, root).keys() & _SHAPING]
        found = [one for branch in shaping for one in _alternatives({"allOf": [branch, rest]}, root, depth + 1)]
        return found or [rest]
    types = plain.get("type")
    return [{**plain, "type": one} for one in types] if isinstance(types, list) and types else [plain]


def listed(schema: Mapping[str, Any]) -> list[Any]:
    """The values that an enum or const allows."""
    return [schema["const"]] if "const" in schema else list(schema["enum"])


def kind_of(schema: Mapping[str, Any], value: Any) -> str:
    """The kind of field for one alternative; where it names no type, what stands there decides."""
    if "const" in schema or "enum" in schema:
        return "null" if listed(schema) == [None] else "enum"
    kind = schema.get("type")
    if not isinstance(kind, str):
        kind = "object" if "properties" in schema else "array" if "items" in schema else json_kind(value)
        kind = "json" if kind == "null" else kind
    if kind == "string" and schema.get("format") == "date" and (value is None or _is_day(value)):
        return "date"
    return kind if kind in HOLDS else "json"


def json_kind(value: Any) -> str:
    """The kind of JSON value, as `json_edit.Node` names it."""
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(_DAY.fullmatch(value)) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _score(value: Any, schema: Mapping[str, Any], root: Any) -> int:
    """How well a value fits an alternative; 0 when it cannot be meant."""
    kind = kind_of(schema, value)
    if kind == "enum":
        return 6 if value in listed(schema) else 0
    if kind == "json" or HOLDS[kind] != json_kind(value):
        return 0
    if kind != "object":
        return 5 - (schema.get("type") == "integer" and isinstance(value, float))
    score, known = 50, schema.get("properties", {})
    for key in value.keys() & known.keys():
        inner = fold(known[key], root)
        told_apart = "enum" in inner or "const" in inner
        score += 1 if not told_apart or value[key] in listed(inner) else -8
    score -= 2 * len(set(schema.get("required", [])) - value.keys())
    return max(1, score - (len(value.keys() - known.keys()) if schema.get("additionalProperties") is False else 0))


def inside(schema: Mapping[str, Any], key: str, in_list: bool) -> Any:
    """What an alternative says about one of its keys or items."""
    if in_list:
        first, items = schema.get("prefixItems"), schema.get("items")
        if isinstance(items, list):  # older drafts
            first, items = items, schema.get("additionalItems")
        return first[int(key)] if isinstance(first, list) and int(key) < len(first) else items
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    with suppress(re.error):
        for pattern, inner in schema.get("patternProperties", {}).items():
            if re.search(pattern, key):
                return inner
    return schema.get("additionalProperties")


def blank(schema: Any, root: Any, depth: int = 0) -> Any:
    """A value to begin with: what must be there, with null (which the check names) for what a person must say."""
    shape = shape_of(schema, root, None)
    if "default" in shape.schema:
        return shape.schema["default"]
    if shape.kind == "enum" and len(listed(shape.schema)) == 1 and not shape.nullable:
        return listed(shape.schema)[0]
    if shape.nullable and depth or depth > DEEPEST:
        return None
    return filled(shape, root, depth)


def filled(shape: Shape, root: Any, depth: int = 0) -> Any:
    """What an object or list of that shape begins with; None for everything else."""
    if shape.kind == "object":
        must = dict.fromkeys(shape.schema.get("required", []))
        known = shape.schema.get("properties", {})
        order = [key for key in known if key in must] + [key for key in must if key not in known]
        return {key: blank(inside(shape.schema, key, False), root, depth + 1) for key in order}
    return [] if shape.kind == "array" else None
