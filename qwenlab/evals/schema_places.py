"""What a JSON Schema says about one place of the answers it describes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qwenlab.evals import pointer as pointers
from qwenlab.evals.pointer import EVERY

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_FOLLOWED = 20


def branches(schema: Any, root: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The schema, what it refers to, and its alternatives."""
    if not isinstance(schema, dict) or depth > _FOLLOWED:
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        target = pointers.resolve(root, reference[1:]) if reference[1:2] in ("", "/") else pointers.MISSING
        yield from branches(target, root, depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(keyword, []):
            yield from branches(branch, root, depth + 1)
    for keyword in ("then", "else"):
        yield from branches(schema.get(keyword), root, depth + 1)


def below(schemas: list[Any], key: str, root: Any) -> tuple[list[Any], set[str], bool]:
    """What stands under one key: the schemas of it, the keys that are known there, and whether others may stand too."""
    known: set[str] = set()
    found: list[Any] = []
    is_open = False
    for branch in [one for schema in schemas for one in branches(schema, root)]:
        if "patternProperties" in branch or branch.get("additionalProperties", False) is not False:
            is_open = True
        known |= set(branch.get("properties", {}))
        if key in branch.get("properties", {}):
            found.append(branch["properties"][key])
        if key == EVERY or key.isdigit():
            found += [branch["items"]] if "items" in branch else branch.get("prefixItems", [])
    return found, known, is_open


def at(schema: Any, keys: list[str]) -> list[Any]:
    """The schemas that speak about the value under `keys`; empty when none does."""
    schemas = [schema]
    for key in keys:
        schemas = below(schemas, key, schema)[0]
    return schemas


def types(schema: Any, keys: list[str]) -> set[str]:
    """The JSON types that may stand under `keys`; empty when the schema does not say."""
    found: set[str] = set()
    for branch in [one for part in at(schema, keys) for one in branches(part, schema)]:
        named = branch.get("type", [])
        found |= {named} if isinstance(named, str) else set(named)
        for value in [*branch.get("enum", []), *([branch["const"]] if "const" in branch else [])]:
            found.add(_type_of(value))
    return found & set(TYPES)


def leaves(schema: Any) -> list[str]:
    """Pointers of the fields a schema names that hold no further fields, in its order; "*" for entries of lists."""
    return list(dict.fromkeys(_leaves([schema], schema, "", 0)))


def _leaves(schemas: list[Any], root: Any, pointer: str, depth: int) -> Iterator[str]:
    parts = [one for schema in schemas for one in branches(schema, root)]
    keys = dict.fromkeys(key for part in parts for key in part.get("properties", {}))
    lists = any(isinstance(part.get("items"), dict) for part in parts)
    if depth > _FOLLOWED or not (keys or lists):
        yield pointer
        return
    for key in keys:
        yield from _leaves(below(schemas, key, root)[0], root, pointers.join(pointer, key), depth + 1)
    if lists:
        entries = below(schemas, EVERY, root)[0]
        inner = list(_leaves(entries, root, f"{pointer}/{EVERY}", depth + 1))
        yield from inner if inner != [f"{pointer}/{EVERY}"] else [pointer]


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
